"""Who makes the parts of an output: this run, or runs of their own on whatever machines; and one output of them.

The steps are the same. The ordinary run makes all parts and puts each into the output when it is whole; partitions are
planned first, each made by a run of its own, and the output is put together when all are there.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, Protocol

from xanes_hpc.jobs.assembly import Assembly
from xanes_hpc.jobs.partitions import check_whole, parts_of
from xanes_hpc.jobs.parts import SCRIPT, Parts, PartsFolder
from xanes_hpc.jobs.slurm import script
from xanes_hpc.stores.new_file import NewFile
from xanes_hpc.stores.part_files import Table, parts_folder

Progress = Callable[[int, int], None]


class Opening(Protocol):
    """What opens a planned job again, in another process; it can be pickled, and compared."""

    def open(self) -> "tuple[Job, ExitStack]":
        """The job, of which ``plan.json`` says how it is done, and what its files are open as long as."""

    def __hash__(self) -> int: ...


class Plan(Protocol):
    """What is made in parts.

    Attributes
    ----------
    tables, bounds
        Datasets that are made in parts; part k has their rows ``bounds[k]:bounds[k + 1]``.
    """

    @property
    def tables(self) -> Sequence[Table]: ...  # noqa: D102
    @property
    def bounds(self) -> Sequence[int]: ...  # noqa: D102

    def as_values(self) -> dict[str, Any]:
        """Everything that parts depend on, as plain values."""


class Job(Protocol):
    """An output that can be made in parts.

    Attributes
    ----------
    output, plan
        What is made, and how it is shared out.
    opening
        What opens it again elsewhere.
    """

    @property
    def output(self) -> Path: ...  # noqa: D102
    @property
    def plan(self) -> Plan: ...  # noqa: D102
    @property
    def opening(self) -> Opening: ...  # noqa: D102

    def check(self, overwrite: bool) -> None:
        """Refuse an output that stands in the way."""

    def make(self, folder: Parts, numbers: range, made: Callable[[int], None], progress: Progress) -> None:
        """Make parts, unless they are there and whole; ``made`` is told of each, in order."""

    def begin(self, folder: PartsFolder, overwrite: bool) -> AbstractContextManager[NewFile]:
        """The output but for its tables; it takes its name when the block ends well, all parts being there."""


def _nothing(number: int) -> None:
    pass


def run(
    job: Job, overwrite: bool = False, restart: bool = False, progress: Progress = lambda done, total: None
) -> None:
    """Make all parts, and the output. Parts that an earlier run has left are taken over, unless ``restart`` is set.

    Raises
    ------
    XanesHpcError
        As the job's own steps; if the output or another run stands in the way, or parts there are of something else.
    """
    job.check(overwrite)
    with PartsFolder(job.output, job.plan.as_values(), restart) as folder, job.begin(folder, overwrite) as file:
        assembly = Assembly(file, folder, job.plan.tables, job.plan.bounds)
        job.make(folder, range(len(job.plan.bounds) - 1), assembly.append, progress)


def plan(
    job: Job,
    n_partitions: int,
    command: Sequence[str],
    directives: Sequence[str] = (),
    restart: bool = False,
    overwrite: bool = False,
    threads: int | None = None,
) -> Path:
    """Leave a plan beside the output, and a SLURM array script; gives the script's path.

    Parameters
    ----------
    job
        What is to be made.
    n_partitions
        By how many runs.
    command
        What makes a partition, but for ``--partition``.
    directives
        Lines for ``#SBATCH``.
    restart
        Throw away the parts there are.
    overwrite
        Whether an output that exists may be replaced in the end.
    threads
        Of each run; by default all cores.

    Raises
    ------
    ConfigError
        If there are more partitions than parts, or a directive is none.
    StoreError
        As ``PartsFolder``.
    """
    path = parts_folder(job.output).resolve() / SCRIPT
    job.check(overwrite)
    last = [*command, "--finalise", *(["--overwrite"] if overwrite else [])]
    own = [*command, *([] if threads is None else ["--threads", str(threads)])]
    text = script(path, own, last, n_partitions, len(job.plan.bounds) - 1, directives)
    with PartsFolder(job.output, job.plan.as_values(), restart, n_partitions=n_partitions) as folder:
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)
        folder.keep = True
    return path


def make_partition(job: Job, partition: int, n_partitions: int, progress: Progress = lambda done, total: None) -> range:
    """Make the parts of one partition; gives their numbers.

    Raises
    ------
    ConfigError
        If there is no such partition.
    StoreError
        If another run makes the partition, or the plan is of something else.
    """
    numbers = parts_of(partition, n_partitions, len(job.plan.bounds) - 1)
    with PartsFolder(job.output, job.plan.as_values(), partition=partition) as folder:
        job.make(folder, numbers, _nothing, progress)
    return numbers


def finalise(job: Job, n_partitions: int, overwrite: bool = False, virtual: bool = False) -> None:
    """Make the output of the parts that all partitions have made.

    With ``virtual`` the rows are left in the parts, and referred to.

    Raises
    ------
    StoreError
        If a part is missing or damaged: names it; or if the output stands in the way.
    """
    job.check(overwrite)
    with PartsFolder(job.output, job.plan.as_values()) as folder:
        check_whole(folder, job.plan.tables, job.plan.bounds, n_partitions)
        with job.begin(folder, overwrite) as file:
            assembly = Assembly(file, folder, job.plan.tables, job.plan.bounds)
            if virtual:
                assembly.refer(job.output)
            else:
                for number in range(len(job.plan.bounds) - 1):
                    assembly.append(number)
        folder.keep = virtual
