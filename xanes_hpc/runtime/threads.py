"""Set the number of threads for kernels, and divide rows among them.

Kernels are serial and release Python's lock, so plain threads suffice. Numba's parallel loops give each thread an equal
share, and all wait if one is delayed by reading, writing or another process. Here a thread takes more rows when it is
done.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numba

from xanes_hpc.errors import ConfigError

MOST = int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
"""Number of cores that this process may use, or the environment variable ``NUMBA_NUM_THREADS``."""
_chosen = MOST


def count() -> int:
    """Return the number of threads that kernels may use."""
    return _chosen


def use(n: int | None) -> None:
    """Use ``n`` threads from now on, or all cores if it is None.

    Raises
    ------
    ConfigError
        If ``n`` is below 1 or exceeds the number of cores.
    """
    global _chosen
    if n is not None and not 1 <= n <= MOST:
        raise ConfigError(f"`threads`: expected 1 to {MOST}, the number of cores, received {n}")
    _chosen = n or MOST


@contextmanager
def limited_to(n: int) -> Iterator[None]:
    """Use ``n`` threads within the block.

    Raises
    ------
    ConfigError
        As ``use`` does.
    """
    before = count()
    use(n)
    try:
        yield
    finally:
        use(before)


def each(items: Sequence[int], work: Callable[[int], None]) -> None:
    """Call ``work`` with every item, on all threads; an exception in a call ends the work as in ``share_out``."""

    def some(start: int, stop: int) -> None:
        for item in items[start:stop]:
            work(item)

    share_out(len(items), 1, some)


@contextmanager
def serial_algebra() -> Iterator[None]:
    """Compute every product of matrices on its own thread within the block, for work that is shared out to threads."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):
        yield


def share_out(n_rows: int, at_once: int, work: Callable[[int, int], None]) -> None:
    """Call ``work(start, stop)`` for all rows, at most ``at_once`` rows per call, on all threads.

    Rows are divided into pieces of equal size, whose number is a multiple of the threads if possible. An exception in a
    call ends the work; if several calls raise one, that of the first rows is raised.
    """
    if not n_rows:
        return
    rounds = -(-n_rows // (at_once * count()))
    size = -(-n_rows // (rounds * count()))
    starts = range(0, n_rows, size)
    stops = [min(start + size, n_rows) for start in starts]
    if len(starts) == 1 or count() == 1:
        for start, stop in zip(starts, stops, strict=True):
            work(start, stop)
        return
    with ThreadPoolExecutor(count(), "kernels") as pool:
        for _ in pool.map(work, starts, stops):
            pass
