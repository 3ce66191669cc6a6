"""Errors of held-out spectra, matched as a measured one is: they say whether any site explains it."""

import numpy as np
import pytest
from support.shelf import GRID, Shelf

from xanes_hpc.experiment.compare import MatchOptions
from xanes_hpc.experiment.match import match
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
    own = match(shelf.measured(3), shelf).held_out
    assert own.verdict(match(shelf.measured(3), shelf).ranked[0].error_percent) == ""
    assert own.verdict(float(own.errors[-1]) + 1.0).startswith("no site explains this spectrum: the best error is ")
    assert own.verdict(float(np.quantile(own.errors, 0.85))).startswith("a poor match: ")
    assert match(shelf.measured(3), shelf, MatchOptions(max_shift=3.0)).held_out.errors.sum() < own.errors.sum()


def test_a_library_without_held_out_references_makes_no_claim():
    assert match(Shelf().measured(3), Shelf()).held_out is None
    assert match(HeldShelf(8).measured(3), HeldShelf(8)).held_out is None
