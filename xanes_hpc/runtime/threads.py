"""How many threads kernels may use, and sharing rows out over them.

Kernels run without Python's lock on the thread that calls them, so plain threads do. Unlike loops that Numba shares out
in equal halves, threads that take the next rows when they are done lose nothing where reading and writing, or another
process, takes a core for a while.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numba

from xanes_hpc.errors import ConfigError

MOST = int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
"""Cores this process may use, or what the environment variable ``NUMBA_NUM_THREADS`` says."""
_chosen = MOST


def count() -> int:
    """Threads that kernels may use."""
    return _chosen


def use(n: int | None) -> None:
    """Use ``n`` threads from now on; by default all cores.

    Raises
    ------
    ConfigError
        If there are fewer.
    """
    global _chosen
    if n is not None and not 1 <= n <= MOST:
        raise ConfigError(f"--threads {n}: this machine has {MOST}")
    _chosen = n or MOST


@contextmanager
def limited_to(n: int) -> Iterator[None]:
    """Use ``n`` threads within the block.

    Raises
    ------
    ConfigError
        As ``use``.
    """
    before = count()
    use(n)
    try:
        yield
    finally:
        use(before)


def share_out(n_rows: int, at_once: int, work: Callable[[int, int], None]) -> None:
    """Call ``work(start, stop)`` until every row is done, at most ``at_once`` rows a call, on all threads.

    Rows are cut into pieces of one size, as many for each thread. What a call raises ends the work; of several, the one
    of the first rows.
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
