"""Import TensorFlow when it is needed and without its start-up messages, and choose its devices."""

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

from xanes_hpc.errors import ConfigError, ModelError, first_line

OTHERS_ENDED = (
    "another process of this training has ended (see its output); run the same command with `resume` in every process"
)


def devices(gpus: int | None, named: str | None = None) -> list[str]:
    """Return TensorFlow's names of the devices to train on; an empty list for its default, the CPU.

    Parameters
    ----------
    gpus
        Number of GPUs, 0 for the CPU. Default: one, or the CPU if there is none.
    named
        ``cpu:N`` to split the processor into N devices instead.

    Raises
    ------
    ConfigError
        If there are fewer GPUs than asked for, ``named`` is not of that form, or both are given.
    """
    if named is not None:
        if gpus is not None:
            raise ConfigError(f"`devices` {named}: give either `devices` or `gpus`, not both")
        return _logical_cpus(named)
    with _quiet():
        from xanes_hpc.models.backend import tf

        tf.get_logger().setLevel("ERROR")  # it warns that every network is traced as a function of its own
        there = [d.name.replace("physical_device:", "") for d in tf.config.list_physical_devices("GPU")]
    if gpus is not None and gpus > len(there):
        raise ConfigError(f"`gpus` {gpus}: {_too_few(len(there))}")
    chosen = there[: 1 if gpus is None else gpus]
    _show_gpus(len(chosen), f"`gpus` {len(chosen)}")
    return chosen


def _too_few(there: int) -> str:
    """Return why there are not enough GPUs, and what to do."""
    from xanes_hpc.training.gpu_diagnosis import gpu_names, why_no_gpu

    if there:
        return f"TensorFlow finds {there} on this machine ({gpu_names()})"
    return (
        f"{why_no_gpu()}; install the driver, and TensorFlow's CUDA libraries by pip install 'xanes-hpc[gpu]', or "
        "leave out `gpus` to train on the processor"
    )


def _show_gpus(n: int, asked: str) -> None:
    """Let TensorFlow see only the first ``n`` GPUs, because it reserves the memory of all that it sees."""
    from xanes_hpc.models.backend import tf

    physical = tf.config.list_physical_devices("GPU")
    if physical:
        try:
            tf.config.set_visible_devices(physical[:n], "GPU")
        except RuntimeError:  # devices cannot be changed once TensorFlow has started
            there = len(tf.config.get_visible_devices("GPU"))
            raise ConfigError(f"{asked}: TensorFlow has already started with {there} GPUs in this process") from None


def _logical_cpus(named: str) -> list[str]:
    found = re.fullmatch(r"cpu(?::([1-9]\d{0,2}))?", named)
    if not found:
        raise ConfigError(f"`devices` {named}: expected cpu or cpu:N, with N from 1 to 999")
    n = int(found.group(1) or 1)
    with _quiet():
        from xanes_hpc.models.backend import tf

        tf.get_logger().setLevel("ERROR")
        _show_gpus(0, f"`devices` {named}")
        if n > 1:
            try:
                (physical, *_) = tf.config.list_physical_devices("CPU")
                tf.config.set_logical_device_configuration(physical, [tf.config.LogicalDeviceConfiguration()] * n)
            except RuntimeError:  # devices cannot be changed once TensorFlow has started
                there = len(tf.config.list_logical_devices("CPU"))
                if there < n:
                    raise ConfigError(
                        f"`devices` {named}: TensorFlow has already started with {there} CPU devices in this process"
                    ) from None
    return [f"/CPU:{i}" for i in range(n)] if n > 1 else []


def shared_strategy(tf_config: str) -> Any:
    """Return TensorFlow's strategy for several processes, once all of them are connected.

    Raises
    ------
    ConfigError
        If TensorFlow has already started in this process, or cannot connect to the others.
    """
    os.environ["TF_CONFIG"] = tf_config
    with _quiet():
        from xanes_hpc.models.backend import tf

        try:
            with _default_signal_handlers():
                return tf.distribute.MultiWorkerMirroredStrategy()
        except (RuntimeError, ValueError, tf.errors.OpError) as error:
            raise ConfigError(f"`distributed`: cannot connect to the other processes: {first_line(error)}") from None


@contextmanager
def _default_signal_handlers() -> Iterator[None]:
    """Use the system's handlers of SIGINT and SIGTERM within the block, and restore the present ones after it.

    Python's handlers do not run while TensorFlow waits for other processes, so that Ctrl-C would not end it.
    TensorFlow also installs a SIGTERM handler of its own.
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
    """Return the sum of the values that the processes of a shared strategy pass."""
    from xanes_hpc.models.backend import tf

    def summed(own: Any) -> Any:
        context = tf.distribute.get_replica_context()
        return context.all_reduce(tf.distribute.ReduceOp.SUM, own)

    n_local = len(strategy.extended.worker_devices)
    try:
        every = strategy.run(summed, args=(tf.constant(value / n_local, tf.float64),))
        return float(strategy.experimental_local_results(every)[0])
    except tf.errors.OpError as error:
        raise ModelError(f"{OTHERS_ENDED} ({first_line(error)[:100]})") from None


def is_out_of_memory(error: BaseException) -> bool:
    """Return True if an error means that a device or the machine has run out of memory."""
    from xanes_hpc.models.backend import tf

    return isinstance(error, (MemoryError, tf.errors.ResourceExhaustedError))


@contextmanager
def networks_forgotten() -> Iterator[None]:
    """Free the networks trained within the block, and silence TensorFlow's warnings about their number.

    TensorFlow otherwise keeps the gradient of every ``all_reduce`` that it has traced, and with it the variables of
    the surrounding function, for as long as it runs.
    """
    with _quiet():
        from xanes_hpc.models.backend import gradient_registry

    registry = getattr(gradient_registry, "_registry", {})
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
    """Hold back what libraries write to file descriptor 2, and show it if the block fails."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        kept = os.dup(2)
    except OSError:  # closed by whoever started the process
        yield
        return
    sys.stderr.flush()
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
