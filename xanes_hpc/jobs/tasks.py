"""Run independent tasks on several workers, which may die from a task."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from xanes_hpc.jobs.processes import processes

if TYPE_CHECKING:
    from distributed import Client

Item = TypeVar("Item")
Result = TypeVar("Result")
DIED = "the process died during the calculation"
"""Why there is no result of a task that kills its worker."""
AHEAD = 2
"""Number of tasks submitted per worker."""


class Team(Protocol):
    """Workers that run tasks.

    Attributes
    ----------
    died
        Type of the exception that a task raises if its worker died.
    """

    died: type[Exception]

    @property
    def n_workers(self) -> int:
        """Number of tasks that run at the same time."""

    def submit(self, task: Callable[[Item], Result], item: Item) -> Any:
        """Submit a task, and return its future."""

    def done(self, futures: Iterable[Any]) -> Iterable[Any]:
        """Wait until at least one future has finished, and return the finished ones."""


def team_of(workers: "int | Client | None") -> Callable[[int | None], AbstractContextManager[Team]]:
    """Return a function for ``results`` that starts workers.

    Parameters
    ----------
    workers
        Number of processes on this machine, by default one per core; or a client of a Dask cluster.
    """
    if workers is None or isinstance(workers, int):
        return processes(workers)
    from xanes_hpc.jobs.dask import cluster_team

    return cluster_team(workers)


def results(
    team: Callable[[int | None], AbstractContextManager[Team]],
    pending: Iterator[tuple[int, Item]],
    task: Callable[[Item], Result],
    lost: Callable[[], Result],
) -> Iterator[tuple[int, Result]]:
    """Run a task on every item, and yield each item's number and result in the order of completion.

    If a worker dies, every task that may have killed it runs again, each on a separate worker. The result of a task
    that kills that worker too is ``lost()``.

    Parameters
    ----------
    team
        Starts the given number of workers, or by default all.
    pending
        Numbers and items; read only as workers become free.
    lost
        Returns the result of a task that kills its worker.
    """
    more = True
    while more:
        suspects: list[tuple[int, Item]] = []
        with team(None) as workers:
            running: dict[Any, tuple[int, Item]] = {}
            while True:
                room = 0 if suspects else AHEAD * workers.n_workers - len(running)
                for _ in range(room):
                    if (one := next(pending, None)) is None:
                        break
                    try:
                        running[workers.submit(task, one[1])] = one
                    except workers.died:  # another task has just killed a worker
                        suspects.append(one)
                        break
                if not running:
                    break
                for future in workers.done(running):
                    number, item = running.pop(future)
                    try:
                        yield number, future.result()
                    except workers.died:
                        suspects.append((number, item))
        more = bool(suspects)
        for number, item in suspects:
            with team(1) as alone:
                try:
                    yield number, alone.submit(task, item).result()
                except alone.died:
                    yield number, lost()
