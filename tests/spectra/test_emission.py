"""X-ray emission from import to matching: a kind of spectrum learnt, predicted and exported like absorption."""

import json

import h5py
import numpy as np
import pytest
from support.builders import run, write, write_xyz

from xanes_hpc.models.model import Model
from xanes_hpc.stores.predictions import PredictionStore

EDGE = 7112.0
ENERGIES = np.linspace(EDGE - 15.0, EDGE + 60.0, 151)
RELATIVE = ENERGIES - EDGE


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Import iron with oxygen at several distances: emission below the edge moves with the distance."""
    folder = tmp_path_factory.mktemp("emission")
    rng = np.random.default_rng(1)
    for k in range(80):
        distance = 1.6 + 0.5 * rng.random()
        write_xyz(folder / "xyz" / f"s{k}.xyz", (("Fe", 0.0, 0.0, 0.0), ("O", 0.0, 0.0, distance)))
        absorption = 0.5 + np.arctan(RELATIVE / 2.0) / np.pi
        emission = np.exp(-(((RELATIVE + 20.0 * (distance - 1.6)) / 3.0) ** 2)) + 0.02
        for name, title, y in (("conv", "xanes", absorption), ("xes_conv", "xes", emission)):
            rows = "".join(f"{e:10.3f} {v:.7E}\n" for e, v in zip(ENERGIES, y, strict=True))
            write(folder / "mu" / f"s{k}_{name}.txt", f"   Energy   <{title}>\n{rows}")
    words = ["import", folder / "xyz", "--spectra", folder / "mu", "-o", folder / "s.h5"]
    assert run(*words) == 0
    assert run("featurise", folder / "s.h5", "--preset", "rdc", "-o", folder / "s.features.h5") == 0
    (folder / "run.toml").write_text(
        '[model]\nname = "mlp"\nhidden = [32]\n[training]\nepochs = 40\nbatch_size = 16\nlearning_rate = 0.01\n'
        '[uncertainty]\nmembers = 1\n[split]\ngroup = "none"\ntest = 0.2\n'
    )
    return folder


@pytest.fixture(scope="module")
def model(folder):
    words = ["train", folder / "s.features.h5", "--config", folder / "run.toml", "--kind", "xes"]
    assert run(*words, "-o", folder / "xes.model") == 0
    return folder / "xes.model"


def test_both_kinds_are_in_the_store(folder):
    with h5py.File(folder / "s.h5") as file:
        kinds = [kind.decode() for kind in file["spectra/kind"][:]]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {"xanes": 80, "xes": 80}


def test_a_model_learns_emission_and_finds_its_references(folder, model, tmp_path, capsys):
    assert Model.open(model).description["target"]["kind"] == "xes"
    words = ["predict", folder / "s.h5", "--model", model, "--split", "test", "--keep-draws", "-o", tmp_path / "p.h5"]
    assert run(*words) == 0
    with PredictionStore(tmp_path / "p.h5") as store:
        assert (store.attribute("kind"), store.has_reference) == ("xes", True)
        assert store.energies[store.read("mean").mean(axis=0).argmax()] < 0
    capsys.readouterr()
    assert run("evaluate", tmp_path / "p.h5", "--json", "--plot", tmp_path / "p.png") == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["spectrum"]["kind"] == "xes"
    assert figures["error_percent"]["mean"] < 10.0
    assert run("export", tmp_path / "p.h5", "--format", "xdi", "-o", tmp_path / "x") == 0
    text = next((tmp_path / "x").iterdir()).read_text()
    assert "# Column.2: xes" in text
    assert run("average", tmp_path / "p.h5", "--by", "all", "-o", tmp_path / "a.h5") == 0
    words = ["broaden", tmp_path / "p.h5", "-o", tmp_path / "b.h5", "--recipe"]
    assert run(*words, "gaussian", "--gaussian", 1.0) == 0
    assert run(*words, "arctangent", "--overwrite") == 2


def test_a_measured_emission_spectrum_is_matched(folder, model, tmp_path, capsys):
    assert run("predict", folder / "s.h5", "--model", model, "-o", tmp_path / "p.h5") == 0
    capsys.readouterr()
    for store in ([tmp_path / "p.h5"], [folder / "s.h5", "--kind", "xes"]):
        assert run("match", folder / "mu" / "s7_xes_conv.txt", *store, "--keep", 5, "--json") == 0
        found = json.loads(capsys.readouterr().out)
        assert "s7" in [one["site"] for one in found["ranked"]]
    assert run("fit-broadening", tmp_path / "p.h5", folder / "mu" / "s7_xes_conv.txt", "--site", "s7") == 0


def test_the_two_kinds_are_not_confused(folder, model, tmp_path, capsys):
    words = ["train", folder / "s.features.h5", "--config", folder / "run.toml", "--kind", "rixs", "-o", tmp_path / "m"]
    assert run(*words) == 2
    assert (
        "no spectra of kind rixs; the store has 80 xanes with treatment 'fdmnes-conv', 80 xes with"
        in capsys.readouterr().err
    )
