"""What other projects have set for Keras and TensorFlow does not change how we train."""

import json
import os
import subprocess
import sys
import tempfile
from types import SimpleNamespace

import pytest
from support.trainings import FEATURES, copied, history, train_on

from xanes_hpc.errors import StoreError
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
kernel_ridge = false
[uncertainty]
members = 1
"""
"""The order of axes in Keras's own file would break this network."""
KERAS_FILE = {"backend": "torch", "floatx": "float16", "epsilon": 0.1, "image_data_format": "channels_first"}
VARIABLES = {
    "KERAS_BACKEND": "jax", "KERAS_MAX_EPOCHS": "no number", "KERAS_NNX_ENABLED": "1", "TF_USE_LEGACY_KERAS": "1",
    "XLA_FLAGS": "--xla_no_such_flag=1", "TF_XLA_FLAGS": "--tf_no_such_flag=1", "PYTHONWARNINGS": "error",
}  # fmt: skip
ON_TORCH = """
import sys
from types import ModuleType, SimpleNamespace
for name in ("keras", "tensorflow", "tensorflow.python", "tensorflow.python.framework"):
    sys.modules[name] = ModuleType(name)
sys.modules["tensorflow.python.framework.ops"] = SimpleNamespace(gradient_registry=None)
sys.modules["keras"].config = SimpleNamespace(backend=lambda: "torch")
from xanes_hpc.errors import ConfigError
try:
    import xanes_hpc.models.backend
except ConfigError as error:
    print(error)
"""


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


def test_keras_on_another_backend_in_our_process_is_refused():
    done = subprocess.run([sys.executable, "-c", ON_TORCH], capture_output=True, text=True, check=True)
    assert "Keras runs on torch in this process" in done.stdout
    assert "KERAS_BACKEND=tensorflow" in done.stdout


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


def test_a_full_disk_of_temporary_files_is_named(small, tmp_path, monkeypatch):
    """Keras would write there until HDF5 crashes."""
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=1 << 20))
    with pytest.raises(StoreError, match="set TMPDIR") as caught:
        train_on(small / FEATURES, tmp_path / "m", training__epochs=1)
    assert str(caught.value).startswith(f"{tempfile.gettempdir()}: no space left ")
    assert not (tmp_path / "m").exists()
