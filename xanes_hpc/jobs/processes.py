"""Run tasks in separate processes with one thread each."""

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from typing import Any


class Processes:
    """A ``tasks.Team`` of processes on this machine."""

    died: type[Exception] = BrokenProcessPool

    def __init__(self, pool: ProcessPoolExecutor, n_workers: int) -> None:
        self._pool, self.n_workers = pool, n_workers

    def submit(self, task: Callable[[Any], Any], item: Any) -> "Future[Any]":
        """Submit a task, and return its future."""
        return self._pool.submit(task, item)

    def done(self, futures: Iterable["Future[Any]"]) -> Iterable["Future[Any]"]:
        """Wait until at least one future has finished, and return the finished ones."""
        return wait(list(futures), return_when=FIRST_COMPLETED).done


def processes(n_workers: int | None = None) -> Callable[[int | None], Any]:
    """Return a function for ``tasks.results`` that starts processes, by default one per core."""

    @contextmanager
    def team(n: int | None) -> Iterator[Processes]:
        """Start processes that end with the block; if it raises, they are killed at once."""
        n = n or n_workers or os.cpu_count() or 1
        pool = ProcessPoolExecutor(n, mp_context=get_context("spawn"), initializer=_begin)
        try:
            yield Processes(pool, n)
            pool.shutdown()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in active_children():
                process.terminate()
            raise

    return team


def _begin() -> None:
    """Set up a process: it has one thread, and ends on Ctrl-C or when its parent ends."""
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when its parent ends for any reason; it would otherwise wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
