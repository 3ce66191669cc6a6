"""Fitting widths, shift and scale to a measured spectrum recovers the true values within their intervals."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.interpolate import CubicSpline
from support.builders import fdmnes_header, run, table, write

from xanes_hpc.config.files import load_run
from xanes_hpc.errors import ConfigError, SpectrumError
from xanes_hpc.experiment.calculated import Calculated
from xanes_hpc.experiment.fit_broadening import fit_broadening
from xanes_hpc.experiment.fit_curve import FitOptions
from xanes_hpc.spectra.broadening import broaden
from xanes_hpc.spectra.recipe import BroadeningConfig
from xanes_hpc.spectra.spectrum import NO_TREATMENT, PlacedSpectrum, Spectrum, treatment

E0 = 7112.0
GRID = np.arange(-15.0, 60.001, 0.2)


def calculated(text=NO_TREATMENT, grid=GRID):
    """Return a spectrum as a program calculates it: sharp lines over a step, zero below the edge."""
    lines = [(1.2, 3.0, 0.3), (9.0, 1.5, 0.8), (14.0, 4.0, 1.5), (27.0, 1.0, 3.0)]
    mu = np.where(grid > 0, 1.0 + 0.002 * grid, 0.0) + sum(h * np.exp(-(((grid - c) / w) ** 2)) for c, h, w in lines)
    spectrum = Spectrum(grid, mu, treatment=text, source="calculated")
    return Calculated("calculated", PlacedSpectrum(spectrum, E0, "file", "e0", e_cut=-1.0), 26, "K")


def measured(recipe, shift=0.0, scale=1.0, noise=0.0, offset=0.0, slope=0.0, of=None):
    """Return that spectrum broadened, shifted, scaled and noisy, at other energies of a smooth curve."""
    of = of or calculated()
    mu = broaden([of.placed], [26], ["K"], recipe)[0]
    relative = np.arange(-9.9, 52.0, 0.37)
    values = scale * CubicSpline(of.placed.spectrum.energies, mu)(relative - shift) + offset + slope * relative
    values += np.random.default_rng(2).normal(0.0, noise, relative.size)
    return Spectrum(E0 + relative, values, source="measured", absolute=True)


TRUE = {"shift": 1.7, "scale": 0.42}


@pytest.mark.parametrize(
    ("recipe", "start"),
    [
        (BroadeningConfig("lorentzian", core_hole=1.6, gaussian=1.1), BroadeningConfig("lorentzian")),
        (
            BroadeningConfig("arctangent", gamma_max=11.0, centre=22.0, gaussian=0.9, core_hole=1.25),
            BroadeningConfig("arctangent", core_hole=1.25),
        ),
        (
            BroadeningConfig("seah-dench", gamma_max=9.0, gaussian=0.9, core_hole=1.25),
            BroadeningConfig("seah-dench", core_hole=1.25),
        ),
        (BroadeningConfig("gaussian", gaussian=2.2), BroadeningConfig("gaussian", gaussian=1.0)),
    ],
)
def test_fit_recovers_the_true_parameters(recipe, start):
    noise = 0.004
    found = fit_broadening(calculated(), measured(recipe, **TRUE, noise=noise), FitOptions(start))
    p = found.parameters
    for name, value in TRUE.items():
        assert p[name].value == pytest.approx(value, abs=5 * p[name].stderr)
    for name in (n for n, own in p.items() if own.varied and n not in TRUE):
        own = p[name]
        assert own.value == pytest.approx(getattr(recipe, name), abs=5 * own.stderr), name
        assert own.stderr < 0.2 * own.value
        for level, k in (("68", 1), ("95", 2)):
            low, high = own.intervals[level]
            assert low < own.value < high
            assert high - low == pytest.approx(2 * k * own.stderr, rel=0.5)
        assert getattr(found.broadening, name) == own.value
    residuals = found.experiment - found.fitted
    assert residuals.std() == pytest.approx(noise, rel=0.2)
    assert found.r_factor == pytest.approx((residuals**2).sum() / (found.experiment**2).sum())


@pytest.mark.slow
def test_intervals_have_their_nominal_coverage():
    """The 68 % interval covers the true width in about 68 % of forty fits, each with its own noise."""
    recipe, inside = BroadeningConfig("gaussian", gaussian=2.2), 0
    coarse = calculated(grid=np.arange(-15.0, 60.001, 0.5))  # forty fits in a few seconds
    plain = measured(recipe, **TRUE, of=coarse)
    for k in range(40):
        noise = np.random.default_rng(100 + k).normal(0.0, 0.01, plain.energies.size)
        experiment = replace(plain, intensities=plain.intensities + noise)
        start = FitOptions(replace(recipe, gaussian=1.0))
        low, high = fit_broadening(coarse, experiment, start).parameters["gaussian"].intervals["68"]
        inside += low < 2.2 < high
    assert 20 <= inside <= 35


def test_a_baseline_is_fitted_too():
    recipe = BroadeningConfig("gaussian", gaussian=1.5)
    experiment = measured(recipe, **TRUE, offset=0.2, slope=0.004)
    found = fit_broadening(calculated(), experiment, FitOptions(recipe, baseline="line")).parameters
    expected = {**TRUE, "gaussian": 1.5, "offset": 0.2, "slope": 0.004}
    assert {name: p.value for name, p in found.items()} == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("misfit", [0.0, 0.05])
def test_a_misfit_widens_the_intervals_more_than_noise_of_its_size(misfit):
    """A smooth residual is the calculation's error: its points are not independent."""
    recipe = BroadeningConfig("gaussian", gaussian=2.2)
    noisy = measured(recipe, **TRUE, noise=0.003)
    relative = noisy.energies - E0
    wave = misfit * np.sin(relative / 3.0)
    white = np.random.default_rng(5).normal(0.0, wave.std(), wave.size)
    start = FitOptions(replace(recipe, gaussian=1.0))
    smooth, rough = (
        fit_broadening(calculated(), replace(noisy, intensities=noisy.intensities + more), start)
        for more in (wave, white)
    )
    for name in ("shift", "scale"):
        ratio = smooth.parameters[name].stderr / rough.parameters[name].stderr
        assert ratio > 2.0 if misfit else ratio == 1.0
    assert rough.n_independent == rough.energies.size
    assert smooth.n_independent < 0.3 * rough.n_independent if misfit else smooth.n_independent == rough.n_independent


def test_known_standard_deviations_weigh_the_points():
    """Noise in one half of the spectrum, which its file tells, hardly harms the fit."""
    recipe, rng = BroadeningConfig("gaussian", gaussian=2.2), np.random.default_rng(3)
    plain = measured(recipe, **TRUE)
    sigma = np.where(plain.energies > E0 + 20.0, 0.1, 0.002)
    off: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(12):
        noisy = replace(plain, intensities=plain.intensities + sigma * rng.standard_normal(sigma.size))
        for known in off:
            experiment = replace(noisy, sigma=sigma if known else None)
            found = fit_broadening(calculated(), experiment, FitOptions(replace(recipe, gaussian=1.0))).parameters
            off[known].append(found["shift"].value - TRUE["shift"])
    assert np.std(off[True]) < 0.3 * np.std(off[False])


def test_a_width_at_its_bound_is_reported_and_the_others_have_errors():
    experiment = measured(BroadeningConfig("lorentzian", core_hole=1.6), **TRUE, noise=0.002)
    start = BroadeningConfig("lorentzian", gaussian=1.0)
    found = fit_broadening(calculated(), experiment, FitOptions(start)).parameters
    assert found["gaussian"].at_bound
    assert found["gaussian"].value == 0.0
    assert found["core_hole"].value == pytest.approx(1.6, abs=0.05)
    assert found["core_hole"].stderr > 0


def test_an_unconstrained_width_is_reported_and_the_others_have_errors():
    """With gamma_max at its bound, the energy at which it sets in has no effect."""
    experiment = measured(BroadeningConfig("lorentzian", core_hole=1.25), **TRUE, noise=0.002)
    start = BroadeningConfig("arctangent", core_hole=1.25, gamma_max=1.0, gaussian=0.5)
    options = FitOptions(start, vary=("gamma_max", "centre"))
    found = fit_broadening(calculated(), experiment, options)
    p = found.parameters
    assert (p["gamma_max"].at_bound, p["centre"].undetermined, p["centre"].stderr) == (True, True, None)
    for name in ("shift", "scale"):
        low, high = p[name].intervals["95"]
        assert low < p[name].value < high
    assert found.as_dict()["parameters"]["centre"]["undetermined"]


def test_a_fitted_resolution_of_zero_means_no_broadening():
    plain = calculated()
    relative = np.arange(-9.9, 52.0, 0.37)
    values = TRUE["scale"] * CubicSpline(GRID, plain.placed.spectrum.intensities)(relative - TRUE["shift"])
    experiment = Spectrum(E0 + relative, values, source="measured", absolute=True)
    found = fit_broadening(plain, experiment, FitOptions(BroadeningConfig("gaussian", gaussian=1.0)))
    assert found.parameters["gaussian"].at_bound
    assert found.broadening == BroadeningConfig()


def test_inverted_and_non_finite_spectra():
    recipe = BroadeningConfig("gaussian", gaussian=1.0)
    experiment = measured(recipe, **TRUE)
    down = replace(experiment, intensities=-experiment.intensities)
    with pytest.raises(SpectrumError, match="no positive scale fits the calculated spectrum"):
        fit_broadening(calculated(), down, FitOptions(recipe))
    odd = replace(experiment, intensities=1.0 - experiment.intensities)
    with pytest.raises(SpectrumError, match="neither inverted nor flat"):
        fit_broadening(calculated(), odd, FitOptions(recipe, baseline="constant", max_shift=1.0))
    with pytest.raises(SpectrumError, match="measured: all intensities are equal"):
        fit_broadening(calculated(), replace(experiment, intensities=0.5 + 0.0 * down.intensities), FitOptions(recipe))
    own = calculated()
    values = own.placed.spectrum.intensities.copy()
    values[7] = np.nan
    odd = replace(own, placed=replace(own.placed, spectrum=replace(own.placed.spectrum, intensities=values)))
    with pytest.raises(SpectrumError, match=r"calculated: expected finite numbers, received .* nan at point 7"):
        fit_broadening(odd, experiment, FitOptions(recipe))


def test_the_shift_stays_within_its_limit():
    recipe = BroadeningConfig("gaussian", gaussian=1.0)
    experiment = measured(recipe, **TRUE, noise=0.003)
    fixed = fit_broadening(calculated(), experiment, FitOptions(recipe, max_shift=0.0)).parameters["shift"]
    assert (fixed.value, fixed.varied) == (0.0, False)
    short = fit_broadening(calculated(), experiment, FitOptions(recipe, max_shift=1.0)).parameters["shift"]
    assert (short.value, short.at_bound) == (pytest.approx(1.0, abs=0.01), True)


def test_widths_can_be_fixed_and_the_range_chosen():
    recipe = BroadeningConfig("lorentzian", core_hole=1.6, gaussian=1.1)
    options = FitOptions(recipe, vary=(), start=-5.0, stop=30.0)
    found = fit_broadening(calculated(), measured(recipe, **TRUE), options)
    assert [name for name, p in found.parameters.items() if p.varied] == ["shift", "scale"]
    assert found.energies[0] >= -5.0
    assert found.energies[-1] <= 30.0
    assert found.parameters["shift"].value == pytest.approx(1.7, abs=0.01)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            FitOptions(BroadeningConfig("arctangent")),
            SpectrumError,
            "expected unbroadened spectra, received treatment 'x'",
        ),
        (FitOptions(max_shift=float("nan")), ConfigError, "`max_shift`: expected 0 eV or more, received nan"),
        (
            FitOptions(vary=("none", "gaussian")),
            ConfigError,
            "`vary`: .* received none, gaussian",
        ),
        (FitOptions(baseline="spline"), ConfigError, "`baseline` 'spline': expected none, constant, line"),
        (FitOptions(vary=("core_hole",)), ConfigError, "`vary` 'core_hole': gaussian .* expected gaussian"),
        (FitOptions(start=58.0), SpectrumError, "measured: 0 points overlap calculated in the range to fit"),
    ],
)
def test_invalid_fits(options, error, message):
    options = replace(options, broadening=replace(options.broadening, gaussian=1.0))
    experiment = measured(BroadeningConfig("gaussian", gaussian=1.0))
    with pytest.raises(error, match=message):
        fit_broadening(calculated(treatment("x")), experiment, options)


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = calculated()
    rows = np.column_stack([GRID + E0, own.placed.spectrum.intensities])
    write(tmp_path / "raw.txt", fdmnes_header() + table(rows))
    experiment = measured(BroadeningConfig("lorentzian", core_hole=1.6, gaussian=1.1), **TRUE, noise=0.003)
    write(tmp_path / "e.dat", table(np.column_stack([experiment.energies, experiment.intensities])))
    return tmp_path


def test_fit_broadening_command(files, capsys):
    words = ["fit-broadening", "raw.txt", "e.dat", "--absorber", "Fe", "--recipe", "lorentzian", "--e-cut", "-1"]
    assert run(*words, "-o", "r.toml", "--plot", "f.png", "--json", "f.json") == 0
    assert "core_hole" in capsys.readouterr().out
    found = json.loads((files / "f.json").read_text())
    assert found["parameters"]["core_hole"]["value"] == pytest.approx(1.6, abs=0.2)
    recipe = load_run(files / "r.toml", files, {}).broadening
    assert recipe.core_hole == found["parameters"]["core_hole"]["value"]
    assert (files / "f.png").stat().st_size > 10_000
    assert run("fit-broadening", "raw.txt", "e.dat", "--recipe", "lorentzian", "--e-cut", "-1") == 0  # raw.txt names Fe


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["raw.txt", "e.dat", "--absorber", "Fe", "--site", "A"],
            "--site applies to a store; raw.txt is a",
        ),
        (
            ["raw.txt", "e.dat", "--absorber", "Fe", "--recipe", "lorentzian", "--seah", "2"],
            "broadening.seah: applies to broadening seah-dench only",
        ),
        (["e.dat", "e.dat"], "e.dat: does not name its element; set --absorber, such as Fe"),
        (["raw.txt", "e.dat", "--absorber", "Xx"], "--absorber 'Xx': expected an element symbol"),
        (["raw.txt", "none.dat", "--absorber", "Fe"], "none.dat"),
        (["raw.txt", "e.dat", "--absorber", "Fe", "--recipe", "voigt"], "broadening.name: expected none or arctangent"),
        (
            ["raw.txt", "e.dat", "--absorber", "Fe", "--recipe", "none"],
            "--recipe 'none' has no width to fit: expected arc",
        ),
        (
            ["raw.txt", "e.dat", "--absorber", "Fe", "--vary", "hight"],
            "--vary 'hight': arctangent has no such width, expected core_hole, ",
        ),
        (
            ["raw.txt", "e.dat", "--absorber", "Fe", "-o", "e.dat", "--overwrite"],
            "expected a file ending in .toml, received 'e.dat'",
        ),
    ],
)
def test_invalid_commands(files, capsys, words, message):
    before = (files / "e.dat").read_text()
    assert run("fit-broadening", *words) == 2
    assert message in capsys.readouterr().err
    assert (files / "e.dat").read_text() == before
