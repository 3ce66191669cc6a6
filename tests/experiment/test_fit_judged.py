"""Reasons to doubt a fit: bounds, implausible widths, correlations, and held-out sites that fit better."""

import json
from dataclasses import replace

import numpy as np
import pytest
from support.builders import run, table, write

from xanes_hpc.errors import ConfigError, SpectrumError
from xanes_hpc.experiment.calculated import Calculated, HeldOutSite
from xanes_hpc.experiment.fit_broadening import fit_broadening
from xanes_hpc.experiment.fit_curve import FitOptions
from xanes_hpc.experiment.fit_warnings import correlation_warnings
from xanes_hpc.experiment.normalised import NormaliseOptions
from xanes_hpc.spectra.broadening import broaden
from xanes_hpc.spectra.recipe import BroadeningConfig
from xanes_hpc.spectra.spectrum import NO_TREATMENT, PlacedSpectrum, Spectrum

E0 = 7112.0
GRID = np.arange(-15.0, 60.001, 0.5)
RESOLUTION = FitOptions(BroadeningConfig("gaussian", gaussian=1.0))


def curve(seed=0, grid=GRID):
    """Return an edge with peaks that differ with the seed."""
    rng = np.random.default_rng(seed)
    peaks = [
        h * np.exp(-0.5 * ((grid - e) / w) ** 2)
        for e, h, w in zip(rng.uniform(4, 45, 4), rng.uniform(0.2, 0.7, 4), rng.uniform(1.0, 3.0, 4), strict=True)
    ]
    return np.where(grid > 3.0, 1.0, 0.0) + sum(peaks)


def calculated(mu=None, held_out=()):
    mu = curve() if mu is None else mu
    placed = PlacedSpectrum(Spectrum(GRID, mu, treatment=NO_TREATMENT, source="c"), E0, "file", "e0", e_cut=-5.0)
    return Calculated("c", placed, 26, "K", held_out=held_out)


def broadened(recipe, mu=None):
    own = calculated(mu)
    return broaden([own.placed], [26], ["K"], recipe)[0]


def measured(mu, shift=0.0):
    noise = np.random.default_rng(9).normal(0.0, 0.001, GRID.size)
    return Spectrum(E0 + GRID + shift, mu + noise, absolute=True, source="m")


def fitted(mu, options=RESOLUTION, shift=0.0, own=None):
    return fit_broadening(own or calculated(), measured(mu, shift), options)


def test_a_good_fit_has_no_warning():
    found = fitted(broadened(BroadeningConfig("gaussian", gaussian=1.8)), shift=1.0)
    assert found.warnings == ()
    assert found.unexplained_percent < 1.0
    assert found.held_out is None


def test_a_structure_that_is_smeared_away_explains_nothing_although_r_is_small():
    smooth = np.arctan((GRID - 6.0) / 4.0) / np.pi + 0.5
    found = fitted(smooth)
    assert found.r_factor < 0.02
    assert found.unexplained_percent > 50.0
    assert any("plain edge" in text for text in found.warnings)
    assert any("resolution" in text for text in found.warnings)


def test_a_core_hole_far_from_the_table_and_a_shift_at_its_bound_are_reported():
    mu = broadened(BroadeningConfig("lorentzian", core_hole=5.0))
    options = FitOptions(BroadeningConfig("lorentzian"), max_shift=1.0)
    assert any("core-hole" in text for text in fitted(mu, options).warnings)
    assert any("shift reached" in text for text in fitted(mu, options, shift=3.0).warnings)
    assert any("a shift of +4.0 eV" in text for text in fitted(curve(), shift=4.0).warnings)


def test_correlated_parameters_are_named_unless_both_are_of_the_background():
    """All widths of a recipe at once are more than a spectrum tells."""
    recipe = BroadeningConfig("arctangent", gamma_max=12.0, centre=20.0, width=25.0, core_hole=1.2, gaussian=1.0)
    mu = broadened(recipe) + np.random.default_rng(1).normal(0.0, 0.002, GRID.size)
    every = ("gamma_max", "centre", "width", "core_hole", "gaussian")
    found = fitted(mu, FitOptions(replace(recipe, width=30.0), vary=every))
    assert any("gamma_max" in text and "strongly correlated" in text for text in found.warnings)
    covariance = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.99], [0.0, 0.99, 1.0]])
    names = ["shift", "offset", "slope"]
    assert list(correlation_warnings(names, covariance, ("offset", "slope"))) == []
    (one,) = correlation_warnings(names, covariance, ("slope",))
    assert one.startswith("offset and slope are strongly correlated (r = 0.990)")


def held_out(error):
    """Return twelve held-out sites, whose references differ from their predictions by a peak of at most this height."""
    peak = np.exp(-0.5 * ((GRID - 25.0) / 3.0) ** 2)
    return tuple(
        HeldOutSite(calculated(curve(seed)), curve(seed) + error * (seed / 12) * peak) for seed in range(1, 13)
    )


def test_a_site_that_held_out_sites_beat_does_not_explain_the_spectrum():
    peak = np.exp(-0.5 * ((GRID - 25.0) / 3.0) ** 2)
    own = calculated(held_out=held_out(0.1))
    ordinary, wrong = fitted(curve() + 0.01 * peak, own=own), fitted(curve() + 0.5 * peak, own=own)
    assert ordinary.held_out.errors.size == 12
    assert (ordinary.verdict, ordinary.warnings) == ("", ())
    assert wrong.verdict.startswith("this site does not explain this spectrum")
    assert wrong.warnings[0] == wrong.verdict
    assert fitted(curve() + 0.5 * peak, own=calculated(held_out=held_out(0.1)[:5])).held_out is None


def raw(noise=0.0):
    """Return a spectrum with room for windows, on a background."""
    energies = np.concatenate([np.arange(-150.0, -15.0, 3.0), GRID, np.arange(63.0, 400.0, 3.0)])
    mu = np.interp(energies, GRID, broadened(BroadeningConfig("gaussian", gaussian=2.0)), left=0.0, right=1.0)
    mu = 0.3 * mu - 1.5 + 2e-4 * energies - 1e-4 * np.maximum(energies - 3.0, 0.0)
    return Spectrum(E0 + energies + 0.8, mu + np.random.default_rng(1).normal(0.0, noise, mu.size), source="raw")


def test_the_background_is_fitted_with_shift_and_width():
    found = fit_broadening(calculated(), raw(), RESOLUTION, NormaliseOptions())
    values = {name: p.value for name, p in found.parameters.items()}
    expected = {"shift": 0.8, "scale": 0.3, "gaussian": 2.0, "edge_step": 0.3, "slope": 2e-4}
    assert {name: values[name] for name in expected} == pytest.approx(expected, rel=0.02)
    np.testing.assert_allclose(found.experiment - found.background, found.fitted - found.background, atol=0.004)
    low, high = found.parameters["edge_step"].intervals["95"]
    assert low < values["edge_step"] < high
    assert found.measured.background.windows.in_words in found.measured.in_words
    np.testing.assert_array_equal(found.measured.spectrum.intensities, raw().intensities)


def test_windows_mean_the_same_whether_the_background_is_fitted_or_subtracted():
    how = NormaliseOptions(pre=(-120.0, -40.0), post=(80.0, 300.0), order=1)
    one, other = (
        fit_broadening(calculated(), raw(0.001), replace(RESOLUTION, baseline=baseline), how)
        for baseline in ("none", "background")
    )
    for name in ("shift", "gaussian"):
        a, b = one.parameters[name], other.parameters[name]
        assert a.value == pytest.approx(b.value, abs=3 * (a.stderr + b.stderr))
    assert [name for name in other.parameters if name.startswith("post_")] == ["post_1"]


def test_by_default_the_background_is_fitted_where_the_spectrum_has_room_for_windows():
    short = fit_broadening(calculated(), measured(curve()), RESOLUTION, NormaliseOptions())
    assert {"offset", "slope"} <= set(short.parameters)
    assert "edge_step" not in short.parameters
    with pytest.raises(SpectrumError, match="or fit its background too"):
        fit_broadening(calculated(), raw(), RESOLUTION)


def test_a_short_spectrum_has_a_line_for_its_background():
    found = fitted(0.5 + 0.002 * GRID + curve(), replace(RESOLUTION, baseline="background"))
    assert "edge_step" not in found.parameters
    assert found.parameters["slope"].value == pytest.approx(0.002, rel=0.05)


def test_the_background_cannot_be_fitted_after_mback():
    with pytest.raises(ConfigError, match=r"`baseline` background: .* received mback"):
        fit_broadening(calculated(), raw(), replace(RESOLUTION, baseline="background"), NormaliseOptions("mback"))


def test_the_command_reports_warnings(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "c.dat", table(np.column_stack([GRID + E0, curve()])))
    write(tmp_path / "m.dat", table(np.column_stack([GRID + E0, np.arctan((GRID - 6.0) / 4.0) / np.pi + 0.5])))
    words = ("fit-broadening", "c.dat", "m.dat", "--absorber", "Fe", "--recipe", "gaussian", "--baseline", "none")
    assert run(*words, "--json", "f.json") == 0
    found = json.loads((tmp_path / "f.json").read_text())
    out, err = capsys.readouterr()
    assert len(found["warnings"]) >= 2
    assert all(f"Note: {text}" in err for text in found["warnings"])
    assert (found["held_out_percent"], found["verdict"]) == (None, "")
    assert found["unexplained_percent"] > 50.0
    assert "too few references of held-out sites to judge" in out
    words = ("fit-broadening", "c.dat", "m.dat", "--absorber", "Fe", "--baseline", "background", "--normalise", "mback")
    assert run(*words) == 2
    assert "--normalise" in capsys.readouterr().err
