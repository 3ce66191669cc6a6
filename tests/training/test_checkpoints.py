"""Checkpoints: what they keep, and which are refused."""

import json
import shutil

import h5py
import numpy as np
import pytest
from support.builders import refused, run
from support.stored import flip_a_byte
from support.trainings import FEATURES, TINY, train_on

from xanes_hpc.errors import StoreError
from xanes_hpc.training.checkpoints import (
    Checkpoint,
    by_member,
    checkpoint_path,
    flat,
    read_checkpoint,
    write_checkpoint,
)

PLAN = {"run": {"training": {"epochs": 60, "seed": 0}, "model": {"hidden": [4, 4]}}, "sites": 12}


def checkpoint(plan=PLAN):
    generator = np.random.default_rng(0)
    state = [generator.normal(size=(30, 40)).astype(np.float32), np.array(17, np.int64), np.float32([1.5])]
    best = [generator.normal(size=(3, 2)).astype(np.float32), np.zeros(2, np.float32)]
    progress = {"choose": {"epochs": [{"loss": float("nan"), "rate": 1e-3}], "best": None}}
    return Checkpoint(plan, "choose", progress, state, best)


@pytest.fixture
def path(tmp_path):
    return checkpoint_path(tmp_path / "m.model")


def refusal(path, plan=PLAN):
    with pytest.raises(StoreError) as caught:
        read_checkpoint(path, plan)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def test_a_checkpoint_is_read_as_written(path):
    write_checkpoint(path, checkpoint())
    write_checkpoint(path, checkpoint())
    found, written = read_checkpoint(path, PLAN), checkpoint()
    assert (found.plan, found.stage) == (PLAN, "choose")
    assert repr(found.progress["choose"]) == repr(dict(sorted(written.progress["choose"].items())))
    for read, given in ((found.state, written.state), (found.best, written.best)):
        assert [(a.dtype, a.shape) for a in read] == [(a.dtype, a.shape) for a in given]
        assert all(np.array_equal(a, b) for a, b in zip(read, given, strict=True))
    assert path.name == "m.model.checkpoint.h5"
    assert list(path.parent.iterdir()) == [path]


def test_a_half_written_checkpoint_is_ignored_and_replaced(path):
    write_checkpoint(path, checkpoint())
    path.with_name(f".{path.name}.partial").write_bytes(b"half")
    read_checkpoint(path, PLAN)
    write_checkpoint(path, checkpoint())
    assert list(path.parent.iterdir()) == [path]


def test_by_member_undoes_flat():
    arrays = [[np.array([10 * member + i]) for i in range(3)] for member in range(2)]
    assert by_member(flat(arrays), 2) == arrays


def test_a_missing_checkpoint_is_refused(path):
    assert refusal(path) == "no such checkpoint, so there is nothing to resume; train without `resume`"


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (PLAN | {"sites": 13},
         "belongs to another run: sites was 12, now 13; use that run's settings, or train again with `overwrite`"),
        ({"run": {"training": {"epochs": 60, "seed": 1}, "model": {"hidden": [4]}}, "sites": 12},
         "belongs to another run: run.model.hidden was [4, 4], now [4]; run.training.seed was 0, now 1; use"),
        (PLAN | {"augmented": 2, "digest": "ab" * 40},
         f"belongs to another run: augmented was null, now 2; digest was null, now \"{'ab' * 18}...; use that"),
    ],
)  # fmt: skip
def test_settings_that_differ_are_named(path, plan, message):
    write_checkpoint(path, checkpoint())
    assert refusal(path, plan).startswith(message)


def with_attribute(name, value):
    def damage(path):
        with h5py.File(path, "a") as file:
            file.attrs[name] = value

    return damage


def with_number(path):
    with h5py.File(path, "a") as file:
        file["state/1"][()] = 18


def without(name):
    def damage(path):
        with h5py.File(path, "a") as file:
            del file[name]

    return damage


def with_text(name, old, new):
    def damage(path):
        with h5py.File(path, "a") as file:
            text = file[name][()].replace(old, new)
            del file[name]
            file[name] = text

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"no checkpoint"),
        lambda path: path.write_bytes(path.read_bytes()[:3000]),
        lambda path: flip_a_byte(path, "state/0"),
        lambda path: flip_a_byte(path, "best/0"),
        with_attribute("stage", "refit"),
        with_attribute("state", 9),
        with_attribute("state", 2),
        with_attribute("schema_version", "new"),
        with_number,
        without("plan"),
        without("state"),
        without("progress"),
        with_text("progress", b"rate", b"rape"),
        with_text("plan", b'"', b""),
    ],
)
def test_damage_is_reported_in_one_line(path, damage):
    write_checkpoint(path, checkpoint())
    damage(path)
    message = refusal(path)
    assert message.startswith("damaged: ")
    assert message.endswith("; delete it and train again")


def test_a_newer_schema_is_refused(path):
    write_checkpoint(path, checkpoint())
    with_attribute("schema_version", 2)(path)
    assert refusal(path) == "expected xanes-hpc/checkpoint up to schema 1, received xanes-hpc/checkpoint of schema 2"


@pytest.fixture(scope="module")
def stopped(small, tmp_path_factory):
    """Return a folder with the checkpoint of a run that was stopped after its first epoch."""
    from xanes_hpc.training.stages import Observer

    class Stop(Exception):
        pass

    def stop(epoch):
        if epoch.epoch == 2:
            raise Stop

    folder = tmp_path_factory.mktemp("stopped")
    with pytest.raises(Stop):
        train_on(small / FEATURES, folder / "m", observer=Observer(epoch=stop), training__checkpoint_minutes=0.0)
    (folder / "run.toml").write_text(
        TINY + "[training]\nepochs = 3\nbatch_size = 16\ngaussian_process = false\n[uncertainty]\nmembers = 1\n"
    )
    return folder


@pytest.fixture
def again(stopped, small, tmp_path):
    """Return the command that continues the stopped run, in a folder of its own."""
    shutil.copytree(stopped, tmp_path, dirs_exist_ok=True)
    return ("train", small / FEATURES, "-o", tmp_path / "m", "--config", tmp_path / "run.toml")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "m.checkpoint.h5: a run was stopped here; continue it with --resume, or start again with --overwrite"),
        (["--resume", "--seed", "3"],
         "m.checkpoint.h5: belongs to another run: run.training.seed was 0, now 3; use that run's settings, or train "
         "again with --overwrite"),
        (["--resume", "--members", "2"], "m.checkpoint.h5: belongs to another run: run.uncertainty.members was 1, now"),
        (["--resume", "--group", "none"], "belongs to another run: run.split.group was \"formula\", now \"none\";"),
    ],
)  # fmt: skip
def test_a_run_other_than_the_stopped_one_is_refused(again, tmp_path, capsys, words, message):
    assert message in refused(capsys, tmp_path, *again, *words)


def test_a_checkpoint_of_other_networks_is_refused(again, tmp_path, capsys):
    """Such as one written by a version of Keras with other variables."""
    path = checkpoint_path(tmp_path / "m")
    with h5py.File(path) as file:
        plan = json.loads(file["plan"][()])
    found = read_checkpoint(path, plan)
    write_checkpoint(path, Checkpoint(plan, found.stage, found.progress, found.state[:-1], found.best))
    assert "m.checkpoint.h5: does not match the networks" in refused(capsys, tmp_path, *again, "--resume")


def test_overwriting_trains_from_the_start(again, tmp_path, capsys):
    assert run(*again, "--overwrite", "--seed", "3") == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["brief.toml", "m", "run.toml"]
    assert "seed = 3" in (tmp_path / "m" / "run.toml").read_text()


def test_settings_that_do_not_change_the_result_may_differ(again, tmp_path, capsys):
    assert run(*again, "--resume", "--devices", "cpu") == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["brief.toml", "m", "run.toml"]
