"""Errors of held-out spectra, matched as a measured one is: they say whether any site explains it."""

from dataclasses import replace

import numpy as np
import pytest
from support.shelf import GRID, Shelf

from xanes_hpc.experiment.kinds import Kind
from xanes_hpc.experiment.match import match
from xanes_hpc.experiment.match_options import MatchOptions
from xanes_hpc.experiment.match_set import Placed, match_set
from xanes_hpc.experiment.normalised import NormalisedSpectrum
from xanes_hpc.spectra.spectrum import Spectrum


class HeldShelf(Shelf):
    """A library with held-out references: its own curves with another peak."""

    def references(self, rows, most):
        rng = np.random.default_rng(5)
        kept = rows[:: max(1, rows.size // most)][:most]
        peaks = [np.exp(-0.5 * ((GRID - place) / 3.0) ** 2) for place in rng.uniform(5, 45, kept.size)]
        return kept, self.mean[kept] + rng.uniform(0.0, 0.2, (kept.size, 1)) * np.array(peaks)


@pytest.mark.parametrize("scale", ["factor", "line", "none", "min-max"])
@pytest.mark.parametrize("by", ["likelihood", "chi2"])
def test_held_out_spectra_are_matched_as_a_measured_one_is(scale, by):
    shelf = HeldShelf()
    options = MatchOptions(scale=scale, by=by, keep=1)
    found = match(shelf.measured(3), shelf, options).held_out
    each = [
        match(Spectrum(GRID, reference, absolute=False, source="r"), shelf, options).ranked[0].error_percent
        for reference in shelf.references(np.arange(50), 100)[1]
    ]
    np.testing.assert_allclose(found.errors, np.sort(each), rtol=1e-6)


def test_a_spectrum_that_no_site_explains_is_told():
    shelf = HeldShelf()
    found = match(shelf.measured(3), shelf)
    own = found.held_out
    assert (found.judged, found.verdict) == ("", "")
    for error, judged, says in (
        (
            float(own.errors[-1]) + 1.0,
            "unexplained",
            "no site explains this spectrum: S7, the best match, has an error of ",
        ),
        (float(np.quantile(own.errors, 0.85)), "poor", "a poor match: S7, the best match, has an error of "),
    ):
        other = replace(found, ranked=[replace(found.ranked[0], site="S7", error_percent=error), *found.ranked])
        assert other.judged == judged
        assert other.verdict.startswith(f"{says}{error:.1f} %")


class ShiftedShelf(HeldShelf):
    """Its references lie 2 eV above its own curves."""

    def references(self, rows, most):
        kept, spectra = super().references(rows, most)
        return kept, np.array([np.interp(GRID - 2.0, GRID, one) for one in spectra])


def test_held_out_spectra_are_shifted_as_the_measured_one_is():
    shelf = ShiftedShelf()
    here, shifted = (match(shelf.measured(3), shelf, MatchOptions(max_shift=most)).held_out for most in (0.0, 3.0))
    assert shifted.errors.sum() < 0.5 * here.errors.sum()


def placed(shelf, shift):
    spectrum = shelf.measured(3, shift=shift)
    kind = Kind(26, "K", np.arange(len(shelf.names)), 7112.0)
    return Placed(f"at {shift:g} eV", kind, NormalisedSpectrum(spectrum, spectrum, 7112.0, None, ""))


def test_a_shift_that_would_explain_a_spectrum_is_found():
    shelf = HeldShelf()
    every, _ = match_set([placed(shelf, shift) for shift in (0.0, 2.0, 9.0)], shelf, MatchOptions(), try_shifts=True)
    assert [one.found.judged for one in every] == ["", "unexplained", "unexplained"]
    assert [one.shifted is None for one in every] == [True, False, True]
    best = every[1].shifted.ranked[0]
    assert (best.site, round(best.shift, 6), every[1].shifted.judged) == ("S3", 2.0, "")
    allowed, _ = match_set([placed(shelf, 2.0)], shelf, MatchOptions(max_shift=1.0), try_shifts=True)
    assert allowed[0].shifted is None


def test_a_library_without_held_out_references_makes_no_claim():
    found = match(Shelf().measured(3), Shelf())
    assert found.held_out is None
    assert found.for_comparison.startswith("fewer than 10 references of held-out sites")
    assert match(HeldShelf(8).measured(3), HeldShelf(8)).held_out is None
