"""Unknown commands, options and presets: one line that suggests the nearest."""

import re

import pytest
from support.builders import refused, run, write, write_xyz

from xanes_hpc import __version__
from xanes_hpc.cli.main import COMMANDS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["imprt"], "no command 'imprt'; did you mean 'import'? (see xanes-hpc --help)"),
        (["featurse", "s.h5"], "no command 'featurse'; did you mean 'featurise'? (see xanes-hpc --help)"),
        (["zzzz"], "no command 'zzzz' (see xanes-hpc --help)"),
        (["model", "pak", "m"], "no command 'pak'; did you mean 'pack'? (see xanes-hpc model --help)"),
        (["import", "a.xyz"], "Missing option '-o' / '--output' (see xanes-hpc import --help)"),
        (["import"], "Missing option '-o' / '--output' (see xanes-hpc import --help)"),
        (["import", "a.xyz", "-o"], "Option '-o' requires an argument"),
        (["import", "a.xyz", "-o", "o.h5", "--e0", "high"], "Invalid value for '--e0': 'high' is not a valid float"),
        (["featurise"], "Missing argument 'STRUCTURES.h5' (see xanes-hpc featurise --help)"),
        (["featurise", "s.h5", "t.h5"], "Got unexpected extra argument (t.h5) (see xanes-hpc featurise --help)"),
        (["featurise", "s.h5", "--threads", "0"], "Invalid value for '--threads': 0 is not in the range x>=1"),
        (
            ["featurise", "s.h5", "--preset", "xanesnet-2021"],
            "Invalid value for '--preset': expected charged, rdc, xanesnet-2022, xanesnet-49, default, crystal, "
            "received",
        ),
        (["featurise", "s.h5", "--descriptor", "d.toml"], "d.toml: cannot be read"),
        (["train", "f.h5", "--config", "none.toml"], "none.toml: cannot be read: no such file or directory"),
        (["train", "f.h5", "--loss", "cosine"], "training.loss: expected mae or mse or huber, received 'cosine'"),
        (["train", "f.h5", "--members", "0"], "uncertainty.members: expected 1 to 100, received 0"),
        (["train", "f.h5", "--method", "ensemble", "--members", "1"], "uncertainty.members: expected 2 or more for me"),
        (["train", "f.h5", "--patience", "0"], "training.patience: expected 1 to 2147483647, received 0"),
        (["train", "f.h5", "--folds", "1"], "Invalid value for '--folds': 1 is not in the range x>=2"),
        (["train", "f.h5", "--freeze", "some"], "Invalid value for '--freeze': 'some' is not a valid integer"),
        (
            ["train", "f.h5", "--learning-rate", "nan"],
            "training.learning_rate: expected a number above 0, received nan",
        ),
        (["train", "f.h5"], "f.h5: no such file"),
        (["train"], "expected one feature store, found none in "),
    ],
)
def test_refused(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    line = refused(capsys, tmp_path, *arguments)
    assert line.startswith(message)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["evaluate", "p.h5", "--json", "metrics.txt"], "--json: expected a file ending in .json, or -, received 'me"),
        (["evaluate", "p.h5", "--json", "a.xyz"], "--json: expected a file ending in .json, or -, received 'a.xyz'"),
        (["evaluate", "p.h5", "--json=p.h5"], "--json: expected a file ending in .json, or -, received 'p.h5'"),
        (["import", "a.xyz", "-o", "o.h5", "--json=a.xyz"], "--json: expected a file ending in .json, or -, received"),
        (["import", "a.xyz", "-o", "o.h5", "--json=no/m.json"], "--json: no: no such folder for m.json"),
        (["import", "a.xyz", "-o", "o.h5", "--json", "d.json"], "--json: d.json: is a folder"),
    ],
)
def test_json_targets(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    write_xyz(tmp_path / "a.xyz")
    write(tmp_path / "p.h5", "predictions")
    (tmp_path / "d.json").mkdir()
    assert refused(capsys, tmp_path, *words).startswith(message)


@pytest.mark.parametrize(("option", "nearest"), [("--overwrit", "--overwrite"), ("--spectr", "--spectra")])
def test_the_nearest_option_is_suggested(tmp_path, capsys, option, nearest):
    line = refused(capsys, tmp_path, "import", "a.xyz", "-o", tmp_path / "o.h5", option, "x")
    assert re.match(rf"No such option:? '?{option}'?\W.*id you mean.*{nearest}\b", line)


def test_unknown_key_of_a_configuration(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "run.toml", "[training]\nepoch = 3\n")
    line = refused(capsys, tmp_path, "train", "f.h5", "--config", "run.toml")
    assert line == "run.toml, [training]: unknown key 'epoch'; did you mean 'epochs'?"


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_refuses_an_unknown_option(tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    line = refused(capsys, tmp_path, command, "--no-such-option")
    assert re.match(r"No such option:? '?--no-such-option", line)
    assert line.endswith(f"(see xanes-hpc {command} --help)")


@pytest.mark.parametrize("arguments", [[], ["-h"], ["--help"]])
def test_help_lists_the_commands(capsys, arguments):
    assert run(*arguments) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert all(f"  {command} " in printed.out for command in COMMANDS)


@pytest.mark.parametrize("command", [*COMMANDS, "featurize", "model pack", "model unpack"])
def test_every_command_has_help(capsys, command):
    assert run(*command.split(), "--help") == 0
    assert capsys.readouterr().out.startswith("Usage: xanes-hpc ")


def test_version(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out == f"xanes-hpc {__version__}\n"
