"""What other projects have set for Keras and TensorFlow does not change how we train."""

import json
import os
import subprocess
import sys

import pytest
from support.trainings import FEATURES, copied, history, train_on

from xanes_hpc.models.model import Model

NETWORK = """
[model]
name = "convolutional"
hidden = [16]
channels = 4
stages = 1
[training]
epochs = 2
batch_size = 16
gaussian_process = false
[uncertainty]
members = 1
"""
"""The order of axes in Keras's own file would break this network."""
KERAS_FILE = {"backend": "torch", "floatx": "float16", "epsilon": 0.1, "image_data_format": "channels_first"}
VARIABLES = {
    "KERAS_BACKEND": "jax", "KERAS_MAX_EPOCHS": "no number", "KERAS_NNX_ENABLED": "1", "TF_USE_LEGACY_KERAS": "1",
    "XLA_FLAGS": "--xla_no_such_flag=1", "TF_XLA_FLAGS": "--tf_no_such_flag=1", "PYTHONWARNINGS": "error",
}  # fmt: skip
KERAS = """
import os
from types import SimpleNamespace
seen = {name: value for name, value in os.environ.items() if "KERAS" in name or "XLA" in name}
config = SimpleNamespace(backend=lambda: seen.get("KERAS_BACKEND"))
"""
"""Stands for Keras: notes what it would read from the environment when it is imported."""
PROGRAM = """
import json, os, sys
if "first" in sys.argv:
    import keras
before = dict(os.environ)
try:
    from xanes_hpc.models.backend import keras
    print(json.dumps([keras.seen, dict(os.environ) == before]))
except Exception as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""


@pytest.mark.slow
def test_train_gives_the_same_history_whatever_others_set(small, tmp_path):
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras" / "keras.json").write_text(json.dumps(KERAS_FILE))
    expected = train_on(small / FEATURES, tmp_path / "expected", network=NETWORK, training__epochs=2)
    words = ("train", copied(small, tmp_path), "-o", tmp_path / "m", "--config", tmp_path / "brief.toml")
    command = [sys.executable, "-m", "xanes_hpc", *map(str, words)]
    environment = os.environ | {"HOME": str(tmp_path)} | VARIABLES
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for column in ("loss", "validation_error_percent"):
        assert history(Model.open(tmp_path / "m"), column) == history(expected, column)
    assert json.loads((tmp_path / ".keras" / "keras.json").read_text()) == KERAS_FILE


def imported(folder, *words):
    """What a program prints that imports our backend, with VARIABLES, and stand-ins for Keras and TensorFlow."""
    (folder / "keras.py").write_text(KERAS)
    for package in ("tensorflow", "tensorflow/python", "tensorflow/python/framework"):
        (folder / package).mkdir()
        (folder / package / "__init__.py").touch()
    (folder / package / "ops.py").write_text("gradient_registry = None")
    paths = os.pathsep.join([str(folder), *sys.path])
    environment = os.environ | VARIABLES | {"PYTHONPATH": paths}
    command = [sys.executable, "-c", PROGRAM, *words]
    return json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)


def test_a_program_of_a_users_imports_keras_with_our_settings_and_keeps_its_own(tmp_path):
    assert imported(tmp_path) == [{"KERAS_BACKEND": "tensorflow", "KERAS_HOME": os.devnull}, True]


def test_keras_on_another_backend_in_a_program_is_refused(tmp_path):
    name, message = imported(tmp_path, "first")
    assert name == "ConfigError"
    assert "Keras runs on jax in this process" in message
    assert "KERAS_BACKEND=tensorflow" in message


def test_networks_are_built_with_our_settings_and_the_programs_come_back():
    from xanes_hpc.models.backend import keras, keras_settings

    def settings():
        return (*(getattr(keras.config, name)() for name in KERAS_FILE), keras.config.dtype_policy().name)

    ours, theirs = ("tensorflow", "float32", 1e-7, "channels_last"), ("tensorflow", "float64", 0.1, "channels_first")
    before = settings()
    assert before == (*ours, "float32")
    keras.config.set_floatx("float64")
    keras.config.set_epsilon(0.1)
    keras.config.set_image_data_format("channels_first")
    try:
        with keras_settings("mixed_float16"):
            assert settings() == (*ours, "mixed_float16")
        assert settings() == (*theirs, "float32")
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_epsilon(1e-7)
        keras.config.set_image_data_format("channels_last")
    assert settings() == before
