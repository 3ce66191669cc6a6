"""A measured series: its components, the sites it is made of, and their fractions, against slow and made cases."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import nnls
from support.builders import run, write

import xanes_hpc as xh
from xanes_hpc.cli import series_tables
from xanes_hpc.errors import ConfigError, FormatError, SpectrumError
from xanes_hpc.experiment.isosbestic import isosbestic_points
from xanes_hpc.experiment.joint_fit import SeriesOptions, joint_fit
from xanes_hpc.experiment.measured_files import MeasuredFile, measured_files
from xanes_hpc.experiment.nonnegative import fit_each, gains_with
from xanes_hpc.experiment.normalised import NormaliseOptions, normalised
from xanes_hpc.experiment.principal_components import principal_components
from xanes_hpc.experiment.series import make_series
from xanes_hpc.experiment.series_order import SeriesAxis, ordered_files
from xanes_hpc.spectra.spectrum import Spectrum
from xanes_hpc.stores.predictions import PredictionStore

GRID, E0 = np.linspace(-15.0, 60.0, 151), 7112.0
SHARES = 1.0 / (1.0 + np.exp(-(np.arange(12) - 5.5) / 1.5))


class Shelf:
    """Thirty edges with peaks of their own, as predictions with a small sigma."""

    energies, origin, n = GRID, "e0", 30
    names, e0 = [f"S{k}" for k in range(n)], np.full(n, E0)

    def __init__(self):
        rng = np.random.default_rng(4)
        self.places, self.heights = rng.uniform(0, 45, (self.n, 4)), rng.uniform(0.1, 0.5, (self.n, 4))
        self.mean = np.array([self.curve(k, GRID) for k in range(self.n)])

    def curve(self, k, energies):
        peaks = np.exp(-0.5 * ((energies[:, None] - self.places[k]) / 2.5) ** 2) * (energies[:, None] < 60)
        return 0.5 + np.arctan(energies / 2.0) / np.pi + peaks @ self.heights[k]

    def read(self, rows):
        return self.mean[rows].copy(), np.full((rows.size, GRID.size), 0.01)

    def references(self, rows, most):
        return rows[:0], np.empty((0, GRID.size))


def series_of(shelf, shares, noise=0.0, shift=1.3, first=-120.0, last=250.0, **options):
    """Return a series in which sites 3 and 17 mix, on a background and with scales of their own."""
    rng = np.random.default_rng(1)
    energies = np.concatenate([np.arange(first, -20.0, 4.0), np.arange(-20.0, min(last, 70.0), 0.5)])
    energies = np.concatenate([energies, np.arange(70.0, last, 2.0)])
    ends = [shelf.curve(k, energies) for k in (3, 17)]
    spectra = []
    for k, share in enumerate(shares):
        mu = (1.0 - share) * ends[0] + share * ends[1] + noise * rng.normal(size=energies.size)
        mu = rng.uniform(0.5, 2.0) * (mu + 0.4 - 3e-4 * energies)
        spectra.append((f"m{k}", Spectrum(E0 + energies + shift, mu, absolute=True, source=f"m{k}")))
    axis = SeriesAxis("T", "K", 300.0 + 10.0 * np.arange(len(shares)))
    return make_series(spectra, axis, NormaliseOptions(**options))


def test_the_edge_step_of_a_series_is_that_of_a_typical_spectrum():
    """Not that of spectra scaled to one range."""
    energies = np.arange(-120.0, 250.0, 1.0)
    edge = 0.5 + np.arctan(energies / 2.0) / np.pi + np.exp(-(((energies - 8.0) / 4.0) ** 2))
    spectra = [
        (f"m{k}", Spectrum(E0 + energies, step * edge + 3.0, absolute=True, source=f"m{k}"))
        for k, step in enumerate((2.0, 2.5, 3.0))
    ]
    series = make_series(spectra, SeriesAxis("t", "s", np.arange(3.0)))
    assert series.normal.background.step == pytest.approx(normalised(spectra[1][1]).background.step)
    assert np.ptp(series.spectra, axis=0).max() < 1e-9


def test_non_negative_fits_agree_with_lawson_and_hanson():
    rng = np.random.default_rng(0)
    for k in (1, 2, 3, 4):
        sides, targets = rng.normal(size=(k, 20)), rng.normal(size=(15, 20))
        found = fit_each(sides @ sides.T, targets @ sides.T)
        expected = np.array([nnls(sides.T, y)[0] for y in targets])
        assert found == pytest.approx(expected, abs=1e-6)
        others = rng.normal(size=(7, 20))
        gains = gains_with(
            sides @ sides.T, sides @ targets.T, others @ sides.T, np.square(others).sum(1), others @ targets.T
        )
        for one, gain in zip(others, gains, strict=True):
            left = sum(nnls(np.vstack([sides, one]).T, y)[1] ** 2 for y in targets)
            assert np.square(targets).sum() - gain == pytest.approx(left)


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_the_number_of_components_is_found(n, noise):
    rng = np.random.default_rng(n)
    shelf = Shelf()
    mixed = rng.dirichlet(np.ones(n), 20) @ shelf.mean[:n] + noise * rng.normal(size=(20, GRID.size))
    found = principal_components(mixed)
    assert found.n == n
    percent, spoil = found.target_test(shelf.mean, n, max(noise, 1e-3))
    assert spoil[:n].max() < 3.0 < 6.0 < spoil[n:].min()
    assert percent[:n].max() < 1.0
    assert principal_components(mixed, 4).n == 4


@pytest.mark.parametrize(("noise", "within"), [(0.0, 0.01), (0.01, 0.05)])
@pytest.mark.parametrize("flatten", [True, False])
def test_a_made_series_comes_out(noise, within, flatten):
    """Two sites, one fading into the other, are found with their fractions and the shift of the series."""
    shelf = Shelf()
    found = joint_fit(series_of(shelf, SHARES, noise, flatten=flatten), shelf, SeriesOptions(max_shift=3.0))
    best = found.ranked[0]
    assert found.components.n == 2
    assert best.sites == ("S3", "S17")
    assert best.shift == pytest.approx(1.3, abs=0.1)
    assert best.fractions[:, 1] == pytest.approx(SHARES, abs=within)
    assert best.fractions.sum(axis=1) == pytest.approx(np.ones(12))
    assert best.error_percent.max() < 6.0
    errors = np.maximum(best.standard_errors, best.bootstrap_errors)[:, 1]
    assert np.abs(best.fractions[:, 1] - SHARES).max() < 5.0 * errors.max()
    assert [one.score for one in found.ranked] == sorted(one.score for one in found.ranked)


class HeldShelf(Shelf):
    """A library with held-out references: its own curves with another small peak."""

    def references(self, rows, most):
        rng = np.random.default_rng(5)
        peaks = [np.exp(-0.5 * ((GRID - place) / 3.0) ** 2) for place in rng.uniform(5, 45, rows.size)]
        return rows[:most], (self.mean[rows] + rng.uniform(0.0, 0.2, (rows.size, 1)) * np.array(peaks))[:most]


def test_spectra_that_no_mixture_explains_are_told():
    shelf = HeldShelf()
    found = joint_fit(series_of(shelf, SHARES, 0.003), shelf, SeriesOptions(max_shift=2.0))
    assert set(found.judged) == {""}
    assert joint_fit(series_of(Shelf(), SHARES, 0.003), Shelf(), SeriesOptions(max_shift=2.0)).held_out is None
    strange = Shelf()
    strange.curve = lambda k, x: 0.5 + np.arctan((x - 4 - k) / 6.0) / np.pi + np.exp(-0.5 * ((x - k) / 1.5) ** 2)
    unlike = joint_fit(series_of(strange, SHARES, 0.003), shelf, SeriesOptions(max_shift=2.0))
    assert unlike.ranked[0].error_percent.min() > found.held_out.errors[-1]
    assert set(unlike.judged) == {"unexplained"}
    free = unlike.ranked[0]
    residual, whole = np.abs(free.measured - free.fitted).sum(axis=1), np.abs(free.measured).sum(axis=1)
    assert free.error_percent == pytest.approx(100.0 * residual / whole)


def test_tables_have_whole_names_and_verdicts_and_fit_the_terminal(capsys):
    shelf, strange = HeldShelf(), Shelf()
    shelf.names = [f"{k}_{'x' * 48}_{k}" for k in range(shelf.n)]
    strange.curve = lambda k, x: 0.5 + np.arctan((x - 4 - k) / 6.0) / np.pi + np.exp(-0.5 * ((x - k) / 1.5) ** 2)
    for source, verdict in ((shelf, False), (strange, True)):
        found = joint_fit(series_of(source, SHARES, 0.003), shelf, SeriesOptions(max_shift=2.0))
        series_tables.show(found, "sites", [""] * shelf.n, 2.0)
        out, err = capsys.readouterr()
        others = out[out.index("other sites") :]
        assert all(site in others for one in found.ranked[1:6] for site in one.sites)
        assert max(map(len, out[out.index("component  eigen") :].splitlines())) <= 100
        assert ("unexplained" in out) == ("no mixture of sites explains 12 of 12 spectra" in err) == verdict
        assert "100 held-out spectra" in out or "30 held-out spectra" in out
        rows = series_tables.csv_rows(found)
        assert {row[rows[0].index("verdict")] for row in rows[1]} == ({"unexplained"} if verdict else {""})


def test_a_held_out_spectrum_alone_is_judged_as_in_a_series():
    """A series of one reference has the error that the reference itself has among the held-out ones."""
    shelf = HeldShelf()
    reference = shelf.references(np.arange(30), 100)[1][7]
    energies = np.concatenate([np.arange(-120.0, -15.0, 5.0), GRID, np.arange(61.0, 250.0, 2.0)])
    mu = np.interp(energies, GRID, reference)
    same = [(f"m{k}", Spectrum(E0 + energies, mu, absolute=True, source=f"m{k}")) for k in range(3)]
    series = make_series(same, SeriesAxis("t", "s", np.arange(3.0)))
    found = joint_fit(series, shelf, SeriesOptions(components=1))
    assert np.abs(found.held_out.errors - found.ranked[0].error_percent[0]).min() < 0.1


def test_a_series_too_short_to_be_normalised_comes_out():
    shelf = Shelf()
    series = series_of(shelf, SHARES, 0.01, first=-15.0, last=60.0)
    assert not series.is_normalised
    best = joint_fit(series, shelf, SeriesOptions(max_shift=3.0)).ranked[0]
    assert set(best.sites) == {"S3", "S17"}
    assert best.fractions[:, best.sites.index("S17")] == pytest.approx(SHARES, abs=0.05)


def test_long_series_and_given_components():
    shelf = Shelf()
    shares = np.linspace(0.0, 1.0, 100)
    found = joint_fit(series_of(shelf, shares, 0.01), shelf, SeriesOptions(max_shift=2.0, components=3, keep=1))
    assert (found.components.n, len(found.ranked[0].sites), len(found.ranked)) == (3, 3, 2)
    assert {"S3", "S17"} <= set(found.ranked[0].sites)


def test_a_series_that_does_not_change_has_one_component():
    shelf = Shelf()
    found = joint_fit(series_of(shelf, np.zeros(5), 0.01), shelf, SeriesOptions(max_shift=2.0))
    assert (found.components.n, found.ranked[0].sites, found.isosbestic) == (1, ("S3",), [])
    identical = joint_fit(series_of(shelf, np.zeros(5)), shelf, SeriesOptions(max_shift=2.0))
    assert (identical.components.n, identical.ranked[0].sites) == (1, ("S3",))


def test_equal_and_unusable_sites_do_no_harm():
    """Sites with the same spectrum, spectra of NaN, and libraries smaller than the number of components."""
    shelf = Shelf()
    shelf.mean[5:9] = shelf.mean[17]
    shelf.mean[20] = np.nan
    series = series_of(shelf, SHARES, 0.005)
    found = joint_fit(series, shelf, SeriesOptions(max_shift=2.0, components=3, keep=3))
    assert found.ranked[0].fractions.sum(axis=1) == pytest.approx(np.ones(12))
    assert "S20" not in found.ranked[0].sites
    few = joint_fit(series, shelf, SeriesOptions(max_shift=2.0), np.array([3, 5, 17]))
    assert set(few.ranked[0].sites) in ({"S3", "S5"}, {"S3", "S17"})
    one = joint_fit(series, shelf, SeriesOptions(), np.array([3]))
    assert one.ranked[0].sites == ("S3",)
    with pytest.raises(SpectrumError, match="none of"):
        joint_fit(series, shelf, SeriesOptions(), np.array([20]))


def test_isosbestic_points_are_where_the_ends_cross():
    shelf = Shelf()
    series = series_of(shelf, SHARES, 0.002)
    found = joint_fit(series, shelf, SeriesOptions(max_shift=2.0))
    apart = shelf.curve(3, GRID) - shelf.curve(17, GRID)
    crossings = GRID[:-1][np.sign(apart[1:]) != np.sign(apart[:-1])]
    assert found.isosbestic
    for energy in found.isosbestic:
        assert np.abs(crossings + E0 + 1.3 - energy).min() < 1.5
    bent = series.spectra.copy()
    bent[6] += 0.2
    assert isosbestic_points(series.energies, bent, found.noise) == []


def test_spectra_without_overlap_are_left_out():
    energies = np.arange(7000.0, 7200.0)
    steps = [("a", energies), ("b", energies), ("far", energies + 1000.0), ("c", energies + 0.25)]
    spectra = [(name, Spectrum(e, (e > 7112.0) * 1.0 + 1e-3 * e, absolute=True, source=name)) for name, e in steps]
    series = make_series(spectra, SeriesAxis("t", "s", np.arange(4.0)))
    assert series.names == ["a", "b", "c"]
    assert [one.name for one in series.left_out] == ["far"]
    assert series.axis.values.tolist() == [0.0, 1.0, 3.0]
    assert (series.energies[0], series.energies[-1]) == (7001.0, 7199.0)
    for few in (spectra[:2], [spectra[0], spectra[2]]):
        with pytest.raises(SpectrumError, match="expected a series of 3 or more spectra"):
            make_series(few, SeriesAxis("t", "s", np.arange(2.0)))


@pytest.mark.parametrize(
    ("title", "name", "unit"),
    [("time (s)", "time", "s"), ("T [K]", "T", "K"), ("T / K", "T", "K"), ("step", "step", ""), ("pH", "pH", "")],
)
def test_the_order_may_come_from_a_table(tmp_path, title, name, unit):
    files = [MeasuredFile(Path(f"m{k}.dat"), f"m{k}.dat") for k in (10, 2, 1)]
    found, axis = ordered_files(files, None)
    assert ([own.name for own in found], axis.values.tolist()) == (["m1.dat", "m2.dat", "m10.dat"], [1.0, 2.0, 3.0])
    table = write(tmp_path / "o.csv", f"file,{title}\nm1,3\nm2.dat,2\nm10.dat,1\nother,0\n")
    found, axis = ordered_files(files, table)
    assert ([own.name for own in found], axis.values.tolist()) == (["m10.dat", "m2.dat", "m1.dat"], [1.0, 2.0, 3.0])
    assert (axis.title, axis.unit) == (name, unit)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,t\nm1.dat,1\n", "lacks 1"),
        ("file,t\nm1.dat,1\nm2.dat,cold\n", "line 3: expected a number for t, received 'cold'"),
        ("file,t\nm1.dat,1\nm2.dat,nan\n", "line 3: expected a number"),
        ("file,t\nm1.dat,1\nm1.dat,2\n", "line 3: second row of m1.dat"),
        ("name,t\nm1.dat,1\n", "line 1: expected columns file and"),
        ("file\nm1.dat\n", "line 1: expected columns file and"),
    ],
)
def test_unusable_tables(tmp_path, text, message):
    files = [MeasuredFile(Path(f"m{k}.dat"), f"m{k}.dat") for k in (1, 2)]
    with pytest.raises(FormatError, match=message):
        ordered_files(files, write(tmp_path / "o.csv", text))


@pytest.mark.parametrize("options", [{"components": 0}, {"by": "r"}, {"noise": 0.0}, {"max_shift": np.nan}])
def test_invalid_options(options):
    with pytest.raises(ConfigError, match=f"`{next(iter(options))}`"):
        SeriesOptions(**options).check()


@pytest.fixture
def folder(predicted, tmp_path):
    """A series of two iron sites that the store predicts, its table, and two files that do not belong to it."""
    with PredictionStore(predicted) as store:
        sites = store.sites
        rows = np.flatnonzero(sites.element == 26)[[0, 3]].tolist()
        energies, ends = store.energies, store.read("mean")[rows]
    shares, lines = np.linspace(0.05, 0.95, 7), ["file,T (K)"]
    rng = np.random.default_rng(2)
    for k, share in enumerate(shares):
        mu = (1.0 - share) * ends[0] + share * ends[1]
        mu = mu + 0.003 * mu.max() * rng.normal(size=energies.size)
        text = "".join(f"{e + E0:.4f} {3.0 * y + 1.0:.8f}\n" for e, y in zip(energies, mu, strict=True))
        write(tmp_path / "run" / f"s{k + 5}.dat", text)
        lines.append(f"s{k + 5}.dat,{300 + 10 * k}")
    table = write(tmp_path / "run" / "along.csv", "\n".join([*lines, "nan.dat,1", "cu.xdi,2"]) + "\n")
    header = "# XDI/1.0\n# Element.symbol: Cu\n# Column.1: energy eV\n# Column.2: norm\n#---\n"
    write(tmp_path / "run" / "cu.xdi", header + "".join(f"{e} {int(e > 8979)}\n" for e in range(8960, 9040)))
    write(tmp_path / "run" / "nan.dat", "7100 1\n7110 nan\n7120 2\n7130 2\n")
    return tmp_path / "run", table, [sites.name[row] for row in rows], shares


def test_series_command(predicted, folder, tmp_path, capsys):
    where, table, names, shares = folder
    words = ["series", where, "--along", table, "--library", predicted, "--absorber", "Fe", "--components", 2]
    outputs = ["-o", tmp_path / "s.csv", "--plot", tmp_path / "s.png", "--json", tmp_path / "s.json"]
    assert run(*words, *outputs) == 0
    out, err = capsys.readouterr()
    listed = out[out.index("component  eigenvalue") :].splitlines()
    assert max(map(len, listed)) <= 100
    assert ["cu.xdi" in err, "nan.dat" in err] == [True, True]
    found = json.loads((tmp_path / "s.json").read_text())
    assert found["spectra"] == [f"s{k}.dat" for k in range(5, 12)]
    assert found["axis"] == {"title": "T", "unit": "K", "values": [300.0 + 10 * k for k in range(7)]}
    assert [one["spectrum"] for one in found["left_out"]] == ["nan.dat", "cu.xdi"]
    assert found["components"]["number"] == 2
    sites = [one["site"] for one in found["sets"][0]["sites"]]
    assert set(sites) == set(names)
    own = np.array(found["sets"][0]["fractions"])[:, sites.index(names[1])]
    assert own == pytest.approx(shares, abs=0.1)
    assert len(found["verdicts"]) == 7
    assert "not among the components" not in err
    rows = list(csv.DictReader((tmp_path / "s.csv").read_text().splitlines()))
    assert [float(row["T (K)"]) for row in rows] == found["axis"]["values"]
    assert [float(row[names[1]]) for row in rows] == pytest.approx(own, abs=1e-5)
    assert (tmp_path / "s.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--plot", "s.png"], "--plot expected with --library or --standards"),
        (["--range", "0:1"], "expected 10 or more energies of the series from 0 to 1 eV around its edge"),
        (["--library", "p.h5", "--standards", "x"], "expected either --library or --standards"),
        (["--standards", "run", "--kind", "xes"], "--kind applies to --library"),
        (["--library", "p.h5", "--kind", "xes"], "--kind applies to structure stores"),
        (["--library", "p.h5", "--components", "9"], "9 is not in the range 1<=x<=4"),
        (["--library", "p.h5", "--noise", "0"], "--noise: expected a fraction above 0, received 0"),
        (["--library", "p.h5", "--absorber", "Zn"], "no Zn sites"),
        (["--library", "p.h5", "--absorber", "Fe", "--range", "500:600"], "overlaps 0 of the grid's energies"),
        (["--library", "p.h5", "--along", "no.csv"], "no.csv: cannot be read"),
    ],
)
def test_invalid_commands(predicted, folder, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    words = [str(predicted) if word == "p.h5" else word for word in words]
    words += ["--absorber", "Fe"] if "p.h5" not in words and "--absorber" not in words else []
    assert run("series", "run", *words) == 2
    assert message in capsys.readouterr().err


def test_the_components_of_a_series_alone(folder, capsys):
    assert run("series", folder[0], "--absorber", "Fe", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["components"]["number"] == 2
    assert len(found["spectra"]) == len(found["components"]["eigenvalues"])
    assert run("series", folder[0], "--absorber", "Fe", "--components", 3, "--range", "-10:40") == 0
    said = capsys.readouterr().out
    assert "components  3" in said
    alone = xh.series(folder[0], absorber="Fe")
    assert (alone.components.n, alone.series.names) == (2, found["spectra"])


def test_one_file_is_no_series(predicted, folder, capsys):
    where, *_ = folder
    assert run("series", where / "s5.dat", "--library", predicted, "--absorber", "Fe") == 2
    assert "expected a series of 3 or more spectra, received 1" in capsys.readouterr().err
    assert run("series", where / "missing", "--library", predicted, "--absorber", "Fe") == 2
    assert "missing: cannot be read: no such file or directory" in capsys.readouterr().err


def test_a_folder_is_read_in_natural_order(folder):
    where, *_ = folder
    names = [own.name for own in measured_files([where])]
    assert names.index("s9.dat") < names.index("s10.dat")
