"""Choose and run one step of making an output: all of it, its plan, one partition, or the final assembly."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from xanes_hpc.errors import ConfigError
from xanes_hpc.jobs import dask, run
from xanes_hpc.jobs.dask_workers import Workers

if TYPE_CHECKING:
    from distributed import Client


@dataclass(frozen=True)
class Steps:
    """The step of a run that makes an output in parts; by default all of it.

    Attributes
    ----------
    n_partitions
        Plan the output for this number of partitions, and write a SLURM script.
    partition
        Make this partition of the plan.
    finalise
        Assemble the output from the parts of all partitions.
    virtual
        With ``finalise``: leave the rows in the parts, and refer to them.
    directives
        With ``n_partitions``: options for ``#SBATCH`` lines.
    workers
        Dask workers that make the parts instead of this process.
    threads
        Number of threads of each partition's run; by default all cores.
    restart
        Discard the parts of a stopped run.
    overwrite
        Replace an existing output.
    """

    n_partitions: int | None = None
    partition: int | None = None
    finalise: bool = False
    virtual: bool = False
    directives: tuple[str, ...] = ()
    workers: Workers | None = None
    threads: int | None = None
    restart: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        """Check that the options can be combined.

        Raises
        ------
        ConfigError
            If they cannot; names them.
        """
        steps = (self.n_partitions is not None, self.partition is not None, self.finalise)
        if sum(steps) > 1:
            raise ConfigError("expected one of `n_partitions`, `partition` and `finalise`, received several")
        if self.virtual and not self.finalise:
            raise ConfigError("`virtual`: expected only with `finalise`")
        if self.directives and self.n_partitions is None:
            raise ConfigError("`directives`: expected only with `n_partitions`")
        if self.workers is not None and any(steps):
            raise ConfigError("`n_partitions`, `partition` and `finalise` cannot be combined with Dask")

    @property
    def follow_a_plan(self) -> bool:
        """Whether the step needs the plan of an earlier run: it makes a partition, or assembles the output."""
        return self.partition is not None or self.finalise

    @property
    def need_a_store(self) -> bool:
        """Whether other processes open the source again, which must then be a store."""
        return self.n_partitions is not None or self.workers is not None


@dataclass(frozen=True)
class Outcome:
    """The result of a step.

    Attributes
    ----------
    script
        Path of the SLURM script, if the output was planned.
    parts
        Numbers of the partition's parts, if a partition was made.
    """

    script: Path | None = None
    parts: range | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the output is complete."""
        return self.script is None and self.parts is None


def take(
    job: run.Job,
    steps: Steps,
    command: Sequence[str] = (),
    n_partitions: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
    client: "Client | None" = None,
) -> Outcome:
    """Take a step of making an output.

    Parameters
    ----------
    job
        The output; opened from its plan if ``steps.follow_a_plan``.
    steps
        The step to take.
    command
        Shell command that makes the output, for the SLURM script.
    n_partitions
        Number of partitions of the plan, if ``steps.follow_a_plan``.
    progress
        Called with the number of finished rows, and of all rows.
    client
        Connection to ``steps.workers``.

    Raises
    ------
    XanesHpcError
        As the functions of ``jobs.run`` and ``jobs.dask`` do.
    """
    if steps.n_partitions is not None:
        return Outcome(script=run.plan(
            job, steps.n_partitions, command, steps.directives, steps.restart, steps.overwrite, steps.threads
        ))  # fmt: skip
    if steps.partition is not None:
        return Outcome(parts=run.make_partition(job, steps.partition, n_partitions, progress))
    if steps.finalise:
        run.finalise(job, n_partitions, steps.overwrite, steps.virtual)
    elif client is not None:
        dask.run(client, job, steps.overwrite, steps.restart, progress)
    else:
        run.run(job, steps.overwrite, steps.restart, progress)
    return Outcome()
