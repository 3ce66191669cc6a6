"""TensorFlow, imported once it is needed and without its start-up chatter, and the devices it can use."""

import gc
import logging
import os
import re
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from xanes_hpc.errors import ConfigError, ModelError

OTHERS_ENDED = (
    "another of the machines that train together has ended, and may say why: give the same command with --resume on all"
)


def devices(gpus: int | None, named: str | None = None) -> list[str]:
    """TensorFlow's names of the devices to use; none for the CPU.

    Parameters
    ----------
    gpus
        How many GPUs, 0 for the CPU; by default one, or the CPU where there is none.
    named
        Instead of that ``cpu:N``: the processor as N devices.

    Raises
    ------
    ConfigError
        If there are fewer than asked for, or ``named`` is nothing of that kind.
    """
    if named is not None:
        if gpus is not None:
            raise ConfigError(f"--devices {named}: give either devices or gpus")
        return _logical_cpus(named)
    with _quiet():
        import tensorflow as tf

        tf.get_logger().setLevel("ERROR")  # it remarks upon every network's being a function of its own
        there = [d.name.replace("physical_device:", "") for d in tf.config.list_physical_devices("GPU")]
    if gpus is not None and gpus > len(there):
        hint = "" if there else "; train without --gpus to use the CPU"
        raise ConfigError(f"--gpus {gpus}: TensorFlow finds {len(there)} on this machine{hint}")
    chosen = there[: 1 if gpus is None else gpus]
    _show_gpus(len(chosen), f"--gpus {len(chosen)}")
    return chosen


def _show_gpus(n: int, asked: str) -> None:
    """Let TensorFlow see the first ``n`` GPUs: it would take the memory of all it sees."""
    import tensorflow as tf

    physical = tf.config.list_physical_devices("GPU")
    if physical:
        try:
            tf.config.set_visible_devices(physical[:n], "GPU")
        except RuntimeError:  # TensorFlow has started, and what it started with stays
            there = len(tf.config.get_visible_devices("GPU"))
            raise ConfigError(f"{asked}: TensorFlow runs with {there} GPUs already") from None


def _logical_cpus(named: str) -> list[str]:
    found = re.fullmatch(r"cpu(?::([1-9]\d{0,2}))?", named)
    if not found:
        raise ConfigError(f"--devices {named}: expected cpu or cpu:N")
    n = int(found.group(1) or 1)
    with _quiet():
        import tensorflow as tf

        tf.get_logger().setLevel("ERROR")
        _show_gpus(0, f"--devices {named}")
        if n > 1:
            try:
                (physical, *_) = tf.config.list_physical_devices("CPU")
                tf.config.set_logical_device_configuration(physical, [tf.config.LogicalDeviceConfiguration()] * n)
            except RuntimeError:  # TensorFlow has started, and what it started with stays
                there = len(tf.config.list_logical_devices("CPU"))
                if there < n:
                    raise ConfigError(f"--devices {named}: TensorFlow runs with {there} already") from None
    return [f"/CPU:{i}" for i in range(n)] if n > 1 else []


def shared_strategy(tf_config: str) -> Any:
    """TensorFlow's strategy of several processes, which waits until the others are there.

    Raises
    ------
    ConfigError
        If TensorFlow has begun to work already, or the others cannot be met.
    """
    os.environ["TF_CONFIG"] = tf_config
    with _quiet():
        import tensorflow as tf

        try:
            with _deaf_to_python():
                return tf.distribute.MultiWorkerMirroredStrategy()
        except (RuntimeError, ValueError, tf.errors.OpError) as error:
            raise ConfigError(f"the other machines cannot be met: {str(error).splitlines()[0]}") from None


@contextmanager
def _deaf_to_python() -> Iterator[None]:
    """Let Ctrl-C end the process at once, and have SIGTERM's handler again after it: TensorFlow puts its own there.

    While it waits for the others TensorFlow hears of nothing but Ctrl-C and SIGKILL.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def total_of(strategy: Any, value: float) -> float:
    """The sum of what every process of a shared strategy gives."""
    import tensorflow as tf

    def summed(own: Any) -> Any:
        context = tf.distribute.get_replica_context()
        return context.all_reduce(tf.distribute.ReduceOp.SUM, own)

    n_local = len(strategy.extended.worker_devices)
    try:
        every = strategy.run(summed, args=(tf.constant(value / n_local, tf.float64),))
        return float(strategy.experimental_local_results(every)[0])
    except tf.errors.OpError as error:
        raise ModelError(f"{OTHERS_ENDED} ({str(error).splitlines()[0][:100]})") from None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory, a device's or the machine's, does not suffice."""
    import tensorflow as tf

    return isinstance(error, (MemoryError, tf.errors.ResourceExhaustedError))


@contextmanager
def networks_forgotten() -> Iterator[None]:
    """Let go of the networks that were trained within the block, and of warnings that there are many.

    TensorFlow keeps the gradient of every ``all_reduce`` that it has traced, and with it the variables of the function
    around it, for as long as it runs.
    """
    with _quiet():
        from tensorflow.python.framework import ops

    registry = getattr(ops.gradient_registry, "_registry", {})
    before, log = set(registry), logging.getLogger("tensorflow")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
        for name in set(registry) - before:
            if name.startswith("CustomGradient-"):
                del registry[name]
        gc.collect()


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
        except ConfigError:
            raise
        except Exception:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
