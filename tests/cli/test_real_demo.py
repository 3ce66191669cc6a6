"""``demo --real``: complexes that are relaxed and calculated on the spot, with stand-ins where they take long."""

import importlib.util
import json
import sys

import numpy as np
import pytest
from support.builders import fdmnes_header, refused, run

from xanes_hpc.analysis.evaluate import errors_of
from xanes_hpc.cli.commands import demo
from xanes_hpc.plotting.spectra import predicted_against_reference
from xanes_hpc.stores.predictions import PredictionStore

PROGRAM = """#!{python}
# Stand-in for FDMNES: an edge whose height follows from the number of atoms.
import math, pathlib
name = pathlib.Path("fdmfile.txt").read_text().splitlines()[1].removesuffix("_in.txt")
n = len(pathlib.Path(name + "_in.txt").read_text().splitlines()) % 12
rows = "".join(
    f"  {{7092.0 + k:.2f}}  {{1.0 + math.atan((k - 20.0) / 2.0) / math.pi * (1.5 + 0.1 * n):.6E}}\\n" for k in range(91)
)
pathlib.Path(name + ".txt").write_text({header!r} + rows)
pathlib.Path(name + "_bav.txt").write_text("   Have a beautiful day !\\n")
"""


def shortened(monkeypatch, changes):
    """Replace texts of the steps, each of which must be there."""
    text = "\n".join(demo.REAL_STEPS)
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    monkeypatch.setattr(demo, "REAL_STEPS", text.split("\n"))


def test_the_real_demo_compares_its_model_with_the_mean_spectrum(tmp_path, monkeypatch, capsys):
    pytest.importorskip("tblite")
    pytest.importorskip("feff10")
    program, out = tmp_path / "fdmnes.py", tmp_path / "d"
    program.write_text(PROGRAM.format(python=sys.executable, header=fdmnes_header(7112.0)))
    program.chmod(0o755)
    calculate = f"calculate demo.h5 --with fdmnes --program {program} --range '-20 1 70' --no-convolution"
    changes = {"CO,CN,NH3,OH2,F,Cl": "F,Cl,CO", "-o demo.h5": "-o demo.h5 --fmax 50"}
    shortened(monkeypatch, {**changes, "calculate demo.h5": calculate, "--epochs 100": "--epochs 4 --members 1"})
    assert run("demo", "--real", "-n", 20, "-o", out) == 0
    said = capsys.readouterr().out
    assert [line for line in said.split("\n") if line.startswith("$ ")] == [
        "$ cat xanes-hpc.toml", *(f"$ xanes-hpc {step.format(n=20, seed=0)}" for step in demo.REAL_STEPS)
    ]  # fmt: skip
    assert (out / "xanes-hpc.toml").read_text().strip() in said
    assert (out / "predictions.png").read_bytes().startswith(b"\x89PNG")
    assert not list(tmp_path.glob(".*"))
    metrics = json.loads((out / "metrics.json").read_text())
    error, of_mean = metrics["error_percent"]["mean"], metrics["baseline"]["error_percent_mean"]
    n = metrics["by_part"]["test"]["n_sites"]
    assert n == metrics["n_sites"] >= 5
    assert (
        f"Error on {n} complexes that the model has not seen: {error:.1f} %. Predicting the training set's mean "
        f"spectrum instead: {of_mean:.1f} %."
    ) in said


def test_the_figure_says_by_how_much_the_baseline_is_beaten(model, small, tmp_path):
    out = tmp_path / "p.h5"
    assert run("predict", small / "small.features.h5", "--model", model, "--split", "test", "-o", out) == 0
    with PredictionStore(out) as store:
        zero = np.zeros_like(store.read("mean"))
        predicted_against_reference(store, tmp_path / "p.svg", baseline=zero, compared_with="darkness")
        error = errors_of(store)[1].mean()
    text = (tmp_path / "p.svg").read_text()
    assert f"mean error {error:.1f} %, against 100.0 % of the darkness" in text
    assert ">darkness</text>" in text


def test_missing_extras_are_named_together_before_anything_is_done(tmp_path, monkeypatch, capsys):
    found = importlib.util.find_spec
    gone = {"feff10", "tblite"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name in gone else found(name, *a))
    out = tmp_path / "d"
    said = refused(capsys, tmp_path, "demo", "--real", "-o", out)
    assert "needs feff10 and tblite, which are not installed: pip install 'xanes-hpc[feff,relax]'" in said
    gone.remove("feff10")
    said = refused(capsys, tmp_path, "demo", "--real", "-o", out)
    assert "needs tblite, which is not installed: pip install 'xanes-hpc[relax]'" in said
    assert not out.exists()


def test_too_few_complexes_are_refused(tmp_path, capsys):
    assert "--structures 59: expected 60 or more without --real" in refused(capsys, tmp_path, "demo", "-n", 59)
    assert "19 is not in the range x>=20" in refused(capsys, tmp_path, "demo", "--real", "-n", 19)


@pytest.mark.slow
def test_the_real_demo_relaxes_and_calculates(tmp_path, monkeypatch):
    pytest.importorskip("tblite")
    pytest.importorskip("feff10")
    changes = {"calculate demo.h5": "calculate demo.h5 --scf-radius 0"}
    shortened(monkeypatch, {**changes, "demo.model\npredict": "demo.model --members 1\npredict"})
    assert run("demo", "--real", "-n", 20, "-o", tmp_path / "d") == 0
    metrics = json.loads((tmp_path / "d/metrics.json").read_text())
    assert json.loads(metrics["spectrum"]["treatment"])["name"] == "feff"
    assert metrics["n_sites"] >= 5
    assert 0.0 < metrics["error_percent"]["mean"] < 30.0  # with so few sites not always below that of the mean spectrum
    assert metrics["baseline"]["error_percent_mean"] > 0.0
