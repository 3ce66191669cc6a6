"""Grids and resampling."""

import numpy as np
import pytest

from xanes_hpc.errors import SpectrumError
from xanes_hpc.spectra.grid import (
    FIRST_VALUE,
    LAST_VALUE,
    Grid,
    regular,
    shared_grid,
    shared_range,
    spanned_range,
    step_near_edge,
)
from xanes_hpc.spectra.spectrum import PlacedSpectrum, Spectrum


def placed(energies, intensities, e0=7112.0, origin="absolute", shift=0.0):
    spectrum = Spectrum(np.asarray(energies, float), np.asarray(intensities, float))
    return PlacedSpectrum(spectrum, e0, "given", origin, shift)


def test_a_spectrum_on_its_own_grid_is_unchanged():
    energies = np.linspace(7097, 7172, 226)
    values = np.sin(energies)
    np.testing.assert_allclose(Grid(energies - 7112).resample(placed(energies, values)), values, atol=1e-9)


def test_shift_and_relative_energies():
    grid = Grid(np.linspace(-5, 5, 11))
    values = np.arange(11.0)
    np.testing.assert_allclose(grid.resample(placed(grid.energies + 100.0, values, 152.0, shift=52.0)), values)
    np.testing.assert_allclose(grid.resample(placed(grid.energies, values, origin="e0")), values)
    absolute = Grid(grid.energies + 7112.0, "absolute")
    np.testing.assert_allclose(absolute.resample(placed(grid.energies, values, origin="e0")), values)


def test_energies_beyond_the_ends_give_nan_unless_only_rounded():
    grid = Grid(np.linspace(-10, 10, 21))
    values = grid.resample(placed(np.linspace(-5.004, 20, 251) + 7112, np.ones(251)))
    assert np.isnan(values[:5]).all()
    assert (values[5:] == 1).all()


def test_the_shared_grid_is_covered_by_all_spectra():
    grid = shared_grid(np.full(9, -15.0), np.full(9, 60.0), np.full(9, 75 / 225), "e0")
    np.testing.assert_allclose(grid.energies, np.linspace(-15, 60, 226))


def test_one_short_spectrum_does_not_cut_the_grid_for_all():
    starts, stops = np.full(100, -15.0), np.full(100, 60.0)
    stops[0] = 20.0
    assert shared_grid(starts, stops, np.full(100, 0.5), "e0").energies[-1] == 60.0


def test_no_shared_range_is_an_error():
    with pytest.raises(SpectrumError, match="expected 2 to 100000 energies"):
        regular(10.0, 5.0, 1.0, "e0")


@pytest.mark.parametrize(
    ("below", "above", "expected"),
    [
        (None, None, [np.nan, np.nan, 1, 2, 3, np.nan, np.nan]),
        (FIRST_VALUE, None, [1, 1, 1, 2, 3, np.nan, np.nan]),
        (FIRST_VALUE, LAST_VALUE, [1, 1, 1, 2, 3, 3, 3]),
    ],
)
def test_spectra_are_padded_with_their_own_ends(below, above, expected):
    grid = Grid(np.linspace(-3, 3, 7), below=below, above=above)
    np.testing.assert_array_equal(grid.resample(placed([-1, 0, 1], [1, 2, 3], origin="e0")), expected)


def test_a_spectrum_beyond_the_grid_is_never_only_padding():
    grid = Grid(np.linspace(-3, 3, 7), below=FIRST_VALUE, above=LAST_VALUE)
    for energies in ([4, 5, 6], [-6, -5, -4]):
        assert np.isnan(grid.resample(placed(energies, [1, 2, 3], origin="e0"))).all()


def test_shortfalls_are_where_resampled_spectra_have_none():
    grid = Grid(np.linspace(-10, 10, 21))
    starts, stops = np.array([-10.0, -9.5, -9.4, -4.0]), np.array([9.4, 9.5, 10.0, 12.0])
    below, above = grid.shortfalls(starts, stops, np.full(4, 200))
    for i, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        values = grid.resample(placed(np.linspace(start, stop, 200), np.ones(200), origin="e0"))
        assert (np.isnan(values[0]), np.isnan(values[-1])) == (below[i] > 0, above[i] > 0)
    assert (below[3], above[0]) == (6.0, pytest.approx(0.6))


def test_the_shared_range_follows_spectra_that_begin_at_slightly_different_energies():
    """As FEFF's, which begin at each site's own Fermi level: nearly all are used, not the 95 % of a fixed fraction."""
    starts = np.append(np.linspace(4.2, 6.5, 199), 40.0)
    start, stop = shared_range(starts, starts + 140.0)
    assert (starts <= start).mean() > 0.98
    assert (start, stop) == (6.5, 144.2)
    assert spanned_range(np.array([-15.0, -10.0, -12.0]), np.array([60.0, 70.0, 65.0])) == (-15.0, 70.0)


def test_the_step_follows_the_data_near_the_edge():
    uneven = np.concatenate([np.arange(-100, -20, 5.0), np.arange(-20, 30, 0.25), np.arange(30, 400, 3.0)])
    assert step_near_edge(uneven) == pytest.approx(0.25)
    assert step_near_edge(uneven + 5.0) == pytest.approx(0.25)
    after = np.cumsum(np.linspace(0.02, 1.8, 170)) + 6.0  # e0 lies below the spectrum
    assert step_near_edge(after) < 0.5 * np.diff(after).mean()


def test_evenly_spaced_energies_give_their_mean_step_however_files_round_them():
    rounded = np.round(np.linspace(-15, 60, 226), 2), np.round(np.linspace(-15, 60, 501), 1)
    for energies in (np.linspace(-15, 60, 226), np.linspace(-30, 800, 167), *rounded):
        assert step_near_edge(energies) == (energies[-1] - energies[0]) / (energies.size - 1)


def test_fine_steps_near_the_edge_do_not_blow_up_the_grid_of_a_long_spectrum():
    energies = np.concatenate([np.arange(-10, 10, 0.05), np.arange(10, 1500, 5.0)])
    assert np.ptp(energies) / step_near_edge(energies) <= 2000.5
