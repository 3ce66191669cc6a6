"""Grids and resampling."""

import numpy as np
import pytest

from xanes_hpc.errors import SpectrumError
from xanes_hpc.spectra.grid import Grid, regular, shared_grid
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
