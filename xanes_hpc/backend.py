"""TensorFlow, imported once it is needed and without its start-up chatter, and the devices it can use."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from xanes_hpc.errors import ConfigError


def gpus(wanted: int | None) -> list[str]:
    """TensorFlow's names of the GPUs to use; none for the CPU.

    Parameters
    ----------
    wanted
        How many, 0 for the CPU; by default one, or the CPU where there is none.

    Raises
    ------
    ConfigError
        If there are fewer than asked for.
    """
    with _quiet():
        import tensorflow as tf

        there = [d.name.replace("physical_device:", "") for d in tf.config.list_physical_devices("GPU")]
    if wanted is not None and wanted > len(there):
        hint = "" if there else "; train without --gpus to use the CPU"
        raise ConfigError(f"--gpus {wanted}: TensorFlow finds {len(there)} on this machine{hint}")
    chosen = there[: 1 if wanted is None else wanted]
    if len(chosen) < len(there):  # TensorFlow would take the memory of all it sees
        physical = tf.config.list_physical_devices("GPU")
        tf.config.set_visible_devices(physical[: len(chosen)], "GPU")
    return chosen


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back what libraries write straight to standard error, and show it if the block fails."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except Exception:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
