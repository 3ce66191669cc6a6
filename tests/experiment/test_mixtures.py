"""Mixtures of sites: found at their shifts, ranked as sites are, the best pair that of an exhaustive search."""

from itertools import combinations

import numpy as np
import pytest
from scipy.optimize import nnls
from support.shelf import E0, GRID, Shelf, mixed

from xanes_hpc.experiment import match_options, noise
from xanes_hpc.experiment.match import match
from xanes_hpc.experiment.match_options import MatchOptions
from xanes_hpc.spectra.spectrum import Spectrum


@pytest.mark.parametrize("shares", [{3: 0.7, 8: 0.3}, {3: 0.5, 8: 0.3, 21: 0.2}])
def test_a_mixture_is_found(shares):
    shelf = Shelf()
    shelf.e0[:] = E0
    found = match(mixed(shelf, shares), shelf, MatchOptions(by="chi2", mixture=3))
    best = found.mixtures[0]
    assert dict(zip(best.rows, best.fractions, strict=True)) == pytest.approx(shares, abs=0.01)
    assert best.chi2 < 1e-3
    assert best.factor == pytest.approx(1 / 3, rel=1e-3)
    assert all(f >= 0.01 for m in found.mixtures for f in m.fractions)
    assert [m.chi2 for m in found.mixtures] == sorted(m.chi2 for m in found.mixtures)


@pytest.mark.parametrize("by", match_options.CRITERIA)
def test_a_shifted_mixture_is_found_at_its_shift(by):
    """A mixture is found at a shift where neither of its sites fits best alone."""
    shelf = Shelf()
    shelf.e0[:] = E0
    shelf.std = np.full_like(shelf.mean, 0.02)
    experiment = mixed(shelf, {0: 0.6, 12: 0.4})
    for shift in (0.0, 2.0):
        moved = Spectrum(experiment.energies + shift, experiment.intensities, absolute=True, source="measured")
        found = match(moved, shelf, MatchOptions(by=by, max_shift=3.0, keep=50, mixture=2))
        assert (sorted(found.mixtures[0].rows), found.mixtures[0].shift) == ([0, 12], shift)
        assert found.mixtures[0].fractions == pytest.approx((0.6, 0.4), abs=1e-3)
    assert {m.shift for m in found.ranked if m.row in (0, 12)} == {1.0, 3.0}


@pytest.mark.parametrize("scale", match_options.SCALES)
@pytest.mark.parametrize("by", match_options.CRITERIA)
def test_mixtures_are_ranked_as_sites_are(by, scale):
    shelf = Shelf()
    rng = np.random.default_rng(2)
    experiment = mixed(shelf, {3: 0.6, 8: 0.4})
    noisy = experiment.intensities / 3.0 + rng.normal(0, 0.02, experiment.energies.size)
    options = MatchOptions(by=by, scale=scale, max_shift=1.0, mixture=2)
    experiment = Spectrum(experiment.energies, noisy, absolute=True, source="measured")
    found = match(experiment, shelf, options)
    assert len(found.mixtures) == options.keep
    alone = {
        m.row: m.score
        for m in match(experiment, shelf, MatchOptions(by=by, scale=scale, max_shift=1.0, keep=50)).ranked
    }
    for one in found.mixtures:
        assert sum(one.fractions) == pytest.approx(1.0)
        assert one.score < min(alone[row] for row in one.rows)
        variance = one.std**2 + (noise.ASSUMED * one.mean.max()) ** 2
        chi2 = np.sum((one.experiment - one.mean) ** 2 / variance)
        assert one.chi2 == pytest.approx(chi2 / one.mean.size)
        width = np.sum(np.log(variance / one.factor**2)) + np.log(one.mean.size)
        assert one.score == pytest.approx(chi2 + (width if by == "likelihood" else 0.0))
        assert one.factor == 1.0 or scale in match_options.WITH_FACTOR
    scores = [m.score for m in found.mixtures]
    assert scores == sorted(scores)


def test_sites_with_different_edge_energies_are_summed_on_one_axis():
    shelf = Shelf(with_std=False)
    shelf.e0[:] = E0
    y = mixed(shelf, {3: 0.6, 8: 0.4})
    shelf.e0[8] -= 2.0
    shelf.mean[8] = shelf.curve(8, GRID - 2.0)
    best = match(y, shelf, MatchOptions(by="chi2", mixture=2, start=-10.0)).mixtures[0]
    assert dict(zip(best.rows, best.fractions, strict=True)) == pytest.approx({3: 0.6, 8: 0.4}, abs=1e-3)


def test_no_mixture_if_one_site_is_enough():
    shelf = Shelf()
    found = match(shelf.measured(13), shelf, MatchOptions(mixture=2))
    assert all(m.score < found.ranked[0].score for m in found.mixtures if 13 in m.rows)
    shelf = Shelf(n_sites=1)
    assert match(shelf.measured(0), shelf, MatchOptions(mixture=2)).mixtures == []


def test_the_best_pair_agrees_with_an_exhaustive_search():
    """Without standard deviations the weights of pairs differ only by their noise."""
    shelf = Shelf(n_sites=30, with_std=False)
    shelf.e0[:] = E0
    rng = np.random.default_rng(5)
    fine = np.linspace(-25.0, 70.0, 96)
    y = 0.6 * shelf.curve(2, fine) + 0.4 * shelf.curve(17, fine) + rng.normal(0, 0.02, fine.size)
    experiment = Spectrum(E0 + fine, y, absolute=True, source="measured")
    target = np.interp(GRID, fine, y)
    best = min(combinations(range(30), 2), key=lambda pair: nnls(shelf.mean[list(pair)].T, target)[1])
    found = match(experiment, shelf, MatchOptions(mixture=2)).mixtures[0]
    assert sorted(found.rows) == list(best) == [2, 17]
    expected = nnls(shelf.mean[list(found.rows)].T, target)[0]
    assert found.fractions == pytest.approx(expected / expected.sum(), abs=1e-6)
