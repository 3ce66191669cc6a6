"""Calibration by a reference channel or a foil's scan, to the first inflection; and the options of the commands."""

import json
from dataclasses import replace

import numpy as np
import pytest
from support.builders import run, write

from xanes_hpc.errors import ConfigError, SpectrumError
from xanes_hpc.experiment.calibration import Foil
from xanes_hpc.experiment.energy import EnergyOptions, correction
from xanes_hpc.experiment.merged import MergeOptions
from xanes_hpc.experiment.merging import merge
from xanes_hpc.spectra.inflection import first_inflection
from xanes_hpc.spectra.spectrum import Spectrum

ENERGIES = np.arange(6450.0, 6750.0, 0.4)
MN = 6539.0


def edge(energies, e0, width=1.5):
    return 0.5 + np.arctan((energies - e0) / width) / np.pi


def foil(energies, e0=MN):
    """Return a metal's spectrum, whose first inflection is not its steepest: as of manganese."""
    return 0.45 * edge(energies, e0, 0.8) + edge(energies, e0 + 7.0, 1.2)


def sample(shift=1.3, noise=0.0, **others):
    rng = np.random.default_rng(0)
    moved = ENERGIES - shift
    mu, reference = edge(moved, 6548.0), foil(moved) + noise * rng.standard_normal(moved.size)
    return Spectrum(ENERGIES, mu, source="a.dat", element=25, edge="K", reference=reference, **others)


@pytest.mark.parametrize("noise", [0.0, 0.003])
def test_the_reference_channel_moves_the_spectrum_to_the_tabulated_edge(noise):
    found = correction(EnergyOptions("reference"))(sample(noise=noise, e_edge=6540.3))
    np.testing.assert_allclose(found.energies, ENERGIES - 1.3, atol=0.1)
    assert found.e_edge == pytest.approx(MN, abs=0.1)
    ((_, detail),) = found.choices
    assert "6539 eV in XrayDB" in detail


@pytest.mark.parametrize(("shift", "doubted"), [(2.0, False), (-2.0, False), (4.4, True), (-4.4, True)])
def test_a_large_calibration_is_doubted(shift, doubted):
    found = correction(EnergyOptions("reference"))(sample(shift))
    assert ("the calibration is unusually large" in dict(found.choices)) == doubted
    merged = merge([("a", sample(shift)), ("b", sample(shift, 0.001))], MergeOptions(EnergyOptions("reference")))
    assert ("the calibration is unusually large" in dict(merged.choices[0])) == doubted


def test_wrong_points_do_not_move_the_first_inflection():
    mu = foil(ENERGIES)
    right = first_inflection(ENERGIES, mu)
    mu[[3, 220, 260]] += (5.0, -1.0, 2.0)
    assert first_inflection(ENERGIES, mu) == pytest.approx(right, abs=0.1)


@pytest.mark.parametrize(
    ("changes", "options", "error"),
    [
        ({"reference": None}, EnergyOptions("reference"), "a.dat: has no usable reference channel"),
        ({"reference": 2.0 + 0 * ENERGIES}, EnergyOptions("reference"), "a.dat: reference channel: has no edge"),
        ({}, EnergyOptions("reference", "Fe"), "a.dat: reference channel: its edge at 65.* `foil`"),
        ({"energies": ENERGIES - 6539.0}, EnergyOptions("reference"), "a.dat"),
    ],
)
def test_a_reference_that_calibrates_nothing_is_one_line(changes, options, error):
    with pytest.raises(SpectrumError, match=error):
        correction(options)(replace(sample(), **changes))


def test_options_that_are_not_possible_are_refused():
    for options in (EnergyOptions("reference", "Xx"), EnergyOptions(foil="Fe"), EnergyOptions("reference", "Fe Q")):
        with pytest.raises(ConfigError, match="`foil`"):
            correction(options)
    with pytest.raises(ConfigError, match="`foil`"):
        correction(EnergyOptions("reference"))(replace(sample(), element=None))
    with pytest.raises(ConfigError, match="`foil`"):
        correction(EnergyOptions("reference"), 79, "L")(sample())
    assert Foil.parse("Au L3") == Foil.parse("au:l3") == Foil(79, "L3")


def columns(path, titles, *values):
    return write(
        path, f"# {' '.join(titles)}\n" + "\n".join(" ".join(map(str, row)) for row in zip(*values, strict=True))
    )


def test_the_scan_of_a_foil_calibrates(tmp_path):
    scan = columns(tmp_path / "foil.dat", ("energy", "mu"), ENERGIES, foil(ENERGIES - 0.7))
    found = correction(EnergyOptions(str(scan)), 25, "K")(sample())
    np.testing.assert_allclose(found.energies, ENERGIES - 0.7, atol=0.05)
    with pytest.raises(SpectrumError, match=r"a\.dat: covers .* far from the Mn K edge of foil\.dat"):
        correction(EnergyOptions(str(scan)), 25, "K")(replace(sample(), energies=ENERGIES + 2000.0))
    with pytest.raises(SpectrumError, match=r"foil\.dat: its edge at 65.* `foil`"):
        correction(EnergyOptions(str(scan)), 26, "K")


@pytest.mark.parametrize("calibrate", ["reference", "foil.dat", "none"])
def test_a_command_calibrates_and_leaves_out_glitches(tmp_path, monkeypatch, calibrate, capsys):
    monkeypatch.chdir(tmp_path)
    energies, shift = np.arange(7000.0, 7300.0, 0.5), 1.3
    mu = edge(energies, 7120.0)
    write(tmp_path / "calculated.txt", "".join(f"{x} {y}\n" for x, y in zip(energies, mu, strict=True)))
    mu[300] += 0.2
    reference = foil(energies, 7112.0)
    columns(tmp_path / "scan.dat", ("energy", "mutrans", "murefer"), energies + shift, mu, reference)
    columns(tmp_path / "foil.dat", ("energy", "mu"), energies + shift, reference)
    given = ("--absorber", "Fe", "--calibrate", calibrate, "--deglitch", "--json", "found.json")
    assert run("fit-broadening", "calculated.txt", "scan.dat", *given) == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["parameters"]["shift"]["value"] == pytest.approx(shift if calibrate == "none" else 0.0, abs=0.06)
    assert set(found["choices"]) >= {"single points off the curve were left out as glitches"}
    assert ("energies were calibrated" in found["choices"]) == (calibrate != "none")
    assert run("fit-broadening", "calculated.txt", "scan.dat", "--absorber", "Fe", "--calibrate", "gone.dat") == 2
    assert "gone.dat" in capsys.readouterr().err
