"""The figures of every epoch that are written for TensorBoard."""

from collections import defaultdict

import numpy as np
import pytest
from support.builders import refused, run
from support.trainings import TINY, copied, history

from xanes_hpc.models.model import Model
from xanes_hpc.training.epochs import Epoch
from xanes_hpc.training.tensorboard import tensorboard_writer


def logged(folder):
    """Return the values in a folder's event files, by name and step."""
    import tensorflow as tf
    from tensorflow.core.util import event_pb2

    values = defaultdict(dict)
    for path in sorted(folder.glob("events.out.tfevents.*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = event_pb2.Event.FromString(record.numpy())
            for value in event.summary.value:
                values[value.tag][event.step] = float(tf.make_ndarray(value.tensor))
    return dict(values)


def test_figures_are_written_by_stage(tmp_path):
    with tensorboard_writer(tmp_path / "new" / "logs") as write:
        write(Epoch("choose", 1, 0.5, 9.0, 1e-3, 2.0))
        write(Epoch("choose", 2, 0.25, 8.0, 1e-4, 2.0))
        write(Epoch("refit", 1, 0.75, float("nan"), 1e-3, 2.0))
    choose, refit = (logged(tmp_path / "new" / "logs" / stage) for stage in ("choose", "refit"))
    assert choose == {
        "loss": {1: 0.5, 2: 0.25},
        "validation_error": {1: 9.0, 2: 8.0},
        "learning_rate": {1: pytest.approx(1e-3), 2: pytest.approx(1e-4)},
    }
    assert refit == {"loss": {1: 0.75}, "learning_rate": {1: pytest.approx(1e-3)}}


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with tensorboard_writer(None) as write:
        write(Epoch("choose", 1, 0.5, 9.0, 1e-3, 2.0))
    assert list(tmp_path.iterdir()) == []


def command(small, tmp_path, logs):
    path = copied(small, tmp_path)
    config = tmp_path / "run.toml"
    config.write_text(TINY + "[training]\nbatch_size = 16\nepochs = 3\nrefit = true\n[uncertainty]\nmembers = 1\n")
    return ("train", path, "-o", tmp_path / "m", "--config", config, "--tensorboard", logs)


def test_the_command_logs_every_epoch(small, tmp_path):
    assert run(*command(small, tmp_path, tmp_path / "logs")) == 0
    model = Model.open(tmp_path / "m")
    for stage in ("choose", "refit"):
        found = logged(tmp_path / "logs" / stage)
        for name, column in (("loss", "loss"), ("learning_rate", "learning_rate")):
            np.testing.assert_allclose(list(found[name].values()), history(model, column, stage), rtol=1e-6)
    np.testing.assert_allclose(
        list(logged(tmp_path / "logs" / "choose")["validation_error"].values()),
        history(model, "validation_error_percent"), rtol=1e-6,
    )  # fmt: skip


def test_a_folder_that_cannot_be_made_is_refused_before_training(small, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    for logs, why in ((tmp_path / "file", "file exists"), (tmp_path / "file" / "logs", "not a directory")):
        line = refused(capsys, tmp_path, *command(small, tmp_path, logs))
        assert line == f"{logs}: cannot make this folder for TensorBoard: {why}"
