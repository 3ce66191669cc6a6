"""Options of the commands that make their output in parts, and what these print after each step."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.cluster_options import WORKERS, cluster_options, connected_to, workers_of
from xanes_hpc.cli.options import gathered, overwrite_option, refuse, threads_option

if TYPE_CHECKING:
    from xanes_hpc.jobs.run import Job
    from xanes_hpc.jobs.steps import Steps


class PartitionNumber(click.ParamType):  # type: ignore[type-arg]  # not generic in all versions
    """The number of a partition, or the index of this task in a scheduler's job array."""

    name = "integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number, counted from 0."""
        from xanes_hpc.jobs.slurm import array_index

        if value == "array":
            return array_index()
        try:
            number = int(value)
        except ValueError:
            number = -1
        if number < 0:
            self.fail(f"expected the number of a partition, counted from 0, received {value!r}", param, ctx)
        return number


PLAN = click.option(
    "--plan",
    "n_partitions",
    type=click.IntRange(min=1),
    metavar="N",
    help="Divide the work into N partitions for separate runs, and write a SLURM script",
)
PARTITION = click.option(
    "--partition",
    type=PartitionNumber(),
    is_flag=False,
    flag_value="array",
    metavar="[K]",
    help="Make partition K of the plan, counted from 0  [default: the task's index in a job array]",
)
SBATCH = click.option(
    "--sbatch",
    "directives",
    multiple=True,
    metavar="OPTION",
    help="With --plan: add a line to the SLURM script, such as --time=02:00:00 (repeatable)",
)
OPTIONS = (
    threads_option,
    cluster_options,
    WORKERS,
    PLAN,
    PARTITION,
    click.option("--finalise", is_flag=True, help="Combine the parts of all partitions into one store"),
    click.option("--virtual", is_flag=True, help="With --finalise: leave the rows in the parts and refer to them"),
    SBATCH,
    click.option("--restart", is_flag=True, help="Discard the parts of a stopped run"),
    overwrite_option,
)


def _steps(
    scheduler: str | None,
    cluster: str | None,
    job_options: tuple[str, ...],
    workers: int | None,
    threads: int | None,
    **others: Any,
) -> "Steps":
    from xanes_hpc.jobs.steps import Steps
    from xanes_hpc.runtime import threads as kernel_threads

    chosen = workers_of(scheduler, cluster, workers, job_options)
    steps = Steps(workers=chosen, threads=threads, **others)
    kernel_threads.use(threads)
    return steps


steps_options = gathered("steps", _steps, *OPTIONS)
"""Add the options of outputs made in parts to a command, which receives them as one parameter ``steps``."""


def refuse_with_a_plan(names: Sequence[str], steps: "Steps") -> None:
    """Refuse parameters that belong to the plan in a run that follows one."""
    if steps.follow_a_plan:
        refuse(names, "belongs to --plan; partitions take it from the plan")


def carry_out(
    job: "Job", n_partitions: int, steps: "Steps", what: str, command: Sequence[str], rows: Mapping[str, str]
) -> bool:
    """Carry out one step, and print what is left to do.

    Parameters
    ----------
    job, n_partitions
        The output, and the number of partitions of the plan that the run follows.
    what
        Label of the progress bar.
    command
        The command that makes the output, to suggest further steps.
    rows
        What to print about a plan.

    Returns
    -------
    bool
        Whether the output is finished.
    """
    from xanes_hpc.jobs import steps as library

    with ExitStack() as opened:
        opened.enter_context(_kept(job.output))
        client = None if steps.workers is None else opened.enter_context(connected_to(steps.workers))
        label = what if steps.partition is None else f"partition {steps.partition}"
        progress = opened.enter_context(console.progress(label, "sites"))
        outcome = library.take(job, steps, command, n_partitions, progress, client)
    if outcome.script is not None:
        n_parts, script = len(job.plan.bounds) - 1, outcome.script
        console.table(str(script.parent), {**rows, "parts": f"{n_parts:,} in {steps.n_partitions:,} partitions"})
        console.next_step(f"sbatch {shlex.quote(str(script))}, or {shlex.join(command)} --partition 0, 1, …")
    elif outcome.parts is not None:
        title = f"partition {steps.partition} of {job.output}"
        console.table(title, {"parts": f"{outcome.parts.start} to {outcome.parts.stop - 1}"})
        console.next_step(f"once all partitions are made: {shlex.join([*command, '--finalise'])}")
    return outcome.is_whole


@contextmanager
def _kept(target: Path) -> Iterator[None]:
    """Say where finished parts stay if the run is interrupted."""
    from xanes_hpc.stores.part_files import parts_folder

    try:
        yield
    except KeyboardInterrupt:
        if parts_folder(target).exists():
            console.err.print(f"{parts_folder(target)} keeps the finished parts; the same command continues from there")
        raise
