"""Every step on the command line, and whether the documentation agrees with it."""

import inspect
import json
import re
import shutil
import tomllib
from pathlib import Path

import click
import pytest
from support.builders import run as call
from support.places import ROOT

from xanes_hpc.cli.commands import demo
from xanes_hpc.cli.main import cli


@pytest.fixture(scope="module")
def demonstrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's folder, with fewer epochs and members than users get."""
    folder = tmp_path_factory.mktemp("demo") / "d"
    steps = [step.replace("--epochs 60", "--epochs 6 --members 1") for step in demo.STEPS]
    assert steps != list(demo.STEPS)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(demo, "STEPS", steps)
        assert call("demo", "-n", 80, "-o", folder) == 0
    return folder


def test_the_demo_writes_metrics_and_a_figure(demonstrated):
    metrics = json.loads((demonstrated / "metrics.json").read_text())
    assert metrics["n_sites"] == metrics["by_part"]["test"]["n_sites"] > 0
    assert 0 < metrics["error_percent"]["mean"] < 30
    assert (demonstrated / "predictions.png").read_bytes().startswith(b"\x89PNG")
    assert not list(demonstrated.parent.glob(".*"))


def test_the_demo_labels_its_spectra_synthetic_everywhere(demonstrated, capsys):
    for name in ("demo.h5", "demo.model", "predictions.h5"):
        assert call("info", demonstrated / name) == 0
        assert "synthetic" in capsys.readouterr().out
    assert "synthetic" in (demonstrated / "metrics.json").read_text()
    assert call("evaluate", demonstrated / "predictions.h5") == 0
    assert "synthetic" in capsys.readouterr().out
    assert "synthetic" in next((demonstrated / "spectra").iterdir()).read_text()


def test_info_describes_every_kind_as_json(demonstrated, capsys):
    kinds = {"demo.h5": "structures", "demo.features.h5": "features", "predictions.h5": "predictions"}
    kinds["demo.model"] = "model"
    for name, kind in kinds.items():
        assert call("info", "--json", demonstrated / name) == 0
        values = json.loads(capsys.readouterr().out)
        assert values["kind"] == kind
        assert values["bytes"] > 0
        assert call("info", demonstrated / name) == 0
        assert name in capsys.readouterr().out


def test_every_figure_of_merit_is_documented(demonstrated):
    documented = (ROOT / "docs" / "metrics.md").read_text()
    metrics = json.loads((demonstrated / "metrics.json").read_text())
    for key, value in metrics.items():
        assert f"`{key}" in documented, key
        for inner in value if isinstance(value, dict) and key != "by_part" else ():
            assert f".{inner}`" in documented, f"{key}.{inner}"


def test_a_second_demo_replaces_the_first_only_on_request(demonstrated, capsys):
    before = (demonstrated / "metrics.json").read_bytes()
    assert call("demo", "-o", demonstrated) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (demonstrated / "metrics.json").read_bytes() == before


def test_a_foreign_folder_is_never_replaced(tmp_path, capsys, small):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").write_text("years")
    features = small / "small.features.h5"
    for arguments in (["demo", "-o"], ["train", features, "-o"], ["import", small / "structures", "-o"]):
        assert call(*arguments, tmp_path / "precious", "--overwrite") == 2
        assert "will not be replaced" in capsys.readouterr().err
    assert (tmp_path / "precious" / "thesis.txt").read_text() == "years"


def test_a_model_folder_with_notes_in_it_is_not_replaced(model, small, tmp_path, capsys):
    copy = tmp_path / "m"
    shutil.copytree(model, copy)
    (copy / "notes.txt").write_text("tried dropout 0.3")
    assert call("train", small / "small.features.h5", "-o", copy, "--overwrite") == 2
    assert "is a folder with other files and will not be replaced" in capsys.readouterr().err
    assert (copy / "notes.txt").read_text() == "tried dropout 0.3"


def test_an_output_never_overwrites_its_source(small, model, tmp_path, capsys):
    source = tmp_path / "s.h5"
    source.write_bytes((small / "small.h5").read_bytes())
    for arguments in (["featurise", source], ["predict", source, "--model", model]):
        assert call(*arguments, "-o", source, "--overwrite") == 2
        assert "is one of the inputs" in capsys.readouterr().err
    assert source.read_bytes() == (small / "small.h5").read_bytes()


def test_each_step_suggests_the_next_and_that_runs(small, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "xanes-hpc.toml").write_text(
        "[model]\nwidth = 16\n[training]\nepochs = 2\nbatch_size = 16\n[uncertainty]\nmembers = 1\n"
    )
    command = f"import {small / 'structures'} --spectra {small / 'spectra'} -o tmqm.h5"
    ran = []
    while command and "info" not in command:
        ran.append(command.split()[0])
        assert call(*command.split()) == 0
        found = re.search(r"^Next: xanes-hpc (.*)$", capsys.readouterr().err, re.MULTILINE)
        command = found[1] if found else ""
    assert ran == ["import", "featurise", "train", "predict", "evaluate"]
    assert json.loads((tmp_path / "metrics.json").read_text())["n_sites"] > 0


def test_no_training_is_suggested_without_spectra(small, model, tmp_path, capsys):
    def next_after(*command):
        assert call(*command) == 0
        return re.search(r"^Next: xanes-hpc (.*)$", capsys.readouterr().err, re.MULTILINE)[1].split()

    store, features, predicted = (tmp_path / name for name in ("s.h5", "s.features.h5", "p.h5"))
    assert next_after("import", small / "structures", "-o", store)[0] == "featurise"
    command = next_after("featurise", store, "--preset", "xanesnet-49")
    assert command[:3] == ["predict", str(features), "--model"]
    assert next_after("predict", features, "--model", model, "-o", predicted, "--draws", 2)[0] == "export"


def test_the_american_spelling_works(small, tmp_path):
    assert call("featurize", small / "small.h5", "-o", tmp_path / "f.h5", "--threads", 1) == 0
    assert (tmp_path / "f.h5").exists()


def test_predict_from_a_file_writes_csv(model, tmp_path, capsys):
    (tmp_path / "one.xyz").write_text("3\n\nFe 0 0 0\nO 0 0 1.9\nO 0 0 -1.9\n")
    arguments = ("predict", tmp_path / "one.xyz", "--model", model, "-o", tmp_path / "p.h5", "--csv", tmp_path / "csv")
    assert call(*arguments) == 0
    assert len((tmp_path / "csv" / "one.csv").read_text().splitlines()) == 203
    assert call("evaluate", tmp_path / "p.h5") == 2
    assert "has no reference spectra" in capsys.readouterr().err


def test_evaluate_draws_the_uncertainty(demonstrated, tmp_path, capsys):
    predictions, figure = demonstrated / "predictions.h5", tmp_path / "calibration.svg"
    assert call("evaluate", predictions, "--plot", figure) == 0
    drawn = figure.read_text()
    words = (
        "K edge, predictions.h5",
        "Reliability",
        "conformal intervals",
        "Coverage",
        "largest error",
        "half of the",
    )
    for word in words:
        assert word in drawn
    capsys.readouterr()
    assert call("evaluate", predictions, "--plot", tmp_path / "calibration.tiff") == 2
    assert "calibration.tiff: expected a file ending in .png, .svg, .pdf, received '.tiff'" in capsys.readouterr().err
    assert not (tmp_path / "calibration.tiff").exists()


def test_evaluating_training_sites_prints_a_note(model, small, tmp_path, capsys):
    assert call("predict", small / "small.h5", "--model", model, "-o", tmp_path / "p.h5", "--draws", 4) == 0
    capsys.readouterr()
    assert call("evaluate", tmp_path / "p.h5", "--json", tmp_path / "m.json") == 0
    captured = capsys.readouterr()
    assert "sites were used to make the model" in captured.err
    assert "error %, test" in captured.out


def commands_of(group, words=()):
    """Return all commands that are not groups, by their words."""
    found = {}
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        found |= commands_of(command, (*words, name)) if isinstance(command, click.Group) else {(*words, name): command}
    return found


EVERY_COMMAND = commands_of(cli)


@pytest.mark.parametrize("words", EVERY_COMMAND, ids=" ".join)
def test_every_command_and_option_has_a_help_text(words):
    command = EVERY_COMMAND[words]
    assert command.help
    assert f"xanes-hpc {' '.join(words)}" in (ROOT / "README.md").read_text()
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, option.name
            assert not option.help.endswith("."), option.name


@pytest.mark.parametrize("words", EVERY_COMMAND, ids=" ".join)
def test_no_command_takes_more_than_14_parameters(words):
    assert len(inspect.signature(EVERY_COMMAND[words].callback).parameters) <= 14


def test_commands_of_the_readme_exist():
    text = (ROOT / "README.md").read_text()
    for line in re.findall(r"^    (?:\.venv/bin/)?xanes-hpc (.*)$", text, re.MULTILINE):
        words = next((words for words in EVERY_COMMAND if tuple(line.split())[: len(words)] == words), None)
        assert words is not None, line
        options = {o for p in EVERY_COMMAND[words].params for o in p.opts}
        assert set(re.findall(r"(?<=\s)(--?[a-z][a-z-]*)", line)) <= options


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(block.strip().splitlines()) <= 10
    quick = block.replace("epochs=20", "epochs=3")
    assert quick != block
    scope: dict[str, object] = {}
    exec(quick, scope)
    assert scope["features"].n_features == 97
    assert "<Spectra of" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"complexes", "complexes.model", "test.png"}


def test_the_help_of_train_has_the_defaults_of_the_configuration():
    from xanes_hpc.cli.commands.train import FLAGS, command
    from xanes_hpc.config.files import load_run

    default = load_run(None, None, {}).as_values()
    helps = {option.name: option.help for option in command.params if isinstance(option, click.Option)}
    for name, key in FLAGS.items():
        section, _, own = key.partition(".")
        value = default[section][own]
        if value is not None and name != "freeze":
            assert f"[default: {value}]" in helps[name], key


def test_the_docs_show_every_configuration_key_with_its_default(tmp_path):
    from xanes_hpc.config.files import load_run
    from xanes_hpc.models import architectures

    (block, *_) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "configuration.md").read_text(), re.DOTALL)
    (tmp_path / "run.toml").write_text(block)
    documented, default = (load_run(c, tmp_path, {}).as_values() for c in (tmp_path / "run.toml", None))
    name = default["model"]["name"]
    default["model"]["parameters"], _ = architectures.build(name, {}, 10, 10)
    examples = {"features", "spectra", "augmented", "output", "model", "freeze", "fold"}
    given = tomllib.loads(re.sub(r"^# (\w+ = )", r"\1", block, flags=re.MULTILINE))  # keys of other methods
    assert given.keys() == default.keys()
    for section, values in default.items():
        if isinstance(values, dict):
            parameters = values.pop("parameters", {})
            assert documented[section].pop("parameters", {}) == parameters
            assert given[section].keys() == values.keys() | parameters.keys()
            for key, value in values.items():
                example = (
                    value is None or key in examples or (section in ("broadening", "normalisation") and key == "name")
                )
                assert example or documented[section][key] == value, f"{section}.{key}"


def test_the_docs_list_every_parameter_of_every_architecture():
    from xanes_hpc.models import architectures

    text = (ROOT / "docs" / "configuration.md").read_text()
    for name in architectures.names():
        (line,) = re.findall(rf"^\| `{name}` \|(.*)$", text, re.MULTILINE)
        parameters, _ = architectures.build(name, {}, 10, 10)
        assert set(re.findall(r"`(\w+) = ", line)) == set(parameters)
        for key, value in parameters.items():
            assert f"`{key} = {json.dumps(value)}`" in line


def test_the_descriptions_of_the_docs_load(tmp_path):
    from xanes_hpc.descriptors import load, read_toml

    blocks = re.findall(r"```toml\n(name = .*?)```", (ROOT / "docs" / "descriptors.md").read_text(), re.DOTALL)
    for i, block in enumerate(blocks):
        (tmp_path / f"{i}.toml").write_text(block)
    wacsf, rdc, extended = (read_toml(tmp_path / f"{i}.toml") for i in range(len(blocks)))
    assert wacsf.n_features == 1 + 32 + 5 * 4 + 8 * 2 * 2 + 3 * 24 * 3 + 3 * 8 + 5 + 2 * 3
    assert rdc.hash == load("rdc").hash
    assert extended.properties == ("charge", "oxidation")
