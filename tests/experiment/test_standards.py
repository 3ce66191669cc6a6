"""Combinations of measured standards: made mixtures are found again, and the fit agrees with a slow one."""

import csv
import json
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from scipy.optimize import nnls
from support.builders import run, write

from xanes_hpc.errors import ConfigError, SpectrumError
from xanes_hpc.experiment.combinations import CombinationOptions, fit_combinations
from xanes_hpc.experiment.energy import EnergyOptions
from xanes_hpc.experiment.joint_fit import SeriesOptions, joint_fit
from xanes_hpc.experiment.normalised import NormaliseOptions, normalised
from xanes_hpc.experiment.series import make_series
from xanes_hpc.experiment.series_order import SeriesAxis
from xanes_hpc.experiment.standard_files import StandardFiles
from xanes_hpc.experiment.standards import StandardsLibrary, normalised_standards
from xanes_hpc.spectra.spectrum import Spectrum

E0 = 7112.0
ENERGIES = E0 + np.concatenate(
    [np.arange(-120.0, -20.0, 4.0), np.arange(-20.0, 50.0, 0.5), np.arange(50.0, 200.0, 2.0)]
)
FAR = E0 + np.concatenate([np.arange(-200.0, -20.0, 10.0), np.arange(-20.0, 50.0, 0.2), np.arange(50.0, 600.0, 5.0)])
"""Energies of a whole scan, whose pre-edge line is extrapolated far from few points."""
PLACES, HEIGHTS = (8.0, 14.0, 5.0, 21.0, 11.0), (0.6, 0.4, 0.8, 0.3, 0.2)


def absorption(k, energies):
    """Return the absorption of standard ``k``: an edge of its own with a white line."""
    relative = energies - E0
    line = HEIGHTS[k] * np.exp(-0.5 * ((relative - PLACES[k]) / 3.0) ** 2)
    return (
        0.5
        + np.arctan((relative - 0.7 * k) / 1.5) / np.pi
        + line
        + 0.05 * np.sin(relative / (9.0 + k)) * (relative > 30)
    )


def scan(name, mu, shift=0.0, energies=ENERGIES):
    return Spectrum(energies + shift, mu, absolute=True, source=name, element=26, edge="K")


def standards_for(sample, energies=ENERGIES):
    read = [(f"S{k}", scan(f"S{k}", 2.0 * absorption(k, energies) + 0.1 * k, energies=energies)) for k in range(5)]
    found, left_out = normalised_standards(read, sample, NormaliseOptions(), "K")
    assert left_out == []
    return found


def mixture(shares, noise=0.0, shift=0.0):
    mu = sum(share * absorption(k, ENERGIES) for k, share in shares.items())
    mu = mu + noise * np.random.default_rng(3).normal(size=ENERGIES.size)
    return normalised(scan("mixed", 1.7 * mu + 0.3 - 1e-4 * (ENERGIES - E0), shift))


@pytest.mark.parametrize("shares", [{0: 1.0}, {1: 0.7, 4: 0.3}, {0: 0.5, 2: 0.3, 3: 0.2}])
@pytest.mark.parametrize(("noise", "shift"), [(0.0, 0.0), (0.005, 0.0), (0.002, 0.6)])
@pytest.mark.parametrize("sum_to_one", [True, False])
def test_a_made_mixture_is_found(shares, noise, shift, sum_to_one):
    sample = mixture(shares, noise, shift)
    options = CombinationOptions(sum_to_one=sum_to_one, max_shift=1.5 if shift else 0.0)
    best = fit_combinations(sample, standards_for(sample), options).ranked[0]
    assert dict(zip(best.names, best.weights, strict=True)) == pytest.approx(
        {f"S{k}": share for k, share in shares.items()}, abs=0.03
    )
    assert list(best.weights) == sorted(best.weights, reverse=True)
    assert best.total == pytest.approx(1.0, abs=1e-9 if sum_to_one else 0.02)
    assert best.shifts == pytest.approx([shift] * len(shares), abs=0.25)
    assert best.r_factor < 1e-3
    for k, share in shares.items():
        at = best.names.index(f"S{k}")
        assert abs(best.weights[at] - share) < max(6.0 * best.errors[at], 0.01)


def test_standards_with_points_of_another_density_get_the_same_fractions():
    sample = mixture({0: 0.5, 2: 0.3, 3: 0.2})
    dense_after_the_edge = [np.arange(-130.0, -20.0, 2.0), np.arange(-20.0, 60.0, 0.1), np.arange(60.0, 220.0, 4.0)]
    alike, dense = (
        fit_combinations(sample, standards_for(sample, energies)).ranked[0]
        for energies in (ENERGIES, E0 + np.concatenate(dense_after_the_edge))
    )
    assert dense.names == alike.names == ("S0", "S2", "S3")
    assert dense.weights == pytest.approx(alike.weights, abs=0.002)
    assert dense.r_factor < 1e-5


def test_equal_standards_and_a_standard_as_the_sample():
    sample = mixture({2: 1.0})
    standards = standards_for(sample)
    twice = [*standards, type(standards[2])("again", standards[2].normal), type(standards[0])("itself", sample)]
    for sum_to_one in (True, False):
        found = fit_combinations(sample, twice, CombinationOptions(sum_to_one=sum_to_one))
        best = found.ranked[0]
        assert repr(found).startswith(f"<Combinations: 1.000 {best.names[0]}, error ")
        assert best.names in (("S2",), ("again",), ("itself",))
        assert best.r_factor < 1e-4


def test_every_combination_agrees_with_lawson_and_hanson():
    sample = mixture({0: 0.6, 3: 0.4}, 0.01)
    standards = standards_for(sample)
    found = fit_combinations(sample, standards, CombinationOptions(most=2, sum_to_one=False, keep=100))
    sides = {own.name: np.interp(found.energies, own.spectrum.energies, own.spectrum.intensities) for own in standards}
    assert 0.0 <= found.energies[0] - (sample.e0 - 20.0) < 0.5
    assert 0.0 <= sample.e0 + 30.0 - found.energies[-1] < 0.5
    expected = {}
    for names in [*combinations(sides, 1), *combinations(sides, 2)]:
        weights, left = nnls(np.array([sides[name] for name in names]).T, found.sample)
        if weights.min() >= 0.01 * weights.sum():
            expected[frozenset(names)] = left**2 / np.square(found.sample).sum()
    assert {frozenset(own.names): own.r_factor for own in found.ranked} == pytest.approx(expected, rel=1e-4)


def test_standard_errors_are_those_of_repeated_measurements():
    weights, errors = [], []
    rng = np.random.default_rng(0)
    clean = sum(share * absorption(k, ENERGIES) for k, share in {0: 0.6, 3: 0.4}.items())
    for _ in range(60):
        noisy = normalised(scan("m", clean + 0.01 * rng.normal(size=ENERGIES.size)), NormaliseOptions(e0=E0))
        standards = [own for own in standards_for(noisy) if own.name in ("S0", "S3")]
        best = next(
            own for own in fit_combinations(noisy, standards, CombinationOptions()).ranked if len(own.names) == 2
        )
        at = best.names.index("S0")
        weights.append(best.weights[at])
        errors.append(best.errors[at])
    assert 0.6 < np.std(weights) / np.mean(errors) < 1.8


def coverage(apart, errors):
    """Return which parts of the differences are within one and two standard errors."""
    ratios = np.abs(np.array(apart) / np.array(errors))
    return float(np.mean(ratios < 1.0)), float(np.mean(ratios < 2.0))


@pytest.mark.parametrize("noise", [0.002, 0.01, 0.03])
@pytest.mark.parametrize("sum_to_one", [True, False])
def test_standard_errors_contain_the_normalisation(noise, sum_to_one):
    """Each sample is normalised on its own, with its own noise in the windows."""
    rng, apart, errors = np.random.default_rng(1), [], []
    clean = sum(share * absorption(k, FAR) for k, share in {1: 0.6, 4: 0.4}.items())

    def fitted(noise):
        sample = normalised(scan("m", clean + noise * rng.normal(size=FAR.size), energies=FAR), NormaliseOptions(e0=E0))
        standards = [own for own in standards_for(sample, FAR) if own.name in ("S1", "S4")]
        ranked = fit_combinations(sample, standards, CombinationOptions(sum_to_one=sum_to_one)).ranked
        return [own for own in ranked if len(own.names) == 2]

    exact = fitted(0.0)[0]
    shares = dict(zip(exact.names, exact.weights, strict=True))
    for best in (own for _ in range(60) for own in fitted(noise)):
        apart += [weight - shares[name] for name, weight in zip(best.names, best.weights, strict=True)]
        errors += best.errors
    one, two = coverage(apart, errors)
    assert 0.55 < one < 0.9
    assert two > 0.9


def test_standard_deviations_weight_the_energies():
    """Energies that a sample's sigma calls wrong decide nothing."""
    clean = mixture({0: 0.6, 3: 0.4})
    relative = clean.spectrum.energies - clean.e0
    wrong = (relative > 5.0) & (relative < 20.0)
    spoiled = replace(clean.spectrum, intensities=clean.spectrum.intensities + 0.1 * wrong)
    found = []
    for spectrum in (clean.spectrum, spoiled, replace(spoiled, sigma=np.where(wrong, 1.0, 0.001))):
        best = fit_combinations(replace(clean, spectrum=spectrum), standards_for(clean), CombinationOptions()).ranked[0]
        found.append(dict(zip(best.names, best.weights, strict=True)).get("S0", 0.0))
    exact, without, weighted = found
    assert abs(weighted - exact) < 0.005 < 0.02 < abs(without - exact)


@pytest.mark.parametrize("options", [{"most": 0}, {"max_shift": -1.0}])
def test_invalid_options(options):
    with pytest.raises(ConfigError, match=r"`mixture`|`max_shift`"):
        CombinationOptions(**options).check()


def test_standards_without_overlap_are_an_error():
    sample = mixture({0: 1.0})
    with pytest.raises(SpectrumError, match="the standards cover 0 of the sample's energies"):
        fit_combinations(sample, standards_for(sample), CombinationOptions(start=300.0, stop=400.0))


@pytest.fixture
def folder(tmp_path):
    """Standards of iron in a folder, with one of copper and one that cannot be read, and two samples."""
    header = "# XDI/1.0\n# Element.symbol: Fe\n# Element.edge: K\n# Column.1: energy eV\n# Column.2: norm\n#---\n"

    def table(mu):
        return "".join(f"{e:.3f} {y:.8f}\n" for e, y in zip(ENERGIES, mu, strict=True))

    for k in range(5):
        write(tmp_path / "std" / f"S{k}.xdi", header + table(absorption(k, ENERGIES)))
    write(
        tmp_path / "std" / "cu.xdi",
        header.replace("Fe", "Cu") + "".join(f"{e} {int(e > 8979)}\n" for e in range(8960, 9040)),
    )
    write(tmp_path / "std" / "nan.dat", "7100 1\n7110 nan\n7120 2\n7130 2\n")
    for name, shares in (("a", {0: 0.6, 3: 0.4}), ("b", {2: 0.8, 4: 0.2})):
        mu = sum(share * absorption(k, ENERGIES) for k, share in shares.items())
        write(tmp_path / f"{name}.xdi", header + table(3.0 * mu + 0.2))
    return tmp_path


def test_match_with_standards(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    words = ["match", "a.xdi", "b.xdi", "std/nan.dat", "--standards", "std"]
    assert run(*words, "-o", "m.csv", "--plot", "m.png", "--json", "m.json") == 0
    out, err = capsys.readouterr()
    assert max(map(len, out.splitlines())) <= 100
    assert ["cu.xdi" in err, "nan.dat" in err] == [True, True]
    found = json.loads((folder / "m.json").read_text())
    best = [dict(zip(*(one["combinations"][0][name] for name in ("standards", "fractions")), strict=True))
            for one in found["spectra"]]  # fmt: skip
    assert best == [pytest.approx({"S0": 0.6, "S3": 0.4}, abs=0.01), pytest.approx({"S2": 0.8, "S4": 0.2}, abs=0.01)]
    assert [one["spectrum"] for one in found["not_fitted"]] == ["nan.dat"]
    assert {one["standard"] for one in found["standards_left_out"]} == {"cu", "nan.dat"}
    rows = list(csv.DictReader((folder / "m.csv").read_text().splitlines()))
    assert [(row["spectrum"], row["rank"], row["standard"]) for row in rows[:2]] == [
        ("a.xdi", "1", "S0"),
        ("a.xdi", "1", "S3"),
    ]
    assert float(rows[0]["fraction"]) == pytest.approx(0.6, abs=0.01)
    assert (folder / "m.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.xdi"], "expected EXPERIMENT and STORE, or --standards"),
        (["a.xdi", "--standards", "std", "--by", "chi2"], "--by does not apply to --standards"),
        (["a.xdi", "--standards", "no"], "no: "),
        (["a.xdi", "--standards", "std/cu.xdi"], "expected a spectrum of Fe K"),
        (["a.xdi", "--standards", "std", "--range", "300:400"], "the standards cover 0"),
        (["std/nan.dat", "--standards", "std"], "nan.dat"),
    ],
)
def test_invalid_commands(folder, monkeypatch, capsys, words, message):
    monkeypatch.chdir(folder)
    assert run("match", *words) == 2
    assert message in capsys.readouterr().err


def test_a_series_of_standards(folder, monkeypatch):
    monkeypatch.chdir(folder)
    shares = np.linspace(0.1, 0.9, 6)
    rng = np.random.default_rng(1)
    for k, share in enumerate(shares):
        mu = (1.0 - share) * absorption(1, ENERGIES) + share * absorption(2, ENERGIES)
        mu = mu + 0.002 * rng.normal(size=ENERGIES.size)
        write(folder / "run" / f"r{k}.dat", "".join(f"{e:.3f} {y:.8f}\n" for e, y in zip(ENERGIES, mu, strict=True)))
    words = ["run", "run/r2.dat", "--standards", "std", "--absorber", "Fe", "--json", "s.json", "--plot", "s.png"]
    assert run("series", *words) == 0
    found = json.loads((folder / "s.json").read_text())
    assert found["left_out"] == [{"spectrum": "r2.dat", "reason": "r2.dat: named 2 times; it counts once"}]
    sites = [one["site"] for one in found["sets"][0]["sites"]]
    assert (found["components"]["number"], sites) == (2, ["S1", "S2"])
    assert np.array(found["sets"][0]["fractions"])[:, 1] == pytest.approx(shares, abs=0.02)


def noisy_series(noise, rng, sigma=None):
    """Return the fractions of S4 along a series, and their errors."""
    spectra = []
    for k, share in enumerate(np.linspace(0.1, 0.9, 9)):
        mu = (1.0 - share) * absorption(1, FAR) + share * absorption(4, FAR)
        own = scan(f"r{k}", mu + noise * rng.normal(size=FAR.size), energies=FAR)
        spectra.append((own.source, replace(own, sigma=sigma)))
    series = make_series(spectra, SeriesAxis("t", "s", np.arange(9.0)), NormaliseOptions(e0=E0))
    library = StandardsLibrary(standards_for(series.normal, FAR)[1::3], series.energies)
    best = joint_fit(series, library, SeriesOptions(components=2, start=E0 - 20, stop=E0 + 60)).ranked[0]
    at = best.sites.index("S4")
    return best.fractions[:, at], best.standard_errors[:, at]


@pytest.mark.parametrize("noise", [0.002, 0.01, 0.03])
def test_errors_along_a_series_contain_the_normalisation(noise):
    rng = np.random.default_rng(2)
    exact, _ = noisy_series(0.0, rng)
    shares, errors = zip(*(noisy_series(noise, rng) for _ in range(12)), strict=True)
    one, two = coverage(np.array(shares) - exact, errors)
    assert 0.55 < one < 0.9
    assert two > 0.9


def test_standard_deviations_weight_the_energies_of_a_series():
    relative = FAR - E0
    noise = np.where((relative > 4.0) & (relative < 25.0), 0.2, 0.0005)
    exact, without, weighted = (
        noisy_series(size, np.random.default_rng(3), sigma)[0]
        for size, sigma in ((0.0, None), (noise, None), (noise, noise))
    )
    assert np.std(weighted - exact) < 0.5 * np.std(without - exact)


def test_a_standard_with_windows_of_its_own_is_told(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert run("match", "a.xdi", "--standards", "std") == 0
    assert "windows" not in capsys.readouterr().err
    *head, rows = (folder / "std" / "S3.xdi").read_text().partition("#---\n")
    short = [row for row in rows.splitlines() if float(row.split()[0]) < E0 + 110.0]
    write(folder / "std" / "S3.xdi", "".join(head) + "\n".join(short) + "\n")
    assert run("match", "a.xdi", "--standards", "std", "--json", "m.json") == 0
    assert "S3 does not cover the sample's windows" in capsys.readouterr().err
    assert json.loads((folder / "m.json").read_text())["spectra"][0]["own_windows"] == ["S3"]


def test_names_of_standards_are_told_apart(folder):
    write(folder / "more" / "S0.xdi", (folder / "std" / "S1.xdi").read_text())
    found = StandardFiles.read([folder / "std" / "S0.xdi", folder / "more"], EnergyOptions())
    assert len({name for name, _ in found.spectra}) == 2
