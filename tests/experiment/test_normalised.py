"""Normalisation of measured spectra: the edge, windows from the range, edge step, and what is said where none fit."""

from dataclasses import replace

import numpy as np
import pytest

import xanes_hpc as xh
from xanes_hpc.errors import ConfigError, SpectrumError
from xanes_hpc.experiment.normalised import NormaliseOptions, normalised, scale_for
from xanes_hpc.spectra.edge_step import chosen_windows, find_edge
from xanes_hpc.spectra.spectrum import Spectrum

E0 = 7121.3
GRID = np.concatenate([np.arange(6950.0, 7100.0, 5.0), np.arange(7100.0, 7160.0, 0.5), np.arange(7160.0, 7900.0, 3.0)])


def scan(energies=GRID, step=0.83, offset=-4.0, slope=-2e-4, width=2.0, noise=0.0):
    """Return an edge with a known step on a line, as ordinary transmission data that are below 0 everywhere."""
    x = energies - E0
    edge = 0.5 + 0.5 * np.tanh(x / width)
    mu = step * edge * (1.0 + 0.02 * np.sin(np.sqrt(np.maximum(x, 0.0))) * np.exp(-x.clip(0) / 50))
    mu += offset + slope * x + noise * np.random.default_rng(0).standard_normal(x.size)
    return Spectrum(energies, mu, source="made.dat", absolute=True)


@pytest.mark.parametrize(("noise", "within"), [(0.0, 0.3), (0.005, 0.5)])
def test_edge_step_on_any_line(noise, within):
    made = scan(noise=noise)
    assert made.intensities.max() < 0
    found = normalised(made)
    assert found.e0 == pytest.approx(E0, abs=within)
    assert found.background.step == pytest.approx(0.83, rel=0.02)
    low, high = (found.spectrum.intensities[(a < GRID) & (b > GRID)].mean() for a, b in ((6960, 7050), (7300, 7850)))
    assert (low, high) == pytest.approx((0.0, 1.0), abs=0.01)
    np.testing.assert_array_equal(found.raw.intensities, made.intensities)
    assert "edge step 0.8" in found.in_words


def test_a_wrong_point_and_noise_before_the_edge_do_not_move_the_edge():
    made = scan(noise=0.003)
    made.intensities[3] += 5.0
    made.intensities[60] -= 2.0
    assert find_edge(made.energies, made.intensities) == pytest.approx(E0, abs=0.5)


def test_windows_follow_the_range():
    wide = chosen_windows(GRID - E0)
    assert wide.order == 2
    assert wide.pre == pytest.approx((-166.3, -86.3), abs=6)
    assert wide.post == pytest.approx((24.7, 772.0), abs=3)
    assert chosen_windows(np.arange(-60.0, 125.0, 0.5)).order == 1
    assert chosen_windows(np.arange(-15.0, 60.0, 0.2)) is None


def test_given_windows_and_edge():
    found = normalised(scan(), NormaliseOptions(e0=7120.0, pre=(-160, -60), post=(100, 700), order=1, flatten=False))
    assert (found.e0, found.background.windows.pre, found.background.windows.order) == (7120.0, (-160, -60), 1)
    partly = normalised(scan(), NormaliseOptions(pre=(-160, -60)))
    assert partly.background.windows.pre == (-160, -60)
    with pytest.raises(SpectrumError, match=r"made\.dat: the pre-edge window, -400 to -200 eV"):
        normalised(scan(), NormaliseOptions(pre=(-400, -200)))
    with pytest.raises(SpectrumError, match=r"made\.dat: e0 = 9000 eV lies outside the spectrum"):
        normalised(scan(), NormaliseOptions(e0=9000.0))


@pytest.mark.parametrize(
    ("options", "unusual"),
    [
        ({}, ""),
        ({"pre": (-160, -60), "post": (100, 700), "e0": E0 + 15.0}, ""),
        ({"pre": (-5, -2)}, "`pre` ends 2 eV below the edge"),
        ({"pre": (-160, 0)}, "`pre` ends 0 eV below the edge"),
        ({"pre": (-160, -145)}, "`pre` has 3 points"),
        ({"post": (5, 300)}, "`post` begins 5 eV above the edge"),
        ({"post": (300, 310)}, "`post` has 3 points"),
        ({"e0": E0 + 30.0}, "eV is 30 eV above it"),
        ({"e0": E0 - 30.0}, "eV is 30 eV below it"),
    ],
)
def test_unusual_windows_and_edges_are_noted(options, unusual):
    told = [detail for _, detail in normalised(scan(), NormaliseOptions(**options)).raw.choices]
    assert len(told) == bool(unusual)
    assert unusual in "".join(told)


def test_a_spectrum_without_room_for_windows_stays_as_it_is():
    short = scan(np.arange(E0 - 15, E0 + 60, 0.2))
    found = normalised(short)
    assert found.background is None
    np.testing.assert_array_equal(found.spectrum.intensities, short.intensities)
    assert "leave no room for windows" in found.in_words
    assert scale_for(found) == "line"
    assert scale_for(normalised(scan())) == "factor"
    flat = scan(short.energies, offset=0.0, slope=0.0)
    assert scale_for(normalised(flat)) == "line"
    assert scale_for(normalised(flat, NormaliseOptions("none"))) == "factor"
    assert scale_for(normalised(short, NormaliseOptions("none"))) == "line"


def test_an_inverted_spectrum_has_no_edge_step():
    made = scan()
    with pytest.raises(SpectrumError, match=r"made\.dat: the spectrum falls at its edge"):
        normalised(Spectrum(made.energies, -made.intensities, source="made.dat"), NormaliseOptions(e0=E0))


@pytest.mark.parametrize("method", ["edge-step", "mback"])
def test_standard_deviations_are_scaled_like_the_spectrum(method):
    made = replace(scan(), sigma=np.full(GRID.size, 0.01))
    found = normalised(made, NormaliseOptions(method, flatten=False), 26, "K")
    near = np.abs(GRID - E0) < 1.0
    scale = np.ptp(found.spectrum.intensities[near]) / np.ptp(made.intensities[near])
    np.testing.assert_allclose(found.spectrum.sigma, 0.01 * scale, rtol=0.01)
    assert normalised(scan()).spectrum.sigma is None


def test_mback_follows_tabulated_absorption():
    curved = scan(slope=0.0)
    curved.intensities[:] += 2e-6 * (GRID - E0) ** 2
    with pytest.raises(ConfigError, match=r"made\.dat: mback needs the element and edge"):
        normalised(curved, NormaliseOptions("mback"))
    found = normalised(curved, NormaliseOptions("mback"), 26, "K")
    assert "mback to Fe K" in found.in_words
    far = found.spectrum.intensities[GRID > 7300]
    assert np.abs(far - 1.0).max() < 0.05
    assert np.abs(found.spectrum.intensities[GRID < 7050]).max() < 0.05
    said = "mback is unreliable for so short a spectrum"
    assert said not in dict(found.raw.choices)
    short = normalised(curved.at_points(np.abs(GRID - E0) < 100.0), NormaliseOptions("mback"), 26, "K")
    assert "expected 300 eV or more" in dict(short.raw.choices)[said]


def test_the_front_door_normalises_files_and_arrays():
    made = scan()
    found = xh.normalise((made.energies, made.intensities))
    np.testing.assert_array_equal(found.spectrum.intensities, normalised(made).spectrum.intensities)
    assert repr(found).startswith("<NormalisedSpectrum the measured spectrum: e0 7121.")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (NormaliseOptions("athena"), "`normalise` 'athena'"),
        (NormaliseOptions(order=4), "`order`"),
        (NormaliseOptions(pre=(5.0, 20.0)), "`pre`"),
        (NormaliseOptions(post=(50.0, 20.0)), "`post`"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(ConfigError, match=message):
        normalised(scan(), options)


def test_energies_in_keV_are_converted_or_refused():
    made = scan()
    in_kev = replace(made, energies=made.energies / 1000.0, absolute=None)
    with pytest.raises(SpectrumError, match=r"made\.dat: spans 0\.948 eV, .*\(are these keV\?\)"):
        normalised(in_kev)
    for found in (normalised(in_kev, None, 26, "K"), normalised(replace(in_kev, element=26, edge="K"))):
        assert found.e0 == pytest.approx(normalised(made).e0)
        assert found.background.step == pytest.approx(0.83, rel=0.02)


def test_a_spectrum_without_a_step_or_of_another_element_is_refused():
    with pytest.raises(SpectrumError, match=r"made\.dat: the same everywhere"):
        normalised(replace(scan(), intensities=np.ones(GRID.size)))
    with pytest.raises(SpectrumError, match=r"expected a spectrum of Fe K, the site's, received Cu K"):
        normalised(replace(scan(), element=29, edge="K"), NormaliseOptions("mback"), 26, "K")


def test_an_absorber_that_is_no_element_is_refused():
    """Not taken for none."""
    made = scan()
    with pytest.raises(ConfigError, match="`absorber` 'Xx': expected an element symbol, such as Fe"):
        xh.normalise(made, absorber="Xx")
    with pytest.raises(ConfigError, match="`absorber` 'Xx': expected an element symbol"):
        xh.fit_standards(made, [], absorber="Xx")
