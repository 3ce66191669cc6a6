"""Work done by the workers of a Dask cluster, which may come and go: parts of an output, and tasks one by one."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xanes_hpc.errors import StoreError, XanesHpcError, in_a_line
from xanes_hpc.jobs.assembly import Assembly
from xanes_hpc.jobs.parts import Parts, PartsFolder
from xanes_hpc.jobs.run import Job, Opening, Progress

if TYPE_CHECKING:
    from distributed import Client, Future

RETRIES = 2
"""Times that a task which failed otherwise than by bad input is tried again, elsewhere if it can be."""
SECONDS_UNSEEN = 60.0
"""That a part may take to be seen on this machine."""


def run(
    client: "Client",
    job: Job,
    overwrite: bool = False,
    restart: bool = False,
    progress: Progress = lambda done, total: None,
) -> None:
    """As ``execution.run``, the parts made by workers: they and this run see the same files by the same names.

    Raises
    ------
    XanesHpcError
        As ``execution.run``; or if a worker's program is another, or workers end over a part again and again.
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
    """Wait until a part that another machine has made is seen here too: network file systems remember what was not."""
    deadline = time.monotonic() + SECONDS_UNSEEN
    while part.name not in os.listdir(part.parent) or not part.exists():
        if time.monotonic() > deadline:
            raise StoreError(f"{part}: a worker made it, and it is not seen here: does it see the same files?")
        time.sleep(0.2)


def completed(
    client: "Client", function: Callable[..., str], arguments: list[tuple[Any, ...]], what: str
) -> Iterator[int]:
    """Call a function, which gives what is wrong or nothing, with each of several arguments; tells which are done.

    Raises
    ------
    StoreError
        With what is wrong; or if workers end over a call again and again.
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
                    f"{what} {arguments[index][-1]}: its workers ended again and again ({in_a_line(error)}); have "
                    "they memory enough?"
                ) from None
            if wrong:
                raise StoreError(wrong)
            yield index
    finally:
        client.cancel(futures)


def _make_part(opening: Opening, plan_digest: str, number: int) -> str:
    """Make a part, on a worker; what is wrong with the input or the program, or nothing."""
    from xanes_hpc.runtime import threads

    threads.use(1)  # the cluster shares out cores
    try:
        job, parts, _opened_files = _opened(opening, plan_digest)
        job.make(parts, range(number, number + 1), lambda made: None, lambda done, total: None)
    except XanesHpcError as error:
        _opened.cache_clear()  # what was open may be another file by now
        return str(error)
    return ""


@lru_cache(maxsize=1)
def _opened(opening: Opening, plan_digest: str) -> tuple[Job, Parts, ExitStack]:
    """A job open in this process, from part to part, until another is and nothing uses it any more."""
    from xanes_hpc.jobs.parts import plan_difference

    job, files = opening.open()
    parts = Parts(job.output, job.plan.as_values())
    if parts.plan_digest != plan_digest:
        different = plan_difference(job.output, job.plan.as_values())
        raise StoreError(f"a worker would make other parts: those there are with {different}")
    return job, parts, files


class DaskWorkers:
    """A team of a cluster's workers, as ``tasks.Team``."""

    died: type[Exception]

    def __init__(self, client: "Client") -> None:
        from distributed.scheduler import KilledWorker

        self.died, self._client = KilledWorker, client
        self.futures: set[Future] = set()

    @property
    def n_workers(self) -> int:
        """Threads of all workers."""
        return max(1, int(sum(self._client.nthreads().values())))

    def submit(self, task: Callable[[Any], Any], item: Any) -> "Future":
        """Hand out a task."""
        future = self._client.submit(task, item, retries=RETRIES, pure=False)
        self.futures.add(future)
        return future

    def done(self, futures: Iterable["Future"]) -> Iterable["Future"]:
        """Wait for some of the futures."""
        from distributed import wait

        ended: set[Future] = set(wait(list(futures), return_when="FIRST_COMPLETED").done)
        self.futures -= ended
        return ended


def cluster_team(client: "Client") -> Callable[[int | None], Any]:
    """Return what hands tasks to a cluster's workers; those still waiting are cancelled at the end of the block."""

    @contextmanager
    def team(n: int | None) -> Iterator[DaskWorkers]:
        workers = DaskWorkers(client)
        try:
            yield workers
        finally:
            client.cancel(list(workers.futures))

    return team
