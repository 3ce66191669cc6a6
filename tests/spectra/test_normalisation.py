"""Normalisation compared with its plain formulas, location of the edge, and errors."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate
from support.strategies import quick

from xanes_hpc.config.files import load_run
from xanes_hpc.errors import ConfigError, SpectrumError
from xanes_hpc.spectra.normalisation import half_step, normalise
from xanes_hpc.spectra.recipe import BroadeningConfig, NormalisationConfig, Recipe
from xanes_hpc.spectra.rise import steepest_rise
from xanes_hpc.spectra.spectrum import PlacedSpectrum, Spectrum, treatment_name
from xanes_hpc.spectra.treatment import treat, treatment_after

E0 = 7112.0
STEP = NormalisationConfig("edge-step", pre_start=-60.0, pre_stop=-20.0, post_start=40.0, post_stop=200.0, order=2)
GRID = np.linspace(-80.0, 240.0, 1601)


def step(energies, edge=0.0, width=1.5):
    """Return a smooth edge of height 1 with a white line, both flat within the windows."""
    wiggle = 0.3 * np.exp(-0.5 * ((energies - edge - 4.0) / 2.0) ** 2)
    return 0.5 * (1.0 + np.tanh((energies - edge) / width)) + wiggle


def spectrum(intensities, energies=GRID, origin="absolute", shift=0.0, **options):
    shown = energies if origin == "e0" else energies + E0 - shift
    record = Spectrum(shown, np.asarray(intensities, float), "xanes", "none", "Mbarn", source="a.txt", **options)
    return PlacedSpectrum(record, E0, "file", origin, shift, -2.0)


def measured(height=3.0, edge=0.0):
    """Return a spectrum as measured: on a falling background, with absorption that falls beyond the edge."""
    line = 0.7 - 0.002 * GRID
    decay = 1.0 - 5e-4 * GRID + 1e-6 * GRID**2
    return line + height * np.where(edge + 20.0 > GRID, 1.0, decay / decay[0] * 0 + decay) * step(GRID, edge)


@quick
@given(
    st.floats(0.01, 100.0), st.floats(-5.0, 5.0), st.floats(-0.01, 0.01), st.integers(0, 3),
    st.sampled_from(["absolute", "e0"]),
)  # fmt: skip
def test_edge_step_removes_any_line_below_a_step(height, offset, slope, order, origin):
    """For mu = line + height · step, the step alone is recovered, for every order of the post-edge."""
    own = spectrum(height * step(GRID) + offset + slope * GRID, origin=origin)
    found = normalise(own, replace(STEP, order=max(1, order)))
    np.testing.assert_allclose(found.spectrum.intensities, step(GRID), atol=1e-8 * (1.0 + (abs(offset) + 1.0) / height))
    assert (found.spectrum.unit, found.e0, found.e0_source) == ("normalised", E0, "file")
    np.testing.assert_array_equal(found.spectrum.energies, own.spectrum.energies)


def test_edge_step_agrees_with_its_plain_formula():
    mu = measured()
    before = (GRID >= -60.0) & (GRID <= -20.0)
    after = (GRID >= 40.0) & (GRID <= 200.0)
    line, curve = np.polyfit(GRID[before], mu[before], 1), np.polyfit(GRID[after], mu[after], 2)
    height = np.polyval(curve, 0.0) - np.polyval(line, 0.0)
    expected = (mu - np.polyval(line, GRID)) / height
    np.testing.assert_allclose(normalise(spectrum(mu), STEP).spectrum.intensities, expected, atol=1e-9)
    flat = expected - np.where(GRID >= 0, (np.polyval(curve, GRID) - np.polyval(line, GRID)) / height - 1.0, 0.0)
    found = normalise(spectrum(mu), replace(STEP, flatten=True)).spectrum.intensities
    np.testing.assert_allclose(found, flat, atol=1e-9)
    assert np.abs(found[after] - 1.0).max() < 1e-3 < np.abs(expected[after] - 1.0).max()


def test_area_and_min_max_agree_with_their_plain_formulas():
    mu = measured()
    inside = (GRID >= -10.0) & (GRID <= 50.0)
    window = {"start": -10.0, "stop": 50.0}
    found = normalise(spectrum(mu), NormalisationConfig("area", **window)).spectrum.intensities
    assert integrate.trapezoid(found[inside], GRID[inside]) == pytest.approx(60.0)
    np.testing.assert_allclose(found / found[0], mu / mu[0])
    found = normalise(spectrum(mu), NormalisationConfig("min-max", **window)).spectrum.intensities
    assert (found[inside].min(), found[inside].max()) == (0.0, 1.0)
    np.testing.assert_allclose(np.diff(found) * np.ptp(mu[inside]), np.diff(mu), atol=1e-12)
    whole = normalise(spectrum(mu), NormalisationConfig("area")).spectrum.intensities
    assert integrate.trapezoid(whole, GRID) == pytest.approx(np.ptp(GRID))


@quick
@given(st.floats(-3.0, 3.0), st.sampled_from(["absolute", "e0"]), st.floats(-10.0, 10.0))
def test_the_steepest_rise_and_half_of_the_step_are_found(edge, origin, shift):
    energies = np.linspace(-80.0, 240.0, 3201)
    plain = 0.5 * (1.0 + np.tanh((energies - edge) / 1.5))
    own = spectrum(plain, energies, origin, 0.0 if origin == "e0" else shift)
    assert steepest_rise(own.relative, own.spectrum.intensities) == pytest.approx(edge, abs=2e-3)
    assert half_step(own, STEP) == pytest.approx(edge, abs=2e-3)


@pytest.mark.parametrize("origin", ["absolute", "e0"])
@pytest.mark.parametrize("where", ["steepest", "half-step"])
def test_either_the_edge_or_the_spectrum_moves(origin, where):
    own = spectrum(step(GRID, 2.5), origin=origin)
    recipe = replace(STEP, e0=where)
    moved = steepest_rise(own.relative, own.spectrum.intensities) if where == "steepest" else half_step(own, recipe)
    found = normalise(own, recipe)
    assert (found.e0, found.e0_source) == (pytest.approx(E0 + moved), where)
    np.testing.assert_allclose(found.relative + found.e0, own.relative + own.e0, atol=1e-9)  # absolute energies stay
    assert found.e_cut + found.e0 == pytest.approx(own.e_cut + own.e0)
    aligned = normalise(own, replace(recipe, align=True))
    assert (aligned.e0, aligned.e0_source) == (E0, "file")
    np.testing.assert_allclose(aligned.relative, own.relative - moved, atol=1e-9)
    assert aligned.e_cut == pytest.approx(own.e_cut - moved)
    np.testing.assert_allclose(aligned.relative, found.relative, atol=1e-9)
    np.testing.assert_allclose(aligned.spectrum.intensities, found.spectrum.intensities)
    if origin == "absolute":
        np.testing.assert_array_equal(aligned.spectrum.energies, own.spectrum.energies)  # raw numbers stay


@pytest.mark.parametrize(
    ("change", "intensities", "said"),
    [
        (
            {"pre_start": -100.0},
            step(GRID),
            r"a\.txt: the pre-edge window, -100 to -20 eV .* reaches beyond the spectrum",
        ),
        (
            {"post_stop": 300.0},
            step(GRID),
            r"the post-edge window, 40 to 300 eV .* reaches beyond the spectrum, -80 to 240",
        ),
        ({"post_start": 199.95, "post_stop": 200.05}, step(GRID), "has 1 points; expected 3 or more"),
        ({}, -step(GRID), "falls at its edge, by 1; expected a rise: .*raw counts.*exchanged"),
        ({}, np.ones_like(GRID), "no edge step"),
        ({"name": "area", "start": -70.0, "stop": 300.0}, step(GRID), "the window, -70 to 300 eV"),
        ({"name": "area"}, -step(GRID), "expected a positive area"),
        ({"name": "min-max"}, np.ones_like(GRID), "is 1 everywhere in the window; min-max"),
    ],
)
def test_a_spectrum_that_cannot_be_normalised(change, intensities, said):
    with pytest.raises(SpectrumError, match=said):
        normalise(spectrum(intensities), replace(STEP, **change))


def test_a_window_may_end_where_rounded_energies_do():
    own = spectrum(step(GRID))
    normalise(own, replace(STEP, post_stop=240.1))
    with pytest.raises(SpectrumError, match="reaches beyond"):
        normalise(own, replace(STEP, post_stop=240.11))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name = "step"', "normalisation.name: expected none or edge-step or area or min-max, received 'step'"),
        ('name = "edge-step"', "normalisation.pre_start: missing; edge-step"),
        ('name = "edge-step"\npre_start = -15\npre_stop = -8\npost_start = 20', "normalisation.post_stop: missing"),
        ("start = -15", "normalisation.start: .*area or min-max, received none"),
        ('name = "area"\npre_start = -15', "normalisation.pre_start: .*edge-step only, received normalisation area"),
        ('name = "area"\nstart = 15\nstop = 15', "expected start below stop, received 15 and 15 eV"),
        ('name = "area"\nstart = nan', "normalisation.start: expected an energy in eV"),
        ('name = "min-max"\ne0 = "half-step"', "normalisation.e0: half-step needs normalisation edge-step"),
        ('name = "min-max"\ne0 = "top"', "normalisation.e0: expected stored or steepest or half-step"),
        ('name = "min-max"\nalign = true', "normalisation.align: .*e0 steepest or half-step, received stored"),
        ('name = "min-max"\nflatten = true', "normalisation.flatten: .*edge-step only"),
        ('name = "min-max"\norder = 4', "normalisation.order: expected 0 to 3, received 4"),
    ],
)
def test_invalid_configurations_are_refused(tmp_path, text, message):
    (tmp_path / "run.toml").write_text(f"[normalisation]\n{text}\n")
    with pytest.raises(ConfigError, match=message):
        load_run(tmp_path / "run.toml", tmp_path, {})


@pytest.mark.parametrize(("pre_stop", "post_start"), [(1.0, 20.0), (-8.0, -1.0)])
def test_windows_must_be_on_either_side_of_the_edge(tmp_path, pre_stop, post_start):
    values = f"pre_start = -15\npre_stop = {pre_stop}\npost_start = {post_start}\npost_stop = 60"
    (tmp_path / "run.toml").write_text(f'[normalisation]\nname = "edge-step"\n{values}\n')
    with pytest.raises(ConfigError, match="expected pre_stop below the edge and post_start above it"):
        load_run(tmp_path / "run.toml", tmp_path, {})


def test_spectra_are_broadened_first_then_normalised():
    own = spectrum(step(GRID))
    broadening = BroadeningConfig("lorentzian", core_hole=2.0)
    (broad,) = treat([own], [26], ["K"], Recipe(broadening))
    (both,) = treat([own], [26], ["K"], Recipe(broadening, STEP))
    np.testing.assert_array_equal(both.spectrum.intensities, normalise(broad, STEP).spectrum.intensities)
    assert treatment_name(both.spectrum.treatment) == "lorentzian+edge-step"
    told = json.loads(both.spectrum.treatment)
    assert told["normalisation"] == {
        "name": "edge-step", "pre_start": -60.0, "pre_stop": -20.0, "post_start": 40.0, "post_stop": 200.0, "order": 2,
        "flatten": False, "e0": "stored", "align": False,
    }  # fmt: skip
    assert told["before"] == broad.spectrum.treatment


def test_moving_an_edge_is_not_normalisation():
    moved = treatment_after(Recipe(normalisation=NormalisationConfig(e0="steepest")), "none")
    assert treatment_name(treatment_after(Recipe(normalisation=STEP), moved)) == "steepest+edge-step"


def test_treatments_record_what_was_done_and_prevent_repeating_it():
    only = Recipe(normalisation=STEP)
    assert treatment_name(treatment_after(only, "none")) == "edge-step"
    assert treatment_name(treatment_after(only, '{"name":"fdmnes-conv"}')) == "fdmnes-conv+edge-step"
    moved = Recipe(normalisation=NormalisationConfig(e0="steepest"))
    assert treatment_name(treatment_after(moved, "none")) == "steepest"
    done = treatment_after(only, "none")
    with pytest.raises(SpectrumError, match="expected spectra that are not normalised, received treatment 'edge-step'"):
        treatment_after(only, done)
    with pytest.raises(SpectrumError, match="expected unbroadened spectra"):
        treatment_after(Recipe(BroadeningConfig("lorentzian")), done)
    again = treatment_after(Recipe(BroadeningConfig("gaussian", gaussian=1.0)), done)
    assert treatment_name(again) == "edge-step+gaussian"
    with pytest.raises(SpectrumError, match="not normalised"):
        treatment_after(only, again)
