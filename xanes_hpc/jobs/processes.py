"""Tasks in processes of their own, each with one thread."""

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
    """A team of processes, as ``tasks.Team``."""

    died: type[Exception] = BrokenProcessPool

    def __init__(self, pool: ProcessPoolExecutor, n_workers: int) -> None:
        self._pool, self.n_workers = pool, n_workers

    def submit(self, task: Callable[[Any], Any], item: Any) -> "Future[Any]":
        """Hand out a task."""
        return self._pool.submit(task, item)

    def done(self, futures: Iterable["Future[Any]"]) -> Iterable["Future[Any]"]:
        """Wait for some of the futures."""
        return wait(list(futures), return_when=FIRST_COMPLETED).done


def processes(n_workers: int | None = None) -> Callable[[int | None], Any]:
    """Return what starts teams of so many processes, by default one per core."""

    @contextmanager
    def team(n: int | None) -> Iterator[Processes]:
        """Processes that end with the block; killed at once if it raises."""
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
    """Set up a process: one thread, Ctrl-C kills it, and so does the end of the run."""
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process once its parent has ended, however that was: it would wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
