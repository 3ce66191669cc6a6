"""Matching many measured spectra: each is found as it is alone, and one that cannot be used costs no other."""

import csv
import json

import numpy as np
import pytest
from support.builders import run, write

from xanes_hpc.errors import FormatError, SpectrumError, UnlikeError
from xanes_hpc.experiment.compare import Library
from xanes_hpc.experiment.match import match, match_each
from xanes_hpc.experiment.match_options import MatchOptions
from xanes_hpc.experiment.measured_files import measured_files
from xanes_hpc.spectra.spectrum import Spectrum
from xanes_hpc.stores.predictions import PredictionStore

GRID = np.linspace(-15.0, 60.0, 76)


class Counted(Library):
    """Edges with a peak each, at 7112 eV, and the number of times that all are read."""

    energies, origin, names, e0 = GRID, "e0", [f"S{k}" for k in range(12)], np.full(12, 7112.0)
    mean = 0.5 + np.arctan(GRID) / np.pi + np.exp(-0.5 * (GRID - np.arange(1, 13)[:, None] * 3.0) ** 2 / 4.0)
    reads = 0

    def read(self, rows):
        self.reads += rows.size == len(self.names)
        return self.mean[rows], None

    def references(self, rows, most):
        return rows[:0], np.empty((0, GRID.size))

    def measured(self, k):
        return Spectrum(7112.0 + GRID, self.mean[k] / 2.0, absolute=True, source=f"m{k}")


def test_each_spectrum_is_matched_as_alone_in_one_pass():
    shelf, options = Counted(), MatchOptions(max_shift=2.0, keep=3)
    short = Spectrum(np.arange(7000.0, 7020.0), np.arange(20.0), absolute=True, source="short")
    upside_down = Spectrum(7112.0 + GRID, 2.0 - shelf.mean[1], absolute=True, source="upside down")
    experiments = [shelf.measured(4), short, shelf.measured(9), upside_down]
    found = match_each([(one, options) for one in experiments], shelf)
    assert shelf.reads == 1
    assert [type(one) for one in found] == [type(found[0]), SpectrumError, type(found[0]), UnlikeError]
    for k, one in ((4, found[0]), (9, found[2])):
        alone = match(shelf.measured(k), shelf, options)
        assert [m.row for m in one.ranked] == [m.row for m in alone.ranked]
        assert [m.score for m in one.ranked] == [m.score for m in alone.ranked]
        assert one.ranked[0].site == f"S{k}"


def test_folders_patterns_and_files_are_listed_in_natural_order(tmp_path):
    for name in ("T10.xdi", "T9.xdi", "notes.md", "scan.003", "other/T9.xdi"):
        write(tmp_path / name, "1 2\n")
    names = [own.name for own in measured_files([tmp_path / "other" / "T9.xdi", tmp_path])]
    assert names == [str(tmp_path / "other" / "T9.xdi"), "scan.003", str(tmp_path / "T9.xdi"), "T10.xdi"]
    assert [own.name for own in measured_files([tmp_path / "T*.xdi"])] == ["T9.xdi", "T10.xdi"]
    (tmp_path / "empty").mkdir()
    for wrong in ("empty", "*.nxs"):
        with pytest.raises(FormatError, match="no file"):
            measured_files([tmp_path / wrong])


@pytest.fixture
def folder(predicted, tmp_path):
    """A folder with three spectra of iron, which the store predicts, one of another element, and one with NaN."""
    with PredictionStore(predicted) as store:
        sites = store.sites
        iron = np.flatnonzero(sites.element == 26)[:3]
        for k, row in enumerate(iron.tolist()):
            points = zip(store.energies + store.read("sites/e0", row), store.read("mean", row), strict=True)
            write(tmp_path / "m" / f"s{k}.dat", "".join(f"{e:.4f} {y:.8f}\n" for e, y in points))
    header = "# XDI/1.0\n# Element.symbol: Cu\n# Column.1: energy eV\n# Column.2: norm\n#---\n"
    write(tmp_path / "m" / "cu.xdi", header + "".join(f"{e} {int(e > 8979)}\n" for e in range(8960, 9040)))
    write(tmp_path / "m" / "nan.dat", "7100 1\n7110 nan\n7120 2\n7130 2\n")
    return tmp_path / "m", [sites.name[row] for row in iron.tolist()]


def test_match_command_for_a_folder(predicted, folder, tmp_path, capsys):
    where, names = folder
    words = ["match", where, predicted, "--absorber", "Fe", "--by", "chi2", "--keep", 2]
    assert run(*words, "-o", tmp_path / "m.csv", "--plot", tmp_path / "m.png", "--json", tmp_path / "m.json") == 0
    out, err = capsys.readouterr()
    assert max(map(len, out.splitlines())) <= 100
    for k, name in enumerate(names):
        assert f"s{k}.dat" in out
        assert name in out
    assert [file in err for file in ("left out: cu.xdi", "nan.dat")] == [True, True]
    found = json.loads((tmp_path / "m.json").read_text())
    assert [one["spectrum"] for one in found["spectra"]] == ["s0.dat", "s1.dat", "s2.dat"]
    assert [one["ranked"][0]["site"] for one in found["spectra"]] == names
    assert [one["spectrum"] for one in found["not_matched"]] == ["cu.xdi", "nan.dat"]
    assert found["most_frequent"] is None
    rows = list(csv.DictReader((tmp_path / "m.csv").read_text().splitlines()))
    assert [(row["spectrum"], row["kind"], row["rank"]) for row in rows[:3]] == [
        ("s0.dat", "site", "1"), ("s0.dat", "site", "2"), ("s1.dat", "site", "1"),
    ]  # fmt: skip
    assert [row["kind"] for row in rows[-2:]] == ["not matched"] * 2
    assert (tmp_path / "m.png").stat().st_size > 10_000


def test_a_site_that_wins_most_spectra_is_named(predicted, folder, capsys):
    where, names = folder
    paths = [where / "s1.dat", where / "s1.dat", where / "s2.dat"]
    for k in range(3):
        paths.append(write(where / f"again{k}.dat", (where / "s1.dat").read_text()))
    assert run("match", *paths, predicted, "--absorber", "Fe", "--by", "chi2") == 0
    assert f"{names[1]} is the best match of 4 of 5 spectra" in capsys.readouterr().err


def test_shifts_as_large_as_allowed_are_marked_for_each_spectrum(predicted, folder, tmp_path, capsys):
    where, _ = folder
    points = np.loadtxt(where / "s2.dat") + np.array([6.0, 0.0])
    far = write(tmp_path / "far.dat", "".join(f"{e:.4f} {y:.8f}\n" for e, y in points))
    words = ["match", where / "s0.dat", far, predicted, "--absorber", "Fe", "--max-shift", 2, "--mixture", 2]
    assert run(*words, "-o", tmp_path / "m.csv", "--json", tmp_path / "m.json") == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if ".dat" in line}
    assert {name: "2.00*" in line for name, line in rows.items()} == {"s0.dat": False, "far.dat": True}
    table = list(csv.DictReader((tmp_path / "m.csv").read_text().splitlines()))
    found = json.loads((tmp_path / "m.json").read_text())["spectra"]
    every = [own for one in found for own in (*one["ranked"], *one["mixtures"])]
    assert [row["shift at limit"] for row in table] == ["yes" if own["at_limit"] else "" for own in every]
    assert [own["at_limit"] for own in every] == [abs(own["shift_ev"]) > 1.6 for own in every]


def test_no_usable_spectrum_is_an_error(predicted, folder, capsys):
    where, _ = folder
    assert run("match", where / "cu.xdi", where / "nan.dat", predicted, "--absorber", "Fe") == 2
    assert "expected a spectrum of Fe K" in capsys.readouterr().err
