"""Training that is killed or interrupted: what it leaves, and that it resumes to the same model."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from support.places import WITH_TESTS, program
from support.trainings import FEATURES, copied, history

from xanes_hpc.config.files import load_run
from xanes_hpc.models.model import Model
from xanes_hpc.stores.features import FeatureStore

FIGURES = ("epoch", "loss", "validation_error_percent", "learning_rate")
TOLERANCE = 1e-6
"""Relative tolerance of weights; measured: bit-identical."""


@pytest.fixture(scope="module")
def folder(small, tmp_path_factory):
    return tmp_path_factory.mktemp("stopped")


@pytest.fixture(scope="module")
def found(small, folder):
    return run(small, folder, "runs")


def run(small, folder, what):
    """Return what the trainings left, and their exit codes."""
    command = [*program("support.stopped_trainings"), copied(small, folder / "s"), folder, what]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False, env=WITH_TESTS)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def said(folder, name):
    """Return the lines a command printed on standard error, without TensorFlow's own start-up lines."""
    text = (folder / f"{name}.err").read_text()
    return [line for line in text.splitlines() if line and not line.startswith("I0000 ")]


def assert_same(first, second):
    """Check that two models have the same weights, scalers, calibration and history."""
    assert len(first.members) == len(second.members)
    for a, b in zip(first.members, second.members, strict=True):
        assert a.weights.keys() == b.weights.keys()
        for name, arrays in a.weights.items():
            for mine, other in zip(arrays, b.weights[name], strict=True):
                np.testing.assert_allclose(mine, other, rtol=TOLERANCE, atol=TOLERANCE)
        np.testing.assert_array_equal(a.scalers.target_mean, b.scalers.target_mean)
    for stage in ("choose", "refit"):
        for figure in FIGURES:
            np.testing.assert_allclose(history(first, figure, stage), history(second, figure, stage), rtol=TOLERANCE)
    np.testing.assert_allclose(first.calibration.scale, second.calibration.scale, rtol=1e-4)


def test_a_run_killed_in_both_stages_ends_as_an_unbroken_one(found, folder):
    """It is killed between a fall of the rate and the next checkpoint, then while it writes a checkpoint."""
    codes = [found[name] for name in ("whole", "killed in choose", "killed in refit", "resumed")]
    assert codes == [0, -signal.SIGKILL, -signal.SIGKILL, 0]
    whole = Model.open(folder / "whole")
    assert_same(whole, Model.open(folder / "killed"))
    for stage, n_epochs, falls in (("choose", 8, [3, 5, 7]), ("refit", 6, [3, 5])):
        rates = history(whole, "learning_rate", stage)
        assert [k for k in range(1, n_epochs) if rates[k] < rates[k - 1]] == falls
        assert history(whole, "epoch", stage) == list(range(1, n_epochs + 1))


def test_finished_runs_leave_only_the_model(found, folder):
    assert found["half written"] == [".killed.checkpoint.h5.partial", ".killed.lock"]
    left = {path.name for path in folder.iterdir()}
    assert {"whole", "killed", "commanded", "kept", "interrupted"} <= left
    ours = {name for name in left if any(word in name for word in ("partial", "checkpoint", "lock"))}
    assert ours == {"terminated.checkpoint.h5"}


def test_ctrl_c_before_the_first_epoch_ends_leaves_nothing(found, folder):
    assert found["early"] == 130
    assert {path.name for path in folder.glob("*early*")} == {"early.toml", "early.err", "early.out"}
    (line,) = said(folder, "early")
    assert line.startswith("xanes-hpc: interrupted; ")


def test_ctrl_c_keeps_the_best_so_far(found, folder, small):
    """In the second stage it keeps the network of the first, with dropout as its uncertainty.

    The process beside it is fitted to all sites but the tested ones.
    """
    assert found["interrupted"] == 0
    note, following = said(folder, "interrupted")
    assert note == (
        "Note: stopped early; the model folder holds the best model so far; "
        "to continue, run the same command with --resume"
    )
    assert following.startswith("Next: xanes-hpc predict ")
    model = Model.open(folder / "kept")
    assert (len(model.members), model.method) == (1, "dropout")
    assert model.training_sites.trained == ("train", "validation", "calibration")
    errors = history(model, "validation_error_percent")
    assert (len(errors), history(model, "epoch", "refit")) == (4, [])
    with FeatureStore(small / FEATURES) as features:
        absorbers = model.absorbers(features.sites.element, features.sites.edge)
        predicted = model.members[0].mean_network(features.read(0, 120), absorbers)
    reference = np.array([np.loadtxt(path)[:, 1] for path in sorted((small / "spectra").iterdir())])
    each = 100 * np.abs(predicted - reference).sum(axis=1) / reference.sum(axis=1)
    chosen = model.training_sites.sets == 1
    assert each[chosen].mean() == pytest.approx(min(errors), rel=1e-3)
    assert load_run(folder / "kept" / "run.toml", folder, {}).uncertainty.n_members == 1


def test_a_run_stopped_by_ctrl_c_can_be_resumed(found, folder):
    assert (found["command"], found["command resumed"]) == (0, 0)
    assert_same(Model.open(folder / "commanded"), Model.open(folder / "interrupted"))


@pytest.mark.slow
def test_folds_stopped_by_ctrl_c_can_be_resumed(small, tmp_path):
    """They were stopped in the second fold's refit, then in the second epoch of the final model.

    The model kept in the fold must not count as the fold's model; of the final model only the checkpoint is kept.
    """
    folder, found = tmp_path, run(small, tmp_path, "folds")
    assert [found[name] for name in ("whole", "interrupted", "interrupted again", "resumed")] == [0, 130, 130, 0]
    first, second = ["fold-0.model", "fold-0.predictions.h5"], ["fold-1.model", "fold-1.predictions.h5"]
    assert found["left"] == [*first, "fold-1.model", "fold-1.model.checkpoint.h5", "folds.json"]
    assert found["left again"] == ["final.model.checkpoint.h5", *first, *second, "folds.json"]
    whole, resumed = folder / "folds", folder / "folds_stopped"
    for name in ("fold-0.model", "fold-1.model", "final.model"):
        assert_same(*(Model.open(path / name) for path in (whole, resumed)))
    summaries = [json.loads((path / "folds.json").read_text()) for path in (whole, resumed)]
    assert len(summaries[0]["folds"]) == len(summaries[1]["folds"]) == 2
    for name, value in summaries[0]["mean"].items():
        assert summaries[1]["mean"][name] == pytest.approx(value, rel=1e-4), name


def test_sigterm_leaves_the_checkpoint_and_says_how_to_resume(found, folder):
    assert found["terminated"] == 130
    names = {path.name for path in folder.glob("*terminated*")}
    assert names == {"terminated.toml", "terminated.err", "terminated.out", "terminated.checkpoint.h5"}
    note, line = said(folder, "terminated")
    assert note == "Note: to continue, run the same command with --resume"
    assert line.startswith("xanes-hpc: interrupted; ")


def test_ctrl_c_ends_a_real_process_cleanly(small, tmp_path):
    """TensorFlow must print nothing on standard error."""
    (tmp_path / "xanes-hpc.toml").write_text(
        '[model]\nname = "mlp"\nhidden = [8]\n[training]\nepochs = 1000000\nbatch_size = 16\ncheckpoint_minutes = 0\n'
    )
    command = [sys.executable, "-m", "xanes_hpc", "train", copied(small, tmp_path)]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 120
        while not (tmp_path / "small.model.checkpoint.h5").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, printed = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0, printed
    lines = [line for line in printed.splitlines() if not line.startswith("training: ")]
    assert [line.split()[0] for line in lines] == ["Note:", "Next:"], printed
    assert Model.open(tmp_path / "small.model").members
