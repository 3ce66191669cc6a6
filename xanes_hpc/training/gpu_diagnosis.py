"""Why TensorFlow finds no GPU: its build, and what it says when it looks for one."""

import os
import re
import subprocess
import sys

from xanes_hpc.models.backend import tf

_LOOK = "import tensorflow as tf; tf.config.list_physical_devices('GPU')"
_SECONDS = 60
_MOST_CHARACTERS = 300
_LOG_LINE = re.compile(r"^[IWEF]\d{4} \S+ +\d+ [\w.]+:\d+\] (.*)$", re.MULTILINE)
_OF_GPUS = re.compile(r"cuda|cuInit|\bGPU|dlopen|dynamic library|cudnn", re.IGNORECASE)


def why_no_gpu() -> str:
    """Return TensorFlow's version, its build, and its own reasons for finding no GPU, in one line."""
    build = tf.sysconfig.get_build_info()
    cuda, cudnn = build.get("cuda_version"), build.get("cudnn_version")
    built = f"built for CUDA {cuda} and cuDNN {cudnn}" if tf.test.is_built_with_cuda() else "built without CUDA"
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    hidden = "" if visible is None else f", where CUDA_VISIBLE_DEVICES is {visible!r}"
    reasons = gpu_messages(_log())
    return f"TensorFlow {tf.__version__} ({built}) finds no GPU{hidden}" + (f": {reasons}" if reasons else "")


def gpu_names() -> str:
    """Return the names of the GPUs that TensorFlow finds, with commas between."""
    details = map(tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU"))
    return ", ".join(one.get("device_name", "of unknown name") for one in details)


def _log() -> str:
    """Return what a new process logs when TensorFlow looks for GPUs; our own process has logged nothing."""
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "0", "KERAS_HOME": os.devnull}
    try:
        done = subprocess.run(
            [sys.executable, "-c", _LOOK], env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False,
            timeout=_SECONDS,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stderr.decode("utf-8", "replace")


def gpu_messages(log: str) -> str:
    """Return the messages about GPUs in a log of TensorFlow, each once, shortened.

    Examples
    --------
    >>> gpu_messages("I0000 00:00:1795985370.7 31970 cudart_stub.cc:31] Could not find cuda drivers on your machine.")
    'Could not find cuda drivers on your machine'
    """
    found = dict.fromkeys(text.strip().rstrip(".") for text in _LOG_LINE.findall(log) if _OF_GPUS.search(text))
    text = "; ".join(found)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"
