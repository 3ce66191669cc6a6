"""TensorFlow and Keras, imported here alone, so that the settings of other projects do not reach our networks.

Keras reads ``KERAS_*`` variables and ``~/.keras/keras.json`` when it is imported: another backend, another type of
float, another order of axes. TensorFlow's compiler reads ``XLA_FLAGS`` and ``TF_XLA_FLAGS`` when it starts, and ends
the process if a flag is unknown to it, such as one meant for JAX. What users rightly choose for TensorFlow, its
devices, threads, logging and kernels, is left to them.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from xanes_hpc.errors import ConfigError

__all__ = ["compiler_flags_hidden", "gradient_registry", "keras", "keras_settings", "tf"]


@contextmanager
def _variables(hidden: list[str], **values: str) -> Iterator[None]:
    """Hide some environment variables, and set others, within the block."""
    before = {name: os.environ.get(name) for name in [*hidden, *values]}
    for name in hidden:
        os.environ.pop(name, None)
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def compiler_flags_hidden() -> Iterator[None]:
    """Hide the flags of TensorFlow's compiler, which it reads once, the first time it compiles."""
    with _variables(["XLA_FLAGS", "TF_XLA_FLAGS"]):
        yield


def _of_keras() -> list[str]:
    return [name for name in os.environ if name.startswith("KERAS_")] + ["TF_USE_LEGACY_KERAS"]


# no settings are found in a folder that cannot exist, and none are written there
with compiler_flags_hidden(), _variables(_of_keras(), KERAS_BACKEND="tensorflow", KERAS_HOME=os.devnull):
    import keras
    import tensorflow as tf
    from tensorflow.python.framework.ops import gradient_registry

if keras.config.backend() != "tensorflow":  # the program that uses us imported it before
    raise ConfigError(
        f"Keras runs on {keras.config.backend()} in this process, and training needs TensorFlow: start a new process, "
        "and set KERAS_BACKEND=tensorflow before anything in it imports keras"
    )


@contextmanager
def keras_settings(precision: str = "float32") -> Iterator[None]:
    """Build networks within the block with Keras's own defaults, whatever the program has set.

    Parameters
    ----------
    precision
        The policy for the types of layers, such as ``mixed_float16``.
    """
    config = keras.config
    before = config.floatx(), config.epsilon(), config.image_data_format(), config.dtype_policy()
    _set("float32", 1e-7, "channels_last", precision)
    try:
        yield
    finally:
        _set(*before)


def _set(floatx: str, epsilon: float, image_data_format: str, policy: object) -> None:
    keras.config.set_floatx(floatx)
    keras.config.set_epsilon(epsilon)
    keras.config.set_image_data_format(image_data_format)
    keras.config.set_dtype_policy(policy)
