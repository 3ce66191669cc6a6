"""Which step of making an output a run takes: all of it, the plan, one partition, or the finished store."""

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
    """What a run does of an output that is made in parts.

    Attributes
    ----------
    n_partitions
        Plan the output for so many partitions, and write a script for SLURM.
    partition
        Make this partition of what was planned.
    finalise
        Put the output together from the parts of all partitions.
    virtual
        With ``finalise``: leave the rows in the parts, and refer to them.
    directives
        With ``n_partitions``: lines for ``#SBATCH``.
    workers
        Dask's, who make the parts instead of this process.
    threads
        Of each partition's run; by default all cores.
    restart
        Throw away the parts that a stopped run left.
    overwrite
        Replace an output that exists.
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
        """Check that the steps go together.

        Raises
        ------
        ConfigError
            Naming those that do not.
        """
        steps = (self.n_partitions is not None, self.partition is not None, self.finalise)
        if sum(steps) > 1:
            raise ConfigError("expected one of `n_partitions`, `partition` and `finalise`, received several")
        if self.virtual and not self.finalise:
            raise ConfigError("`virtual`: expected together with `finalise`")
        if self.directives and self.n_partitions is None:
            raise ConfigError("`directives`: expected together with `n_partitions`")
        if self.workers is not None and any(steps):
            raise ConfigError("`n_partitions`, `partition`, `finalise`: expected without Dask")

    @property
    def follow_a_plan(self) -> bool:
        """Whether an earlier run planned the output: a partition is made, or the output put together."""
        return self.partition is not None or self.finalise

    @property
    def need_a_store(self) -> bool:
        """Whether other processes open the source again, so that it must be a store."""
        return self.n_partitions is not None or self.workers is not None


@dataclass(frozen=True)
class Outcome:
    """What a step left.

    Attributes
    ----------
    script
        The script for SLURM, if the output was planned.
    parts
        Numbers of the parts that are there now, if a partition was made.
    """

    script: Path | None = None
    parts: range | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the output is there."""
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
        The output: as it was planned if ``steps.follow_a_plan``.
    steps
        Which step.
    command
        Makes the output when it is given to a shell; the script for SLURM runs it.
    n_partitions
        Of the plan that is followed.
    progress
        Called with rows done and rows in all.
    client
        Connected to ``steps.workers``.

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
