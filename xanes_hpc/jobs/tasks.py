"""Independent tasks on several workers, one of which may die over its task."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
AHEAD = 2
"""Tasks handed out for each worker."""


class Team(Protocol):
    """Workers that take tasks.

    Attributes
    ----------
    died
        The error of a task whose worker died.
    """

    died: type[Exception]

    @property
    def n_workers(self) -> int:
        """How many tasks run at once."""

    def submit(self, task: Callable[[Item], Result], item: Item) -> Any:
        """Hand out a task; returns its future."""

    def done(self, futures: Iterable[Any]) -> Iterable[Any]:
        """Wait for some of the futures, and return those that have ended."""


def results(
    team: Callable[[int | None], AbstractContextManager[Team]],
    pending: Iterator[tuple[int, Item]],
    task: Callable[[Item], Result],
    lost: Callable[[], Result],
) -> Iterator[tuple[int, Result]]:
    """Run a task on every item, and yield each result with its item's number as it comes.

    When a worker dies, every task it might have died over runs again, each on a worker of its own. A task that kills
    that worker too gets ``lost()`` for a result.

    Parameters
    ----------
    team
        Starts the workers: so many, or by default as many as there are.
    pending
        Numbers and items; taken only as workers become free.
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
                    except workers.died:  # over another task, a moment ago
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
