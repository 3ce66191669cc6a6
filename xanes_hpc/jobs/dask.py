"""Work on a Dask cluster whose workers may come and go: parts of an output, and single tasks."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xanes_hpc.errors import StoreError, XanesHpcError, first_line
from xanes_hpc.jobs.assembly import Assembly
from xanes_hpc.jobs.parts import Parts, PartsFolder
from xanes_hpc.jobs.run import Job, Opening, Progress

if TYPE_CHECKING:
    from distributed import Client, Future

RETRIES = 2
"""Number of times a task is retried, if possible on another worker, after a failure other than bad input."""
SECONDS_UNSEEN = 60.0
"""Time for a part made by a worker to become visible on this machine."""


def run(
    client: "Client",
    job: Job,
    overwrite: bool = False,
    restart: bool = False,
    progress: Progress = lambda done, total: None,
) -> None:
    """Make an output as ``jobs.run.run`` does, with the parts made by workers.

    The workers and this process must see the same files under the same paths.

    Raises
    ------
    XanesHpcError
        As ``jobs.run.run`` does; or if a worker has another version of the program, or a part kills its workers
        repeatedly.
    """
    job.check(overwrite)
    bounds = job.plan.bounds
    n_parts = len(bounds) - 1
    with PartsFolder(job.output, job.plan.as_values(), restart) as folder, job.begin(folder, overwrite) as file:
        assembly = Assembly(file, folder, job.plan.tables, bounds)
        ready = {n for n in range(n_parts) if folder.is_whole(n, job.plan.tables, bounds[n + 1] - bounds[n])}
        missing = [n for n in range(n_parts) if n not in ready]
        appended = done = 0
        made = sum(bounds[n + 1] - bounds[n] for n in ready)
        progress(made, bounds[-1])
        arguments = [(job.opening, folder.plan_digest, n) for n in missing]
        for index in completed(client, _make_part, arguments, "part"):
            number = missing[index]
            ready.add(number)
            done += bounds[number + 1] - bounds[number]
            while appended in ready:
                _wait_for(folder.part(appended))
                assembly.append(appended)
                appended += 1
            progress(made + done, bounds[-1])
        for number in range(appended, n_parts):
            assembly.append(number)


def _wait_for(part: Path) -> None:
    """Wait until a part made on another machine is visible here: network file systems cache missing files."""
    deadline = time.monotonic() + SECONDS_UNSEEN
    while part.name not in os.listdir(part.parent) or not part.exists():
        if time.monotonic() > deadline:
            raise StoreError(
                f"{part}: a worker made it, but it is not visible on this machine; check that both see the same files"
            )
        time.sleep(0.2)


def completed(
    client: "Client", function: Callable[..., str], arguments: list[tuple[Any, ...]], what: str
) -> Iterator[int]:
    """Call a function on the workers, once for each tuple of arguments; yield the index of each finished call.

    The function returns an error message, or an empty string.

    Parameters
    ----------
    what
        Noun for what a call makes, used in errors; the call's last argument is its number.

    Raises
    ------
    StoreError
        With the function's message; or if a call kills its workers repeatedly.
    """
    from distributed import as_completed
    from distributed.scheduler import KilledWorker

    futures = [
        client.submit(function, *own, priority=-k, retries=RETRIES, pure=False) for k, own in enumerate(arguments)
    ]
    indices = {future.key: k for k, future in enumerate(futures)}
    try:
        for future in as_completed(futures):
            index = indices[future.key]
            try:
                wrong = future.result()
            except KilledWorker as error:
                raise StoreError(
                    f"{what} {arguments[index][-1]}: its workers died repeatedly ({first_line(error)}); check that "
                    "they have enough memory"
                ) from None
            if wrong:
                raise StoreError(wrong)
            yield index
    finally:
        client.cancel(futures)


def _make_part(opening: Opening, plan_digest: str, number: int) -> str:
    """Make a part on a worker; return an error message, or an empty string."""
    from xanes_hpc.runtime import threads

    threads.use(1)  # the cluster assigns cores
    try:
        job, parts, _opened_files = _opened(opening, plan_digest)
        job.make(parts, range(number, number + 1), lambda made: None, lambda done, total: None)
    except XanesHpcError as error:
        _opened.cache_clear()  # the open file may have been replaced
        return str(error)
    return ""


@lru_cache(maxsize=1)
def _opened(opening: Opening, plan_digest: str) -> tuple[Job, Parts, ExitStack]:
    """Open a job in this process, and keep it open for its next parts until another job is opened."""
    from xanes_hpc.jobs.parts import plan_difference

    job, files = opening.open()
    parts = Parts(job.output, job.plan.as_values())
    if parts.plan_digest != plan_digest:
        different = plan_difference(job.output, job.plan.as_values(), "the worker")
        raise StoreError(f"a worker would make different parts: the plan has {different}")
    return job, parts, files


class DaskWorkers:
    """A ``tasks.Team`` of the workers of a cluster."""

    died: type[Exception]

    def __init__(self, client: "Client") -> None:
        from distributed.scheduler import KilledWorker

        self.died, self._client = KilledWorker, client
        self.futures: set[Future] = set()

    @property
    def n_workers(self) -> int:
        """Number of threads of all workers."""
        return max(1, int(sum(self._client.nthreads().values())))

    def submit(self, task: Callable[[Any], Any], item: Any) -> "Future":
        """Submit a task, and return its future."""
        future = self._client.submit(task, item, retries=RETRIES, pure=False)
        self.futures.add(future)
        return future

    def done(self, futures: Iterable["Future"]) -> Iterable["Future"]:
        """Wait until at least one future has finished, and return the finished ones."""
        from distributed import wait

        ended: set[Future] = set(wait(list(futures), return_when="FIRST_COMPLETED").done)
        self.futures -= ended
        return ended


def cluster_team(client: "Client") -> Callable[[int | None], Any]:
    """Return a function for ``tasks.results`` that submits tasks to a cluster.

    Its context manager cancels the tasks that are still waiting at the end of the block.
    """

    @contextmanager
    def team(n: int | None) -> Iterator[DaskWorkers]:
        workers = DaskWorkers(client)
        try:
            yield workers
        finally:
            client.cancel(list(workers.futures))

    return team
