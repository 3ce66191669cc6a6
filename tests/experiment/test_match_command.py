"""The command ``match``: its tables, files, notes and errors."""

import csv
import json
import shutil

import h5py
import numpy as np
import pytest
from support.builders import run, table, write, write_xyz

from xanes_hpc.experiment.library import open_library
from xanes_hpc.spectra.edges import IN_KEV
from xanes_hpc.stores.predictions import PredictionStore


def measured_file(folder, store, row):
    with PredictionStore(store) as predictions:
        energies = predictions.energies + predictions.read("sites/e0", row)
        name, values = predictions.sites.name[row], predictions.read("mean", row)
        element = predictions.sites.take(np.array([row])).element[0]
    write(folder / "e.txt", "".join(f"{e:.4f} {3 * y:.8f}\n" for e, y in zip(energies, values, strict=True)))
    return name, int(element)


def test_match_command(predicted, small, tmp_path, capsys):
    from ase.data import chemical_symbols

    name, element = measured_file(tmp_path, predicted, 17)
    words = ["match", tmp_path / "e.txt", predicted, "--absorber", chemical_symbols[element]]
    words += ["--by", "chi2"]
    assert run(*words, "--keep", 4, "--mixture", 2, "-o", tmp_path / "m.csv", "--plot", tmp_path / "m.png") == 0
    printed = capsys.readouterr().out
    assert f"1 {name}" in " ".join(printed.split())
    assert "score: chi-square over all energies, lowest first" in printed
    rows = list(csv.DictReader((tmp_path / "m.csv").read_text().splitlines()))
    assert (rows[0]["kind"], rows[0]["rank"], rows[0]["site"], float(rows[0]["factor"])) == ("site", "1", name, 0.3333)
    assert len([row for row in rows if row["kind"] == "site"]) == 4
    assert (tmp_path / "m.png").stat().st_size > 10_000
    assert run(*words, "-o", tmp_path / "m.csv") == 2
    assert "m.csv: already exists" in capsys.readouterr().err
    assert run("match", tmp_path / "e.txt", small / "small.h5", "--absorber", chemical_symbols[element], "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["not_compared"] == {"without_spectrum": 0, "short": 0}
    assert found["ranked"][0]["chi2"] <= found["ranked"][1]["chi2"]
    assert 0 < found["compared"] < 120


def test_long_mixtures_have_a_line_for_each_site(predicted, tmp_path, capsys):
    """Names that were cut to fit one line could not be told apart."""
    with PredictionStore(predicted) as store:
        iron = [k for k, element in enumerate(store.sites.element.tolist()) if element == 26][:2]
        energies = store.energies + store.read("sites/e0", iron[0])
        mixed = 0.6 * store.read("mean", iron[0]) + 0.4 * store.read("mean", iron[1])
        names = [store.sites.name[k] for k in iron]
    path = write(tmp_path / "e.txt", table(np.column_stack([energies, mixed])))
    assert run("match", path, predicted, "--absorber", "Fe", "--mixture", 2, "--by", "chi2") == 0
    lines = [line.split() for line in capsys.readouterr().out.partition("mixture ")[2].splitlines()[1:3]]
    assert lines[0][:3] == ["1", "0.60", names[0]]
    assert lines[1] == ["0.40", names[1]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--absorber", "Fe", "--kind", "xes"], "--kind applies to structure stores; "),
        (["--absorber", "Fe", "--order", "4"], "4 is not in the range 0<=x<=3"),
        (["--absorber", "Fe", "--pre", "5:20"], "--pre: expected a window below the edge, received 5 to 20 eV"),
        (["--absorber", "Zn"], "no Zn sites: expected one of Cr K, Mn K"),
        (["--absorber", "Fe", "--edge", "L3"], "no Fe L3 sites: expected one of Cr K, Mn K"),
        (["--absorber", "Fe", "--range", "500:600"], "e.txt: overlaps 0 of the grid's energies in the range compared"),
        (["--absorber", "Fe", "--range", "5"], "--range: expected START:STOP in eV"),
        (["--absorber", "Fe", "--range", "60:-15"], "--range: expected START below STOP, received '60:-15'"),
        (["--absorber", "Fe", "--max-shift", "nan"], "--max-shift: expected 0 eV or more, received nan"),
        (["--absorber", "Fe", "--noise", "inf"], "--noise: expected a fraction above 0, received inf"),
        (["--absorber", "Fe", "--plot", "m.jpg"], "m.jpg: expected a file ending in .png"),
        (["--absorber", "Fe", "--mixture", "5"], "5 is not in the range 1<=x<=3"),
    ],
)
def test_invalid_commands(predicted, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    with PredictionStore(predicted) as store:
        iron = store.sites.element.tolist().index(26)
    measured_file(tmp_path, predicted, iron)
    assert run("match", "e.txt", predicted, *words) == 2
    assert message in capsys.readouterr().err


def test_unsuitable_experiments_and_other_files(predicted, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "far.txt", "".join(f"{e} 1.{e}\n" for e in range(100, 120)))
    assert run("match", "far.txt", predicted, "--absorber", "Fe") == 2
    assert "far.txt: overlaps 0 of the grid's energies" in capsys.readouterr().err
    write(tmp_path / "kev.txt", "".join(f"{7.1 + 0.002 * k:.4f} {1 + np.tanh((k - 6) / 3)}\n" for k in range(40)))
    assert run("match", "kev.txt", predicted, "--absorber", "Fe") == 0
    assert f"Note: {IN_KEV}: kev.txt: from 7.1 to 7.178 keV" in capsys.readouterr().err
    write(tmp_path / "short.txt", "1 2\n2 3\n")
    assert run("match", "short.txt", predicted, "--absorber", "Fe") == 2
    assert "short.txt" in capsys.readouterr().err
    assert run("match", predicted, predicted, "--absorber", "Fe") == 2
    assert "p.h5: expected a spectrum, received a store of predictions" in capsys.readouterr().err
    write(tmp_path / "no.h5", "no store")
    assert run("match", "far.txt", "no.h5") == 2
    assert "no.h5" in capsys.readouterr().err


def test_a_raw_spectrum_is_normalised_first(predicted, tmp_path, capsys):
    """A falling background hides the site, unless a straight line is subtracted; windows remove it too."""
    with PredictionStore(predicted) as predictions:
        row = predictions.sites.element.tolist().index(26)
        energies, e0 = predictions.energies, float(predictions.read("sites/e0", row))
        name, values = predictions.sites.name[row], predictions.read("mean", row)
    slope = 5.0 * values.max() * (1.0 - 0.02 * energies)
    rows = zip(energies + e0, 7.0 * (values + slope), strict=True)
    path = write(tmp_path / "e.txt", "".join(f"{e:.4f} {y:.8f}\n" for e, y in rows))
    words = ["match", path, predicted, "--absorber", "Fe", "--by", "chi2", "--json"]
    assert run(*words, "--scale", "factor") == 2
    assert "or remove its background with --pre and --post" in capsys.readouterr().err
    assert run(*words) == 0
    best = json.loads(capsys.readouterr().out)["ranked"][0]
    assert (best["site"], best["error_percent"] < 0.1) == (name, True)
    words += ["--edge-at", e0]
    assert run(*words, "--pre=-20:-8", "--post", "30:60") == 0
    normalised = {one["site"]: one for one in json.loads(capsys.readouterr().out)["ranked"]}
    assert normalised[name]["error_percent"] < 20.0
    assert run(*words, "--pre=-20:-8") == 2
    assert "leave no room to choose a window; give --post too" in capsys.readouterr().err
    assert run(*words, "--pre=-200:-80", "--post", "30:60") == 2
    assert "the pre-edge window, -200 to -80 eV from the edge, reaches beyond the spectrum" in capsys.readouterr().err


def test_a_spectrum_that_rises_far_from_the_edge(predicted, tmp_path, capsys):
    """Told beyond 20 eV and refused beyond 50, as by ``import``."""
    energies = np.arange(6950.0, 7350.0, 1.0)
    for move, code, told in (
        (30.0, 0, "rise more than 20 eV from e0"),
        (-60.0, 2, "it rises 60 eV below the Fe K edge"),
    ):
        mu = 1.0 + np.arctan((energies - 7112.0 - move) / 2.0) / np.pi
        path = write(tmp_path / "e.txt", table(np.column_stack([energies, mu])))
        assert run("match", path, predicted, "--absorber", "Fe") == code
        assert told in capsys.readouterr().err


def test_sites_that_a_structure_store_cannot_compare_are_counted(small, tmp_path):
    shutil.copy(small / "small.h5", tmp_path / "s.h5")
    with h5py.File(tmp_path / "s.h5", "r+") as file:
        file["spectra/kind"][5] = "xes"
        file["spectra/energies"][: 3 * 201] += 5.0
    with open_library(tmp_path / "s.h5", "xanes", None) as library:
        assert library.not_compared == {"without_spectrum": 1, "short": 3}
        assert library.rows.tolist() == [3, 4, *range(6, 120)]


def test_a_shift_as_large_as_allowed_is_marked(predicted, tmp_path, capsys):
    with PredictionStore(predicted) as predictions:
        iron = predictions.sites.element.tolist().index(26)
        energies = predictions.energies + predictions.read("sites/e0", iron) + 5.0
        values = predictions.read("mean", iron)
    path = write(tmp_path / "e.txt", "".join(f"{e:.4f} {y:.8f}\n" for e, y in zip(energies, values, strict=True)))
    words = ["match", path, predicted, "--absorber", "Fe", "--max-shift", 2, "--keep", 1]
    assert run(*words, "-o", tmp_path / "m.csv", "--json", tmp_path / "m.json") == 0
    out, err = capsys.readouterr()
    assert "2.00*" in out
    (row,) = csv.DictReader((tmp_path / "m.csv").read_text().splitlines())
    assert (row["shift"], row["shift at limit"]) == ("+2.00", "yes")
    (best,) = json.loads((tmp_path / "m.json").read_text())["ranked"]
    assert (round(best["shift_ev"], 6), best["at_limit"]) == (2.0, True)
    assert "Note: the best shift is as large as --max-shift allows" in err
    assert run("match", path, predicted, "--absorber", "Fe", "--max-shift", 8, "--keep", 1) == 0
    out, err = capsys.readouterr()
    assert "*" not in out.partition("score:")[0]
    assert "as large as --max-shift" not in err


def test_measured_spectra_of_a_store_are_normalised_as_the_measured_one(tmp_path, capsys):
    """Each finds itself, whatever its step and background."""
    energies, kinds = np.arange(6980.0, 7400.0, 0.5), {"one": (2.0, 0.4), "two": (3.0, 0.9), "three": (4.0, 0.0)}
    folders = tmp_path / "in", tmp_path / "mu"
    for k, (name, (width, line)) in enumerate(kinds.items()):
        x = energies - 7112.0
        edge = 0.5 + np.arctan(x / width) / np.pi + line * np.exp(-(((x - 6.0) / 5.0) ** 2))
        mu = (k + 1.0) * edge + 3.0 * k - (k - 1.0) * 4e-3 * x
        write_xyz(folders[0] / f"{name}.xyz")
        write(folders[1] / f"{name}.txt", table(np.column_stack([energies, mu])))
    store = tmp_path / "s.h5"
    assert run("import", folders[0], "--spectra", folders[1], "--absorber", "Fe", "-o", store) == 0
    for name in kinds:
        capsys.readouterr()
        assert run("match", folders[1] / f"{name}.txt", store, "--json") == 0
        found = json.loads(capsys.readouterr().out)
        assert "3 of 3 spectra" in found["library"]
        best, second = found["ranked"][:2]
        assert best["site"] == name
        assert best["error_percent"] < 1e-3 < 1.0 < second["error_percent"]
