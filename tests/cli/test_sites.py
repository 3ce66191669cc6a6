"""``--sites FILE.csv`` in the commands that take a set of sites."""

import csv
import json

import click
import numpy as np
import pytest
from support.builders import refused, run, write

from xanes_hpc.cli.main import cli
from xanes_hpc.models.numpy_network import DRAWS
from xanes_hpc.models.training_sites import USED_SETS
from xanes_hpc.stores.predictions import PredictionStore
from xanes_hpc.stores.site_spectra import choose_spectra
from xanes_hpc.stores.structures import StructureStore

ROWS = [3, 17, 40, 41, 99]
TAKE_SITES = (
    "import", "predict", "export", "average", "evaluate", "plot", "match", "select", "broaden", "relax", "explain",
    "fdmnes write", "structures sample",
)  # fmt: skip


@pytest.fixture(scope="session")
def names(small):
    with StructureStore(small / "small.h5") as store:
        return [store.sites.name[row] for row in ROWS]


@pytest.fixture
def listed(tmp_path, names):
    """The sites at ``ROWS`` in another order, as structures and atoms."""
    return write(tmp_path / "s.csv", "structure,atom\n" + "".join(f"{name},0\n" for name in reversed(names)))


def test_the_option_is_the_same_in_every_command():
    found = []
    for words in TAKE_SITES:
        command = cli
        for word in words.split():
            command = command.get_command(click.Context(command), word)
        (option,) = (param for param in command.params if "--sites" in param.opts)
        found.append((option.metavar, option.help, option.name))
    assert len(set(found)) == 1


def test_draws_are_as_many_as_in_the_library():
    context = click.Context(cli)
    commands = [cli.get_command(context, name) for name in ("predict", "report", "serve")]
    assert [p.default for command in commands for p in command.params if p.name == "draws"] == 3 * [DRAWS]


def test_predict(small, model, listed, names, predicted, tmp_path):
    words = ["--model", model, "--sites", listed, "--draws", 12, "--keep-draws"]
    assert run("predict", small / "small.h5", *words, "-o", tmp_path / "p.h5") == 0
    with PredictionStore(tmp_path / "p.h5") as found, PredictionStore(predicted) as every:
        assert found.sites.name == names
        np.testing.assert_allclose(found.read("mean"), every.read("mean")[ROWS], rtol=1e-4, atol=1e-5)
    assert run("predict", small / "structures", *words, "-o", tmp_path / "q.h5") == 0
    with PredictionStore(tmp_path / "q.h5") as found:
        assert sorted(found.sites.name) == sorted(names)


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr("xanes_hpc.stores.predictions.CHUNK_BYTES", 2 * 201 * 4)
    monkeypatch.setattr("xanes_hpc.stores.part_files.PART_BYTES", 1)


@pytest.mark.usefixtures("small_parts")
def test_a_plan_keeps_its_sites(small, model, listed, names, tmp_path):
    words = ["predict", small / "small.h5", "--model", model, "-o", tmp_path / "p.h5"]
    assert run(*words, "--sites", listed, "--draws", 4, "--plan", 2) == 0
    assert run(*words, "--partition", 0, "--sites", listed) == 2
    for k in (0, 1):
        assert run(*words, "--partition", k) == 0
    assert run(*words, "--finalise") == 0
    with PredictionStore(tmp_path / "p.h5") as found:
        assert found.sites.name == names


@pytest.mark.usefixtures("small_parts")
def test_a_plan_whose_table_changes_is_refused(small, model, listed, names, tmp_path, capsys):
    words = ["predict", small / "small.h5", "--model", model, "-o", tmp_path / "p.h5"]
    assert run(*words, "--sites", listed, "--draws", 4, "--plan", 2) == 0
    write(listed, f"site\n{names[0]}\n")
    capsys.readouterr()
    assert run(*words, "--partition", 0) == 2
    assert "p.h5" in capsys.readouterr().err


def test_export(predicted, listed, names, tmp_path):
    assert run("export", predicted, "--sites", listed, "--format", "csv", "-o", tmp_path / "csv") == 0
    assert sorted(path.stem for path in (tmp_path / "csv").iterdir()) == sorted(names)


def test_evaluate(predicted, listed, tmp_path):
    assert run("evaluate", predicted, "--sites", listed, "--json", tmp_path / "some.json") == 0
    assert run("evaluate", predicted, "--json", tmp_path / "all.json") == 0
    some, every = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("some", "all"))
    assert (some["n_sites"], every["n_sites"]) == (len(ROWS), 120)
    with PredictionStore(predicted) as store:
        reference, mean = store.read("reference")[ROWS], store.read("mean")[ROWS]
    errors = 100 * np.nansum(np.abs(reference - mean), axis=1) / np.nansum(np.abs(reference), axis=1)
    assert some["error_percent"]["mean"] == pytest.approx(errors.mean())


def test_average(predicted, listed, tmp_path):
    assert run("average", predicted, "--by", "all", "--sites", listed, "-o", tmp_path / "a.h5") == 0
    with PredictionStore(tmp_path / "a.h5") as store:
        assert store.n_averaged.sum() == len(ROWS)


def test_broaden_predictions(predicted, listed, names, tmp_path):
    words = ["broaden", predicted, "--recipe", "gaussian", "--gaussian", 1]
    assert run(*words, "--sites", listed, "-o", tmp_path / "some.h5") == 0
    assert run(*words, "-o", tmp_path / "all.h5") == 0
    with PredictionStore(tmp_path / "some.h5") as some, PredictionStore(tmp_path / "all.h5") as every:
        assert some.sites.name == names
        for name in ("mean", "std", "draws", "sites/e0"):
            np.testing.assert_array_equal(some.read(name), every.read(name)[ROWS])
        assert some.texts("formula") == [every.texts("formula")[row] for row in ROWS]


def test_broaden_spectra(small, listed, tmp_path):
    words = ["broaden", small / "small.h5", "--recipe", "gaussian", "--gaussian", 1, "--sites", listed]
    assert run(*words, "-o", tmp_path / "b.h5") == 0
    with StructureStore(tmp_path / "b.h5") as store:
        assert np.flatnonzero(choose_spectra(store, store.n_sites, "xanes", None)[0] >= 0).tolist() == ROWS


@pytest.mark.parametrize("kind", ["spectra", "errors", "parity", "uncertainty", "distance"])
def test_plot(predicted, listed, tmp_path, kind):
    assert run("plot", kind, predicted, "--sites", listed, "-o", tmp_path / "p.png") == 0
    assert (tmp_path / "p.png").stat().st_size > 1000


def test_plot_one_site_of_the_listed(predicted, listed, names, tmp_path, capsys):
    words = ["plot", "spectra", predicted, "--sites", listed, "-o", tmp_path / "p.png", "--site"]
    assert run(*words, names[2]) == 0
    assert run(*words, "demo0000_Cu") == 2
    assert "no site 'demo0000_Cu'; expected one of" in capsys.readouterr().err


def test_select(small, model, predicted, tmp_path):
    with PredictionStore(predicted) as store:
        used = np.isin(store.texts("part"), USED_SETS)
        free, others = (np.array(store.sites.name)[of] for of in (~used, used))
    write(tmp_path / "s.csv", "site\n" + "\n".join([*free[:3], *others[:2]]))
    words = ["select", small / "small.h5", "--model", model, "--sites", tmp_path / "s.csv"]
    assert run(*words, "-n", 5, "-o", tmp_path / "c.csv") == 2
    assert run(*words, "-n", 3, "-o", tmp_path / "c.csv") == 0
    rows = csv.DictReader((tmp_path / "c.csv").read_text().splitlines())
    assert {row["site"] for row in rows} == set(free[:3])


def test_match(predicted, listed, names, tmp_path):
    assert run("export", predicted, "--sites", listed, "--format", "xdi", "-o", tmp_path / "xdi") == 0
    write(tmp_path / "two.csv", f"site\n{names[0]}\n")
    path = next(iter(sorted((tmp_path / "xdi").glob(f"{names[0]}*"))))
    assert run("match", path, predicted, "--sites", tmp_path / "two.csv", "--json", tmp_path / "m.json") == 0
    found = json.loads((tmp_path / "m.json").read_text())
    assert (found["compared"], found["ranked"][0]["site"]) == (1, names[0])


def test_explain(small, model, listed, tmp_path):
    words = ["explain", model, small / "small.h5", "--repeats", 1, "--sites", listed, "--json", tmp_path / "e.json"]
    assert run(*words) == 0
    assert json.loads((tmp_path / "e.json").read_text())["n_sites"] == len(ROWS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("site\nnobody\n", "s.csv: line 2: "),
        ("structure,atom\ndemo,0\ndemo,0\n", "s.csv: line 2: "),
        ("name\nA\n", "s.csv: line 1: expected a column site, or columns structure and atom"),
        ("site\n", "s.csv: lists no sites"),
    ],
)
@pytest.mark.parametrize("words", [["export"], ["average"], ["broaden", "--recipe", "gaussian", "--gaussian", 1]])
def test_tables_that_are_refused(predicted, tmp_path, capsys, words, text, message):
    table = write(tmp_path / "s.csv", text)
    command, *options = words
    line = refused(capsys, tmp_path, command, predicted, *options, "--sites", table, "-o", tmp_path / "out")
    assert message in line
