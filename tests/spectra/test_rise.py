"""The position of the edge withstands single wrong points, repeated energies and noise."""

import numpy as np
import pytest

from xanes_hpc.spectra.edge_step import find_edge
from xanes_hpc.spectra.rise import cleaned, main_fall, main_rise, steepest_rise

ENERGIES = np.arange(8900.0, 9100.0, 0.4)
EDGE = 8981.0


def spectrum(energies=ENERGIES):
    return 0.1 + np.arctan((energies - EDGE) / 1.5) / np.pi + 0.5 + 0.3 * np.exp(-(((energies - EDGE - 8) / 4) ** 2))


@pytest.fixture(scope="module")
def plain():
    return steepest_rise(ENERGIES, spectrum())


@pytest.mark.parametrize("place", [0, 1, 60, 202, 203, 300, -2, -1])
@pytest.mark.parametrize("wrong", [-5.0, 5.0])
def test_one_wrong_point_does_not_move_the_edge(plain, place, wrong):
    mu = spectrum()
    mu[place] += wrong
    assert steepest_rise(ENERGIES, mu) == pytest.approx(plain, abs=0.5)
    assert main_rise(ENERGIES, mu) == pytest.approx(EDGE, abs=3.0)


@pytest.mark.parametrize("place", [0, 60, 150, 300, 400, -3, -2, -1])
@pytest.mark.parametrize("wrong", [-5.0, -1.0, 1.0, 5.0])
@pytest.mark.parametrize("n", [2, 3])
def test_neighbouring_wrong_points_do_not_move_the_edge(plain, place, wrong, n):
    """Neither in the middle of a scan nor at its end, for the recipe's search and the experiment's."""
    mu = spectrum()
    at = np.arange(ENERGIES.size)[place]
    mu[at : at + n] += wrong
    assert steepest_rise(ENERGIES, mu) == pytest.approx(plain, abs=0.05)
    assert find_edge(ENERGIES, mu) == pytest.approx(find_edge(ENERGIES, spectrum()), abs=0.05)


def test_points_where_two_regions_of_a_scan_meet(plain):
    energies = np.sort(np.concatenate([ENERGIES, ENERGIES[40:300:20] + 2e-4]))
    mu = spectrum(energies) + np.random.default_rng(0).normal(0, 1e-3, energies.size)
    assert np.argmax(np.gradient(mu, energies)) != np.argmin(abs(energies - plain))
    assert steepest_rise(energies, mu) == pytest.approx(plain, abs=1.0)


def test_a_clean_spectrum_is_not_changed_near_its_edge():
    x, y = cleaned(ENERGIES, spectrum())
    near = abs(x - EDGE) < 3.0
    np.testing.assert_array_equal(x, ENERGIES)
    np.testing.assert_array_equal(y[near], spectrum()[near])


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.1])
def test_the_main_rise_of_a_long_noisy_spectrum(noise):
    """Also on the falling background of a transmission measurement."""
    mu = spectrum() - 0.004 * (ENERGIES - ENERGIES[0]) + np.random.default_rng(1).normal(0, noise, ENERGIES.size)
    assert main_rise(ENERGIES, mu) == pytest.approx(EDGE, abs=5.0)


@pytest.mark.parametrize(
    "mu",
    [0.01 * ENERGIES, 1e4 - ENERGIES, np.random.default_rng(2).normal(0, 1, ENERGIES.size)],
    ids=["ramp", "fall", "noise"],
)
def test_what_has_no_edge_has_no_main_rise(mu):
    assert main_rise(ENERGIES, mu) is None


def test_a_peak_without_a_continuum_does_not_fall():
    """As calculated spectra of bound states: a slow rise over several lines, and a sudden end."""
    mu = np.interp(ENERGIES - EDGE, [-10.0, 8.0, 14.0], [0.0, 0.3, 0.0])
    assert main_fall(ENERGIES, mu) is None
    assert main_fall(ENERGIES, -mu) is None
    assert main_fall(ENERGIES, -spectrum()) == pytest.approx(EDGE, abs=5.0)


def test_short_spectra_have_no_main_rise():
    assert main_rise(ENERGIES[:30], spectrum()[:30]) is None
