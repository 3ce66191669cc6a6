"""Outputs never replace inputs, each other, or files of another kind."""

import os

import pytest
from support.builders import run, write

from xanes_hpc.errors import StoreError
from xanes_hpc.runtime.outputs import check_output, whole_output


@pytest.fixture(scope="module")
def place(model, small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("outputs")
    assert (
        run("predict", small / "small.h5", "--model", model, "--keep-draws", "--draws", 4, "-o", folder / "p.h5") == 0
    )
    write(folder / "e.txt", "".join(f"{e} {max(0.0, e - 7100.0)}\n" for e in range(7080, 7200)))
    write(folder / "w.csv", "site,weight\nS0,1\n")
    write(folder / "run.toml", "[broadening]\nrecipe = 'none'\n")
    write(folder / "old.json", "{}")
    write(folder / "old.csv", "mine")
    write(folder / "old.png", "mine")
    return folder


def contents(*folders):
    return {path: path.read_bytes() for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()}


MATCH = "match e.txt p.h5 --absorber Fe"
FIT = "fit-broadening p.h5 e.txt --site S0"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("select {small} --model {model} -n 2 -o {model}/model.json --overwrite", "expected a file ending in .csv"),
        ("average p.h5 --by structure --weights w.csv -o w.csv --overwrite", "w.csv: is one of the inputs"),
        ("average p.h5 -o old.csv --overwrite", "old.csv: is a file of another kind and will not be re"),
        ("broaden {small} --config run.toml -o run.toml --overwrite", "run.toml: is one of the inputs"),
        ("broaden {small} -o ./{small} --overwrite", "is one of the inputs; name another output"),
        ("predict {small} --model {model} -o {model}/sites.h5 --overwrite", "is part of the model"),
        ("predict {small} --model {model} -o {model}/members/00/scalers.h5 --overwrite", "is part of the model"),
        ("predict {small} --model {model} -o old.png --overwrite", "old.png: is a file of another kind"),
        (f"{MATCH} --plot old.png", "old.png: already exists; name another file for --plot or add --overwrite"),
        (f"{MATCH} --json old.json", "old.json: already exists; name another file for --json or add --overwrite"),
        (f"{MATCH} -o old.csv --plot old.csv --overwrite", "expected two files, received old.csv for both"),
        (f"{MATCH} -o a.csv --plot a.csv", "expected two files, received a.csv for both"),
        (f"{MATCH} -o old.png --overwrite", "expected a file ending in .csv, received 'old.png'"),
        (f"{FIT} -o e.txt --overwrite", "expected a file ending in .toml, received 'e.txt'"),
        (f"{FIT} --plot old.png", "old.png: already exists; name another file for --plot or add --overwrite"),
        ("explain {model} {small} -o x.csv", "expected a folder, received 'x.csv', which is the name of a file"),
        ("export p.h5 -o x.nxs", "expected a folder, received 'x.nxs', which is the name of a file"),
        ("fdmnes write {small} -o x.h5", "expected a folder, received 'x.h5', which is the name of a file"),
        ("evaluate p.h5 --json {model}/model.json", "{model}/model.json: is part of the model"),
        ("info {model} --json {model}/model.json", "{model}/model.json: is part of the model"),
    ],
)  # fmt: skip
def test_no_file_is_lost(place, model, small, monkeypatch, capsys, words, message):
    monkeypatch.chdir(place)
    names = {"small": os.path.relpath(small / "small.h5"), "model": os.path.relpath(model)}
    before = contents(place, model, small)
    assert run(*words.format(**names).split()) == 2
    assert message.format(**names) in capsys.readouterr().err
    assert contents(place, model, small) == before


def test_overwrite_replaces_the_outputs(place, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(place)
    for name in ("m.csv", "m.png", "m.json"):
        write(tmp_path / name, "old")
    outputs = ("-o", tmp_path / "m.csv", "--plot", tmp_path / "m.png", "--json", tmp_path / "m.json")
    assert run(*MATCH.split(), *outputs, "--overwrite") == 0
    assert all((tmp_path / name).stat().st_size > 100 for name in ("m.csv", "m.png", "m.json"))


def test_special_files_are_never_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StoreError, match="pipe: is not a regular file and will not be replaced"):
        check_output(tmp_path / "pipe", True)
    with pytest.raises(StoreError, match="not a regular file"), whole_output(tmp_path / "pipe", True):
        pass
    assert (tmp_path / "pipe").is_fifo()


def test_a_store_may_replace_an_empty_file(tmp_path, small, model):
    (tmp_path / "p.h5").touch()
    assert (
        run("predict", small / "small.h5", "--model", model, "--draws", 2, "-o", tmp_path / "p.h5", "--overwrite") == 0
    )
