"""Rebinning: averages where points are dense, the line where they are not, and standard deviations that follow."""

import numpy as np
import pytest

from xanes_hpc.errors import SpectrumError
from xanes_hpc.spectra.rebinning import Bins, even_steps, rebinned, three_regions
from xanes_hpc.spectra.spectrum import Spectrum

DENSE = np.arange(7000.0, 7600.0, 0.1)


def curve(energies):
    return np.arctan((energies - 7112.0) / 1.5) + 0.1 * np.sin(energies / 9.0)


def test_points_on_the_new_energies_stay_as_they_are():
    made = Spectrum(DENSE, curve(DENSE), sigma=np.full(DENSE.size, 0.1), reference=2 * curve(DENSE))
    found = rebinned(made, DENSE[5:-5])
    np.testing.assert_allclose(found.intensities, curve(DENSE[5:-5]), atol=1e-12)
    np.testing.assert_allclose(found.reference, 2 * found.intensities, atol=1e-12)
    np.testing.assert_allclose(found.sigma, 0.1)


def test_dense_points_are_averaged_without_bias_and_sigma_is_that_of_the_averages():
    grid, rng = three_regions(DENSE, 7112.0), np.random.default_rng(0)
    sigma = np.full(DENSE.size, 0.01)
    every = [rebinned(Spectrum(DENSE, curve(DENSE) + 0.01 * rng.standard_normal(DENSE.size), sigma=sigma), grid)
             for _ in range(200)]  # fmt: skip
    values = np.array([one.intensities for one in every])
    assert np.abs(values.mean(axis=0) - curve(grid)).max() < 0.004
    assert np.median(values.std(axis=0) / every[0].sigma) == pytest.approx(1.0, abs=0.03)
    assert (values.std(axis=0) / every[0].sigma).max() < 1.3
    assert every[0].sigma.min() < 0.01 / 5


def test_sparse_points_are_interpolated_and_the_variance_left_is_known():
    sparse = np.arange(7000.0, 7600.0, 2.0)
    halves = sparse[:-1] + 1.0
    bins = Bins(sparse, halves)
    np.testing.assert_allclose(bins.means(curve(sparse)), np.interp(halves, sparse, curve(sparse)))
    np.testing.assert_allclose(bins.kept, 0.5)
    np.testing.assert_allclose(Bins(sparse, sparse).kept, 1.0)


@pytest.mark.parametrize(("first", "last"), [(6800.0, 8000.0), (7090.0, 7170.0), (7105.0, 7120.0)])
def test_three_regions_are_within_the_spectrum_and_ascend(first, last):
    grid = three_regions(np.arange(first, last, 0.5), 7112.0)
    assert (np.diff(grid) > 0).all()
    assert first <= grid[0]
    assert grid[-1] <= last - 0.5
    near = np.abs(grid - 7112.0) < 5.0
    np.testing.assert_allclose(np.diff(grid[near]), 0.25)


def test_steps_that_make_no_sense_are_refused():
    np.testing.assert_allclose(np.diff(even_steps(DENSE, 2.0)), 2.0)
    for step in (500.0, 1e-4, np.nan):
        with pytest.raises(SpectrumError, match="`step`"):
            even_steps(DENSE, step)
