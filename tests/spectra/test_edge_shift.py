"""Shifts of edges from a mean spectrum, against a slow search, and spectra moved by them."""

import numpy as np
import pytest

from xanes_hpc.spectra.edge_shift import LARGEST, TRIED, TYPICAL, edge_shifts, moved

ENERGIES = np.linspace(-20.0, 60.0, 161)


def edge(at, energies=ENERGIES):
    """Return an edge with a white line."""
    x = energies - at
    return 0.5 + np.arctan(x) / np.pi + 0.6 * np.exp(-((x - 3.0) ** 2) / 8.0)


def slow_cost(spectrum, reference, scale, energies, shift):
    """Return equation (1), energy by energy."""
    apart = [
        (y - float(np.interp(e - shift, energies, reference))) / scale
        for e, y in zip(energies.tolist(), spectrum.tolist(), strict=True)
    ]
    return sum(d * d for d in apart) / len(apart) + (shift / TYPICAL) ** 2


def slow_shift(spectrum, reference, scale, energies):
    """Return the best of many shifts."""
    tried = np.arange(-LARGEST, LARGEST + 0.005, 0.01).tolist()
    return min(tried, key=lambda shift: slow_cost(spectrum, reference, scale, energies, shift))


def test_shifts_are_those_of_a_fine_search():
    generator = np.random.default_rng(0)
    shifts = [-7.0, -2.3, -0.4, 0.0, 0.9, 3.1, 6.2]
    noisy = np.array([edge(at) + 0.1 * generator.normal(size=ENERGIES.size) for at in shifts])
    found = edge_shifts(noisy, edge(0.0), 0.2, ENERGIES)
    expected = [slow_shift(spectrum, edge(0.0), 0.2, ENERGIES) for spectrum in noisy]
    np.testing.assert_allclose(found, expected, atol=0.3 * TRIED)


def test_a_shifted_spectrum_is_moved_by_a_little_less_than_its_shift():
    """The second term of the cost pulls towards zero, more so where the scale is large."""
    spectra = edge(2.0)[None]
    shifts = [float(edge_shifts(spectra, edge(0.0), scale, ENERGIES)[0]) for scale in (0.01, 0.3, 3.0, 1e6)]
    assert shifts[0] == pytest.approx(2.0, abs=0.02)
    assert shifts[0] > shifts[1] > shifts[2] > shifts[3] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_a_shift_stays_within_its_limit(sign):
    found = edge_shifts(edge(sign * 11.0)[None], edge(0.0), 0.05, ENERGIES)
    assert found.tolist() == [sign * LARGEST]


def test_spectra_without_an_edge_have_no_shift():
    flat = np.zeros((2, ENERGIES.size))
    np.testing.assert_allclose(edge_shifts(flat, edge(0.0) * 0.0, 1.0, ENERGIES), 0.0, atol=1e-9)


def test_a_moved_spectrum_is_interpolated_and_continued():
    energies = np.array([0.0, 1.0, 3.0])
    spectra, shifts = np.array([[1.0, 2.0, 6.0]] * 4), np.array([0.0, 0.5, -1.0, 9.0])
    expected = [[1.0, 2.0, 6.0], [1.0, 1.5, 5.0], [2.0, 4.0, 6.0], [1.0, 1.0, 1.0]]
    np.testing.assert_allclose(moved(spectra, shifts, energies), expected)


def test_moving_there_and_back_changes_only_what_left_the_grid():
    spectra, shifts = np.array([edge(0.0), edge(5.0)]), np.array([2.5, -3.0])
    back = moved(moved(spectra, -shifts, ENERGIES), shifts, ENERGIES)
    kept = (ENERGIES[0] + 3.0 < ENERGIES) & (ENERGIES[-1] - 3.0 > ENERGIES)
    np.testing.assert_allclose(back[:, kept], spectra[:, kept], atol=1e-12)  # whole steps: nothing is interpolated
