"""Make the parts of an output, in this run or in separate runs on any machines, and assemble the output.

The ordinary run makes all parts and appends each one to the output as soon as it is complete. With partitions, the work
is planned first, each partition is made by a separate run, and the output is assembled at the end.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, Protocol

from xanes_hpc.jobs.assembly import Assembly
from xanes_hpc.jobs.partitions import check_whole, parts_of
from xanes_hpc.jobs.parts import SCRIPT, Parts, PartsFolder
from xanes_hpc.jobs.slurm import script
from xanes_hpc.runtime.new_file import NewFile
from xanes_hpc.stores.part_files import AnyTable, parts_folder

Progress = Callable[[int, int], None]


class Opening(Protocol):
    """Opens a planned job again in another process; can be pickled and compared."""

    def open(self) -> "tuple[Job, ExitStack]":
        """Return the job that ``plan.json`` describes, and the stack that keeps its files open."""

    def __hash__(self) -> int: ...


class Plan(Protocol):
    """The division of an output into parts.

    Attributes
    ----------
    tables, bounds
        Datasets that are made in parts; part k has their rows ``bounds[k]:bounds[k + 1]``.
    """

    @property
    def tables(self) -> Sequence[AnyTable]: ...  # noqa: D102
    @property
    def bounds(self) -> Sequence[int]: ...  # noqa: D102

    def as_values(self) -> dict[str, Any]:
        """Return everything the parts depend on, as plain values."""


class Job(Protocol):
    """An output that can be made in parts.

    Attributes
    ----------
    output, plan
        Path of the output, and its division into parts.
    opening
        Opens the job again in another process.
    """

    @property
    def output(self) -> Path: ...  # noqa: D102
    @property
    def plan(self) -> Plan: ...  # noqa: D102
    @property
    def opening(self) -> Opening: ...  # noqa: D102

    def check(self, overwrite: bool) -> None:
        """Check that the output may be written."""

    def make(self, folder: Parts, numbers: range, made: Callable[[int], None], progress: Progress) -> None:
        """Make the parts that are missing or damaged; call ``made`` with each number, in order."""

    def begin(self, folder: PartsFolder, overwrite: bool) -> AbstractContextManager[NewFile]:
        """Create the output without its tables; it is renamed when the block ends without an error."""


def _nothing(number: int) -> None:
    pass


def run(
    job: Job, overwrite: bool = False, restart: bool = False, progress: Progress = lambda done, total: None
) -> None:
    """Make all parts, and the output; parts of an earlier run are kept unless ``restart`` is set.

    Raises
    ------
    XanesHpcError
        As the job's own steps do; or if the output exists and may not be replaced, another run is making it, or its
        parts have another plan.
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
    """Write a plan beside the output, and a script for a SLURM job array; return the script's path.

    Parameters
    ----------
    job
        The output to make.
    n_partitions
        Number of partitions.
    command
        Command that makes a partition, without ``--partition``.
    directives
        Options for ``#SBATCH`` lines.
    restart
        Discard existing parts.
    overwrite
        Whether the finished output may replace an existing one.
    threads
        Number of threads of each run; by default all cores.

    Raises
    ------
    ConfigError
        If there are more partitions than parts, or a directive is not an option of sbatch.
    StoreError
        As ``PartsFolder`` does.
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
    """Make the parts of a partition, and return their numbers.

    Raises
    ------
    ConfigError
        If the partition is not in the plan.
    StoreError
        If another run is making the partition, or the plan is another one.
    """
    numbers = parts_of(partition, n_partitions, len(job.plan.bounds) - 1)
    with PartsFolder(job.output, job.plan.as_values(), partition=partition) as folder:
        job.make(folder, numbers, _nothing, progress)
    return numbers


def finalise(job: Job, n_partitions: int, overwrite: bool = False, virtual: bool = False) -> None:
    """Assemble the output from the parts of all partitions.

    With ``virtual`` the rows stay in the parts, and the output refers to them.

    Raises
    ------
    StoreError
        If a part is missing or damaged, which is named; or if the output exists and may not be replaced.
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
