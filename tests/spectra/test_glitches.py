"""Glitches: single points off the curve are found; edges, white lines, noise and steps between regions are none."""

import numpy as np
import pytest

from xanes_hpc.spectra.glitches import glitches, without_glitches
from xanes_hpc.spectra.spectrum import Spectrum

ENERGIES = np.concatenate(
    [np.arange(6960.0, 7090.0, 5.0), np.arange(7090.0, 7140.0, 0.5), np.arange(7140.0, 7600.0, 3.0)]
)


def spectrum(noise=0.0, seed=0):
    x = ENERGIES - 7112.0
    mu = 0.5 + np.arctan(x / 1.5) / np.pi + 1.2 * np.exp(-0.5 * ((x - 8.0) / 1.2) ** 2)
    mu += 0.05 * np.sin(0.6 * np.sqrt(np.maximum(x, 0.0))) - 3.0 + 1e-4 * x
    return mu + noise * np.random.default_rng(seed).standard_normal(x.size)


@pytest.mark.parametrize("noise", [0.0, 1e-4, 1e-3, 1e-2, 0.1])
def test_edges_white_lines_and_noise_are_no_glitches(noise):
    for seed in range(20 if noise else 1):
        assert glitches(ENERGIES, spectrum(noise, seed)).size == 0


@pytest.mark.parametrize("step", [0.3, 0.7, 1.0])
def test_narrow_features_before_and_at_the_edge_are_no_glitches(step):
    """Pre-edge peaks and white lines of 1.25 eV, the lifetime of iron's core hole, with points as far apart."""
    for phase in np.linspace(0.0, step, 7):
        energies = np.arange(7085.0 + phase, 7180.0, step)
        x = energies - 7112.0
        mu = 0.5 + np.arctan((x - 12.0) / 3.0) / np.pi
        mu += sum(0.4 / (1.0 + ((x - at) / 0.625) ** 2) for at in (-1.0, 2.0, 16.0))
        assert glitches(energies, mu).size == 0


@pytest.mark.parametrize("point", [0, 1, 10, 25, 26, 60, 76, 125, 126, 200, ENERGIES.size - 1])
@pytest.mark.parametrize("size", [0.15, -0.4, 30.0])
def test_a_single_wrong_point_is_found_anywhere(point, size):
    mu = spectrum(1e-3)
    mu[point] += size
    assert glitches(ENERGIES, mu).tolist() == [point]


def test_several_are_left_out_with_their_sigma_and_reference_and_named():
    mu = spectrum(1e-3)
    wrong = [30, 38, 150]
    mu[wrong] += 0.3
    found = without_glitches(Spectrum(ENERGIES, mu, source="a.xdi", sigma=np.arange(mu.size) + 1.0, reference=mu + 1))
    kept = np.delete(np.arange(mu.size), wrong)
    np.testing.assert_array_equal(found.energies, ENERGIES[kept])
    np.testing.assert_array_equal(found.sigma, kept + 1.0)
    np.testing.assert_array_equal(found.reference, mu[kept] + 1)
    ((_, detail),) = found.choices
    assert all(f"{ENERGIES[i]:.2f}" in detail for i in wrong)


def test_a_spectrum_of_nothing_but_noise_or_of_few_points_keeps_all():
    rng = np.random.default_rng(3)
    assert glitches(ENERGIES, rng.uniform(size=ENERGIES.size)).size == 0
    assert glitches(ENERGIES[:6], np.array([0, 0, 9.0, 0, 0, 0])).size == 0
