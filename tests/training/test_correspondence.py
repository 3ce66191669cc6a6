"""How spectra of one kind become those of another: a shift, a broadening and a scale."""

import numpy as np
import pytest

from xanes_hpc.training.correspondence import Correspondence, fitted

BEFORE, AFTER = np.arange(-15.0, 40.0, 0.5), np.arange(-10.0, 30.0, 0.4)


def spectra(n, seed=0):
    """Return edges with two peaks each, as functions of the energy."""
    random = np.random.default_rng(seed)
    places, heights = random.uniform(2.0, 12.0, (n, 2)), random.uniform(0.2, 1.0, (n, 2))

    def at(energies):
        edge = 0.5 + np.arctan(energies / 1.5)[None] / np.pi
        peaks = heights[:, :, None] * np.exp(-0.5 * ((energies - places[:, :, None]) / 1.5) ** 2)
        return edge + peaks.sum(axis=1)

    return at


def slowly(at, found, energies):
    """Return equation (1) by summing over a fine grid, beyond the ends of which spectra are constant."""
    fine = np.arange(-60.0, 60.0, 0.01)
    values = at(np.clip(fine, BEFORE[0], BEFORE[-1]))
    weights = np.exp(-0.5 * ((energies[:, None] - found.shift - fine) / found.width) ** 2)
    return found.scale * values @ (weights / weights.sum(axis=1, keepdims=True)).T


@pytest.mark.parametrize("found", [Correspondence(0.0, 1.0, 1.0), Correspondence(-3.3, 2.0, 0.7)])
def test_spectra_are_shifted_broadened_and_scaled(found):
    at = spectra(4)
    moved = at(BEFORE) @ found.matrix(BEFORE, AFTER).T
    np.testing.assert_allclose(moved, slowly(at, found, AFTER), atol=0.01)


def test_without_a_width_spectra_are_interpolated():
    at = spectra(3)
    moved = at(BEFORE) @ Correspondence(0.25, 0.0, 1.0).matrix(BEFORE, AFTER).T
    expected = [np.interp(AFTER - 0.25, BEFORE, row) for row in at(BEFORE)]
    np.testing.assert_allclose(moved, expected, rtol=1e-12)


@pytest.mark.parametrize("shift", [-12.0, 0.0, 2.2, 9.7])
@pytest.mark.parametrize("width", [0.0, 1.3])
def test_the_correspondence_is_found_again(shift, width):
    at, noise = spectra(20), np.random.default_rng(1).normal(0.0, 0.01, (20, AFTER.size))
    others = at(BEFORE) @ Correspondence(shift, width, 1.4).matrix(BEFORE, AFTER).T + noise
    found = fitted(at(BEFORE), others, BEFORE, AFTER)
    assert found.shift == pytest.approx(shift, abs=0.02)
    assert found.width == pytest.approx(width, abs=0.2)  # the grid's step is 0.5
    assert found.scale == pytest.approx(1.4, abs=0.01)


def test_spectra_that_are_zero_or_opposite_have_no_correspondence():
    at = spectra(3)
    assert fitted(at(BEFORE), -at(AFTER), BEFORE, AFTER).scale == 0.0
    assert fitted(np.zeros((3, BEFORE.size)), at(AFTER), BEFORE, AFTER).scale == 0.0
