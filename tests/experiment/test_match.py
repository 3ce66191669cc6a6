"""Ranking the sites of a library by a measured spectrum: every criterion and scale matches a slow reference."""

from dataclasses import replace

import numpy as np
import pytest
from support.shelf import E0, GRID, Shelf

from xanes_hpc.errors import ConfigError, SpectrumError
from xanes_hpc.experiment import compare, match_options, noise
from xanes_hpc.experiment.match import match
from xanes_hpc.experiment.match_options import MatchOptions
from xanes_hpc.spectra.spectrum import Spectrum


def slow(shelf, experiment, options):
    """Return chi2 per energy, factor, shift and mean log variance of every site, one by one."""
    shifts = np.arange(-round(options.max_shift), round(options.max_shift) + 1)  # the grid's step is 1 eV
    found = []
    for k in range(len(shelf.names)):
        mean = shelf.mean[k]
        std = np.zeros_like(mean) if shelf.std is None else shelf.std[k]
        every = []
        for shift in shifts:
            y = np.interp(GRID + shift, experiment.energies - shelf.e0[k], experiment.intensities)
            if options.scale == "area":
                y, p, s = y / y.mean(), mean / mean.mean(), std / mean.mean()
            elif options.scale == "min-max":
                y, p, s = (
                    (v - w.min()) / (w.max() - w.min()) for v, w in ((y, y), (mean, mean), (std + mean.min(), mean))
                )
            elif options.scale == "line":
                y, p, s = (
                    y - np.polyval(np.polyfit(GRID, y, 1), GRID),
                    mean - np.polyval(np.polyfit(GRID, mean, 1), GRID),
                    std,
                )
            else:
                p, s = mean, std
            variance = s**2 + (noise.ASSUMED * np.abs(p).max()) ** 2
            factor = (
                max(0.0, (y * p / variance).sum() / (y * y / variance).sum())
                if options.scale in match_options.WITH_FACTOR
                else 1.0
            )
            every.append((((factor * y - p) ** 2 / variance).mean(), factor, float(shift), np.log(variance).mean()))
        found.append(min(every))
    return np.array(found)


@pytest.mark.parametrize("with_std", [True, False])
@pytest.mark.parametrize("scale", match_options.SCALES)
@pytest.mark.parametrize("rows_at_once", [7, 8192])
def test_ranks_agree_with_the_slow_reference(monkeypatch, scale, with_std, rows_at_once):
    monkeypatch.setattr(compare, "ROWS_AT_ONCE", rows_at_once)
    shelf = Shelf(with_std=with_std)
    options = MatchOptions(scale=scale, by="chi2", max_shift=3.0, keep=50)
    experiment = shelf.measured(13, factor=2.5, shift=1.0)
    found = match(experiment, shelf, options)
    expected = slow(shelf, experiment, options)
    assert [m.row for m in found.ranked] == np.argsort(expected[:, 0], kind="stable").tolist()
    for one in found.ranked:
        chi2, factor, shift, _ = expected[one.row]
        assert one.chi2 == pytest.approx(chi2, rel=1e-9, abs=1e-9)
        assert (one.factor, one.shift) == (pytest.approx(factor), pytest.approx(shift))
        assert one.error_percent == pytest.approx(
            100 * np.abs(one.experiment - one.mean).sum() / np.abs(one.experiment).sum()
        )
    if scale != "none":
        assert found.ranked[0].row == 13
        assert found.ranked[0].shift == 1.0
    if scale == "factor":
        assert found.ranked[0].factor == pytest.approx(2.5, rel=1e-3)


@pytest.mark.parametrize("with_std", [True, False])
@pytest.mark.parametrize("scale", match_options.SCALES)
def test_standard_deviations_of_the_measured_spectrum_replace_the_assumed_noise(scale, with_std):
    shelf, rng = Shelf(with_std=with_std), np.random.default_rng(4)
    own = shelf.measured(13, factor=2.5 if scale in match_options.WITH_FACTOR else 1.0)
    sigma = np.where(own.energies - E0 > 35.0, 0.3, 0.004) * own.intensities.max()
    noisy = replace(own, intensities=own.intensities + sigma * rng.standard_normal(sigma.size), sigma=sigma)
    options = MatchOptions(scale=scale, start=-10.0)
    found = match(noisy, shelf, options)
    assert found.ranked[0].row == 13
    assert found.noise.startswith("σ from the file")
    best = found.ranked[0]
    at = E0 + found.energies + shelf.e0[13] - E0
    size = np.ptp(np.interp(at, own.energies, noisy.intensities)) if scale == "min-max" else 1.0
    size = np.interp(at, own.energies, noisy.intensities).mean() if scale == "area" else size
    if scale in match_options.WITH_FACTOR:
        y = np.interp(at, own.energies, noisy.intensities)
        y -= np.polyval(np.polyfit(at, y, 1), at) if scale == "line" else 0.0
        size = np.linalg.norm(y) / np.linalg.norm(best.mean)
    variance = (np.interp(at, own.energies, sigma) / size) ** 2 + (noise.ROUNDING * np.abs(best.mean).max()) ** 2
    variance += 0.0 if best.std is None else best.std**2
    assert best.chi2 == pytest.approx(np.mean((best.experiment - best.mean) ** 2 / variance), rel=1e-3)
    more = match(noisy, shelf, replace(options, noise=0.05)).ranked[0]
    assert more.chi2 < best.chi2
    assert match(replace(noisy, sigma=None), shelf, options).noise.endswith("assumed")


def test_likelihood_does_not_reward_a_wide_sigma():
    shelf = Shelf()
    shelf.std[20] *= 40.0
    experiment = shelf.measured(13)
    options = MatchOptions(keep=50)
    found = match(experiment, shelf, options)
    expected = slow(shelf, experiment, options)
    scores = expected[:, 0] + expected[:, 3] - 2 * np.log(expected[:, 1])
    assert [m.row for m in found.ranked] == np.argsort(scores, kind="stable").tolist()
    places = {by: [m.row for m in match(experiment, shelf, MatchOptions(by=by, keep=50)).ranked].index(20)
              for by in match_options.CRITERIA}  # fmt: skip
    assert places["chi2"] < 3
    assert places["likelihood"] > 10


def test_absolute_grids_and_relative_experiments_give_the_same_match():
    shelf, other = Shelf(), Shelf(origin="absolute")
    shelf.e0[:] = other.e0[:] = E0
    experiment = shelf.measured(4)
    relative = Spectrum(experiment.energies - E0, experiment.intensities, absolute=False, source="measured")
    found = [match(e, s) for e, s in ((experiment, shelf), (experiment, other), (relative, shelf))]
    assert found[1].energies == pytest.approx(found[0].energies + E0)
    for one in found[1:]:
        assert [m.row for m in one.ranked] == [m.row for m in found[0].ranked]
        assert [m.chi2 for m in one.ranked] == pytest.approx([m.chi2 for m in found[0].ranked], abs=1e-9)


def test_inverted_offset_and_flat_spectra_resemble_nothing():
    shelf = Shelf()
    own = shelf.measured(13)
    for values in (2.0 - own.intensities, np.full(own.energies.size, 0.7)):
        odd = Spectrum(own.energies, values, absolute=True, source="odd.txt")
        with pytest.raises(SpectrumError, match=r"odd\.txt: none of 50 spectra resembles it"):
            match(odd, shelf)
    with pytest.raises(ConfigError, match=r"`max_shift`: .* at least the grid's step of 1 eV, received 0\.5"):
        match(own, shelf, MatchOptions(max_shift=0.5))


def test_spectra_that_cannot_be_ranked_are_left_out():
    shelf = Shelf()
    shelf.mean[7, 3] = np.nan
    shelf.std[9, 5] = np.inf
    found = match(shelf.measured(13), shelf, MatchOptions(keep=50))
    assert {7, 9}.isdisjoint(m.row for m in found.ranked)
    assert (found.n_left_out, len(found.ranked)) == (2, 48)
    down = shelf.measured(13)
    down = Spectrum(down.energies, -down.intensities, absolute=True, source="down.txt")
    with pytest.raises(SpectrumError, match=r"down\.txt: none of 50 spectra fits with a positive factor"):
        match(down, shelf)


def test_a_range_and_some_rows():
    shelf = Shelf()
    rows = np.arange(10, 30)
    found = match(shelf.measured(13), shelf, MatchOptions(start=-5.0, stop=20.0), rows)
    assert (found.energies[0], found.energies[-1], found.n_compared) == (-5.0, 20.0, 20)
    assert {m.row for m in found.ranked} <= set(rows.tolist())
    assert found.ranked[0].row == 13


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (MatchOptions(scale="area2"), ConfigError, "`scale` 'area2': expected factor, line, none, area, min-max"),
        (MatchOptions(by="r2"), ConfigError, "`by` 'r2': expected chi2, likelihood"),
        (MatchOptions(mixture=4), ConfigError, "`mixture`: expected 1 to 3 sites, received 4"),
        (MatchOptions(max_shift=1e9), ConfigError, r"`max_shift`: .* 75 eV.* received 1e\+09"),
        (MatchOptions(noise=0.0), ConfigError, "`noise`: .* above 0, received 0"),
        (MatchOptions(start=55.0), SpectrumError, "measured: overlaps 6 of the grid's energies"),
    ],
)
def test_invalid_matches(options, error, message):
    shelf = Shelf()
    with pytest.raises(error, match=message):
        match(shelf.measured(1), shelf, options)
