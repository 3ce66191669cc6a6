"""Searching for hyperparameters: trials, their files, resuming after the process was killed, and refusals."""

import csv
import io
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import h5py
import numpy as np
import pytest
from support.builders import contents, refused, run, write
from support.trainings import copied as copied_stores
from tensorflow.python.framework import ops

from xanes_hpc.cli import console
from xanes_hpc.config.files import load_run

CONFIG = """
[model]
name = "mlp"
hidden = [16]
[training]
epochs = 2
batch_size = 16
learning_rate = 0.005
gpus = 0
refit = false
[uncertainty]
members = 1
"""
SPACE = """
"model.name" = ["residual", "mlp"]
"model.width" = {low = 8, high = 16, step = 8}
"model.blocks" = [1]
"model.hidden" = [[8], [16]]
"training.learning_rate" = {low = 1e-3, high = 1e-2, log = true}
"""
KEYS = ["model.name", "model.width", "model.blocks", "model.hidden", "training.learning_rate"]


@pytest.fixture(scope="module")
def files(tmp_path_factory, small):
    """Write ``run.toml`` and ``space.toml``, and return the arguments of a search with them."""
    folder = tmp_path_factory.mktemp("tuning")
    write(folder / "run.toml", CONFIG)
    write(folder / "space.toml", SPACE)
    arguments = ["tune", small / "small.features.h5"]
    return [*arguments, "--config", folder / "run.toml", "--space", folder / "space.toml", "--seed", 2]


@pytest.fixture(scope="module")
def search(tmp_path_factory, files):
    """Return the folder of a search of three trials, and what it printed; not to be changed."""
    output = tmp_path_factory.mktemp("search") / "small.tune"
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        assert run(*files, "--trials", 3, "-o", output) == 0
    return output, out.getvalue(), err.getvalue()


def table(output):
    with (output / "trials.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def values(output):
    return [{key: trial[key] for key in KEYS} for trial in table(output)]


def test_a_search_writes_its_folder_and_prints_its_table(search, small):
    output, printed, messages = search
    assert {p.name for p in output.iterdir()} == {"study.journal", "trials.csv", "best.toml"}
    trials = table(output)
    assert [t["number"] for t in trials] == ["0", "1", "2"]
    assert {t["state"] for t in trials} == {"complete"}
    assert {t["epochs"] for t in trials} == {"2"}
    assert all(float(t["seconds"]) > 0 for t in trials)
    assert list(trials[0])[5:-1] == KEYS
    for trial in trials:
        assert bool(trial["model.width"]) == (trial["model.name"] == "residual") != bool(trial["model.hidden"])
    best = min(trials, key=lambda t: float(t["validation_error_percent"]))
    lines = printed.splitlines()
    assert lines[0] == str(output)
    assert lines[1].split() == ["trials", "3:", "3", "complete"]
    assert f"trial {best['number']}, validation error {float(best['validation_error_percent']):.2f} %" in lines[2]
    assert lines[3].split() == [
        "trial", "error", "%", "seconds", "model", "width", "blocks", "hidden", "learning", "rate",
    ]  # fmt: skip
    assert [line.split()[0] for line in lines[4:]] == sorted(
        "012", key=lambda n: float(trials[int(n)]["validation_error_percent"])
    )
    next_step = f"Next: xanes-hpc train {small / 'small.features.h5'} --config {output / 'best.toml'}"
    assert messages.splitlines()[-1] == next_step
    assert "optuna" not in messages.lower()
    assert "retracing" not in messages


def test_the_first_trial_has_the_configured_values(search):
    assert values(search[0])[0] == dict(zip(KEYS, ["mlp", "", "", "[16]", "0.005"], strict=True))


def test_training_with_best_toml_repeats_the_best_trial(search, tmp_path, small):
    output = search[0]
    run_ = load_run(output / "best.toml", tmp_path, {})
    assert [Path(p).resolve() for p in run_.features] == [(small / "small.features.h5").resolve()]
    assert run("train", "--config", output / "best.toml", "-o", tmp_path / "best.model") == 0
    with (tmp_path / "best.model" / "history.csv").open() as stream:
        errors = [float(r["validation_error_percent"]) for r in csv.DictReader(stream) if r["stage"] == "choose"]
    best = min(float(t["validation_error_percent"]) for t in table(output))
    assert min(errors) == pytest.approx(best, rel=1e-3)


def test_a_killed_search_resumes_to_the_same_trials(search, files, tmp_path, capsys):
    output = tmp_path / "killed.tune"
    arguments = [*map(str, files), "-o", str(output), "--trials", "3"]
    process = subprocess.Popen([sys.executable, "-m", "xanes_hpc", *arguments], stderr=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while time.monotonic() < end and not (output / "trials.csv").exists():
        time.sleep(0.02)
    process.kill()
    process.wait()
    done = values(output)
    assert 1 <= len(done) < 3
    line = refused(capsys, tmp_path, *arguments)
    assert line == f"{output}: holds a search; continue it with --resume, or start again with --overwrite"
    assert run(*arguments, "--resume") == 0
    assert [t["state"] for t in table(output)] == ["complete"] * 3
    assert values(output) == values(search[0])
    for again, first in zip(table(output), table(search[0]), strict=True):
        assert float(again["validation_error_percent"]) == pytest.approx(
            float(first["validation_error_percent"]), rel=1e-3
        )


@pytest.fixture
def copied(search, tmp_path):
    output = tmp_path / "small.tune"
    output.mkdir()
    for path in search[0].iterdir():
        (output / path.name).write_bytes(path.read_bytes())
    return output


def test_ctrl_c_keeps_finished_trials_and_the_search_can_be_resumed(copied, files, monkeypatch, capsys):
    @contextmanager
    def interrupting(what, unit=""):
        yield lambda done, total, note="": os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(console, "progress", interrupting)
        assert run(*files, "-o", copied, "--resume", "--trials", 4) == 130
    printed = capsys.readouterr()
    assert "3 complete, 1 stopped" in printed.out
    assert "Note: to continue, run the same command with --resume\n" in printed.err
    stopped = table(copied)[3]
    assert stopped["state"] == "stopped"
    assert run(*files, "-o", copied, "--resume", "--trials", 4) == 0
    done = table(copied)
    assert [t["state"] for t in done] == ["complete"] * 4
    assert [done[3][key] for key in KEYS] == [stopped[key] for key in KEYS]


def test_resuming_a_finished_search_only_prints_its_table(copied, files, capsys):
    before = contents(copied)
    assert run(*files, "-o", copied, "--resume", "--trials", 2) == 0
    assert "3: 3 complete" in capsys.readouterr().out
    assert contents(copied) == before


def test_another_space_or_seed_is_refused(copied, files, tmp_path, capsys):
    other = write(tmp_path / "other.toml", SPACE.replace("high = 16", "high = 32"))
    line = refused(capsys, copied, *files, "-o", copied, "--resume", "--space", other)
    assert "study.journal: belongs to another search: space.model.width.high was 16, now 32; " in line
    line = refused(capsys, copied, *files, "-o", copied, "--resume", "--seed", 3)
    assert "run.training.seed was 2, now 3" in line


def test_trials_that_are_clearly_worse_end_early_and_leave_nothing_in_memory(small, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("xanes_hpc.model_selection.study.BEFORE_PRUNING", 1)
    monkeypatch.setattr("xanes_hpc.model_selection.study.WARM_UP", 0.0)
    config = write(tmp_path / "run.toml", CONFIG)
    space = write(tmp_path / "space.toml", '"training.learning_rate" = [0.005, 1e-8, 1e-9]\n')
    output = tmp_path / "pruned.tune"
    before = set(ops.gradient_registry._registry)
    arguments = ["tune", small / "small.features.h5", "--config", config, "--space", space, "-o", output]
    assert run(*arguments, "--trials", 3) == 0
    assert set(ops.gradient_registry._registry) == before  # else TensorFlow would keep every network in memory
    first, *others = table(output)
    assert (first["state"], first["training.learning_rate"]) == ("complete", "0.005")
    assert {t["training.learning_rate"] for t in others} == {"1e-08", "1e-09"}
    assert {(t["state"], t["epochs"]) for t in others} == {("pruned", "1")}
    assert all(float(t["validation_error_percent"]) > float(first["validation_error_percent"]) for t in others)
    assert "1 complete, 2 pruned" in capsys.readouterr().out


def test_trials_that_diverge_are_recorded_as_failed(small, tmp_path, capsys):
    config = write(tmp_path / "run.toml", CONFIG.replace("0.005", "1e30"))
    space = write(tmp_path / "space.toml", '"training.weight_decay" = [1e-4, 1e-3]\n')
    arguments = ["tune", small / "small.features.h5", "--config", config, "--space", space, "-o", tmp_path / "f.tune"]
    assert run(*arguments, "--trials", 2) == 2
    assert error_line(capsys.readouterr().err).startswith(
        f"xanes-hpc: error: {tmp_path / 'f.tune'}: none of 2 trials finished; trial 0 failed: "
    )
    trials = table(tmp_path / "f.tune")
    assert [t["state"] for t in trials] == ["failed"] * 2
    assert all("training diverged" in t["reason"] for t in trials)
    assert not (tmp_path / "f.tune" / "best.toml").exists()


def error_line(text):
    (line,) = [line for line in text.splitlines() if line.startswith("xanes-hpc: error")]
    return line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--space", "none.toml"], "none.toml: cannot be read: no such file or directory"),
        (["--space", "bad.toml"], "bad.toml: unknown key 'model.hiden'; did you mean 'model.hidden'?"),
        (["--resume"], "small.tune/study.journal: no such file; there is no search to resume; start one"),
        (["--resume", "--overwrite"], "--resume, --overwrite: expected one of them (see xanes-hpc tune --help)"),
        (["-o", "taken"], "taken: already exists"),
        (["-o", "taken", "--overwrite"], "taken: is a folder with other files and will not be replaced"),
        (["-o", "no/where.tune"], "no: no such folder for the output where.tune"),
        (["--trials", "0"], "Invalid value for '--trials': 0 is not in the range x>=1"),
        (["--config", "no-validation.toml"], "split.validation: the validation set is empty"),
        (["--config", "two.toml", "--space", "rate.toml"], "training.batch_size 17: expected a multiple of the 2 devi"),
        (["--config", "two.toml", "--space", "sizes.toml"], "training.batch_size 33: expected a multiple of the 2 dev"),
    ],
)
def test_wrong_arguments_are_refused(small, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "run.toml", CONFIG)
    write(tmp_path / "bad.toml", '"model.hiden" = [[8]]\n')
    write(tmp_path / "no-validation.toml", CONFIG + "[split]\nvalidation = 0.0\n")
    write(tmp_path / "rate.toml", '"training.learning_rate" = [1e-3, 2e-3]\n')
    write(tmp_path / "sizes.toml", '"training.batch_size" = {low = 32, high = 64}\n')
    write(tmp_path / "two.toml", CONFIG.replace("16\nle", "17\nle").replace("gpus = 0", 'devices = "cpu:2"'))
    write(tmp_path / "taken" / "other.txt", "")
    features = small / "small.features.h5"
    arguments = ["tune", features, "--config", "run.toml", "-o", "small.tune", *words]
    monkeypatch.setattr("xanes_hpc.training.tensorflow_setup._logical_cpus", lambda named: ["/CPU:0", "/CPU:1"])
    assert refused(capsys, tmp_path, *arguments).startswith(message)


def test_the_printed_space_can_be_read_back(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert run("tune", "--show-space") == 0
    shown = capsys.readouterr().out
    assert '"training.learning_rate" = {low = 0.0001, high = 0.005, log = true}\n' in shown
    write(tmp_path / "shown.toml", shown)
    assert run("tune", "--show-space", "--space", "shown.toml") == 0
    assert capsys.readouterr().out == shown


def test_features_that_are_not_finite_leave_no_search(small, tmp_path, capsys):
    path = copied_stores(small, tmp_path)
    with h5py.File(path, "r+") as file:
        file["features"][:, 3] = np.nan
    write(tmp_path / "run.toml", CONFIG)
    words = ["tune", path, "--config", tmp_path / "run.toml", "-o", tmp_path / "s.tune", "--trials", 1]
    assert run(*words) == 2
    assert "NaN or infinite features" in capsys.readouterr().err
    assert not (tmp_path / "s.tune").exists()
