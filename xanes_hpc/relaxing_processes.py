"""Structures relaxed in several processes at once, each of one thread."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process

from xanes_hpc.records import Structure
from xanes_hpc.relaxation import Relaxed

AHEAD = 2
"""Structures given out for each process."""
ENDED = "the process ended within the calculation"


def computed(
    pending: Iterator[tuple[int, Structure]], task: Callable[[Structure], Relaxed], workers: int
) -> Iterator[tuple[int, Relaxed]]:
    """What a task makes of structures, in several processes, as they come. One that ends its process has failed."""
    more = True
    while more:
        suspects: list[tuple[int, Structure]] = []
        with _pool(workers) as pool:
            running: dict[Future[Relaxed], tuple[int, Structure]] = {}
            while True:
                while len(running) < AHEAD * workers and not suspects and (one := next(pending, None)) is not None:
                    running[pool.submit(task, one[1])] = one
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    row, structure = running.pop(future)
                    try:
                        yield row, future.result()
                    except BrokenProcessPool:
                        suspects.append((row, structure))
        more = bool(suspects)
        for row, structure in suspects:  # one of them has ended its process: each alone tells which
            with _pool(1) as alone:
                try:
                    yield row, alone.submit(task, structure).result()
                except BrokenProcessPool:
                    yield row, Relaxed(failed=ENDED)


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that end with the block, at once where it is left by an error."""
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_begin)
    try:
        yield pool
        pool.shutdown()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in active_children():
            process.terminate()
        raise


def _begin() -> None:
    """In a process of its own: one thread, and Ctrl-C ends it, and the end of the run."""
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when the one that began it has ended, however that was: it would wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
