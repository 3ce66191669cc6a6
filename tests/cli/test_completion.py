"""Shell completion, suggestions for mistyped words, and progress in logs."""

import os
import subprocess
import sys

import click
import pytest
from support.builders import run

from xanes_hpc.cli import console
from xanes_hpc.cli.choices import Known
from xanes_hpc.cli.main import cli


def completions(words):
    """Return the shell's completions of the last word."""
    environment = {
        **os.environ, "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1),
        "_XANES_HPC_COMPLETE": "bash_complete",
    }  # fmt: skip
    code = "import sys; sys.argv[0] = 'xanes-hpc'; from xanes_hpc.cli.main import run; run()"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["xanes-hpc", "fe"], {"featurise", "feff"}),
        (["xanes-hpc", "fdmnes", ""], {"write", "ingest"}),
        (["xanes-hpc", "structures", ""], {"build", "substitute", "sample"}),
        (["xanes-hpc", "match", "--mi"], {"--mixture"}),
        (["xanes-hpc", "model", "p"], {"pack"}),
        (["xanes-hpc", "featurise", "tmqm.h5", "--preset", "xanesnet"], {"xanesnet-2022", "xanesnet-49"}),
        (["xanes-hpc", "train", "--model", "con"], {"conditioned", "convolutional"}),
        (["xanes-hpc", "train", "--loss", ""], {"mae", "mse", "huber"}),
        (["xanes-hpc", "match", "m.xdi", "p.h5", "--by", ""], {"chi2", "likelihood"}),
        (["xanes-hpc", "plot", "map", "--by", "u"], {"umap"}),
    ],
)
def test_commands_and_options_are_completed(words, expected):
    assert set(completions(words)) == expected


def commands(group=cli):
    """Yield every command, also those in groups."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        yield from commands(command) if isinstance(command, click.Group) else [command]


def test_known_values_exist_and_include_the_default():
    every = [(p.opts[0], p) for command in commands() for p in command.params if isinstance(p.type, Known)]
    assert len(every) > 20
    for option, parameter in every:
        assert len(parameter.type.names()) > 1, option
        assert (
            parameter.default is None
            or not isinstance(parameter.default, str)
            or (parameter.default in parameter.type.names())
        ), option


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "no command 'trian'; did you mean 'train'?"),
        (["match", "--mixtures", "2"], "--mixture"),
        (["explain", "--windows", "1:2"], "--window"),
        (["plot", "spectre", "p.h5"], "received 'spectre'; did you mean 'spectra'?"),
        (["plot", "map", "p.h5", "--by", "umpa"], "expected pca, umap, received 'umpa'; did you mean 'umap'?"),
        (["explain", "m", "s.h5", "--split", "trian"], "received 'trian'; did you mean 'train'?"),
        (["predict", "s.h5", "--model", "m", "--split", "tset"], "received 'tset'; did you mean 'test'?"),
        (["featurise", "s.h5", "--preset", "xanesnet-2020"], "did you mean 'xanesnet-2022'?"),
        (["explain", "mine.model"], "expected MODEL... and STORE, received only mine.model"),
        (["serve"], "expected one model, received 0"),
    ],
)
def test_mistyped_words_get_a_suggestion(capsys, words, message):
    assert run(*words) == 2
    assert message in capsys.readouterr().err


def test_capitals_and_unfamiliar_values_are_left_to_the_library():
    edge = Known("spectra.edges", "EDGES")
    for text in ("l23", "K", "published-fe"):
        assert edge.convert(text, None, None) == text


def test_a_mistyped_model_gets_a_suggestion(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.model").mkdir()
    assert run("report", "mine.modl") == 2
    assert "did you mean mine.model?" in capsys.readouterr().err


def test_progress_in_a_log_estimates_the_time_left(monkeypatch, capsys):
    times = iter([0.0, 20.0, 30.0, 50.0, 70.0, 71.0])
    monkeypatch.setattr(console.time, "monotonic", lambda: next(times))
    with console.progress("working", "sites") as progress:
        for done in (0, 1000, 2000):  # the time before the first is compilation, or an earlier run
            progress(done, 5000)
        progress(4000, 5000, "a note")
    assert capsys.readouterr().err.splitlines() == [
        "working: 0 of 5,000 sites",
        "working: 1,000 of 5,000 sites",
        "working: 2,000 of 5,000 sites, about 60 s left",
        "working: 4,000 of 5,000 sites, a note, about 13 s left",
    ]


def test_progress_that_begins_again_estimates_the_time_left_anew(monkeypatch, capsys):
    times = iter([0.0, 100.0, 200.0, 1000.0, 1020.0])
    monkeypatch.setattr(console.time, "monotonic", lambda: next(times))
    with console.progress("working", "sites") as progress:
        for done in (1, 3, 1, 2):
            progress(done, 3)
    assert capsys.readouterr().err.splitlines()[-1] == "working: 2 of 3 sites, about 20 s left"
