"""Options of the commands whose output can be planned, made in partitions, and finalised; and what they print."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.cluster_options import told_of
from xanes_hpc.cli.options import several


class PartitionNumber(click.ParamType):  # type: ignore[type-arg]  # not generic in all versions
    """The number of a partition, or the one that a scheduler's array says."""

    name = "integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number, from 0 on."""
        from xanes_hpc.jobs.slurm import array_index

        if value == "array":
            return array_index()
        try:
            number = int(value)
        except ValueError:
            number = -1
        if number < 0:
            self.fail(f"expected the number of a partition, from 0 on, received {value!r}", param, ctx)
        return number


partition_options = several(
    click.option(
        "--plan",
        "n_partitions",
        type=click.IntRange(min=1),
        metavar="N",
        help="Share the work out over N partitions, which runs of their own make, and write a script for SLURM.",
    ),
    click.option(
        "--partition",
        type=PartitionNumber(),
        is_flag=False,
        flag_value="array",
        metavar="[K]",
        help="Make partition K, from 0 on, of what was planned; without K the one a scheduler's array says.",
    ),
    click.option("--finalise", is_flag=True, help="Make one store of the parts of all partitions."),
    click.option(
        "--virtual", is_flag=True, help="With --finalise: leave the rows in the parts, and refer to them there."
    ),
    click.option(
        "--sbatch",
        "directives",
        multiple=True,
        metavar="OPTION",
        help="With --plan: a line of the script for SLURM, such as --time=02:00:00. May be repeated.",
    ),
)
"""To plan an output, make a partition of it, and finalise it."""


def check_steps(
    n_partitions: int | None, partition: int | None, finalise: bool, virtual: bool, lines: Any, workers: Any
) -> None:
    """Refuse several of ``--plan``, ``--partition`` and ``--finalise``, any with Dask, and what belongs to another."""
    context = click.get_current_context()
    steps = (n_partitions is not None, partition is not None, finalise)
    if sum(steps) > 1:
        raise click.UsageError("expected one of --plan, --partition and --finalise", context)
    if virtual and not finalise:
        raise click.UsageError("--virtual: expected together with --finalise", context)
    if lines and n_partitions is None:
        raise click.UsageError("--sbatch: expected together with --plan", context)
    if workers is not None and any(steps):
        raise click.UsageError("--plan, --partition, --finalise: expected without Dask", context)


@contextmanager
def kept(target: Path) -> Iterator[None]:
    """Says where what is done stays, if the run is interrupted."""
    from xanes_hpc.stores.part_files import parts_folder

    try:
        yield
    except KeyboardInterrupt:
        if parts_folder(target).exists():
            console.err.print(f"{parts_folder(target)}: keeps what is done; the same command goes on from there")
        raise


def run(job: Any, workers: Any, what: str, overwrite: bool, restart: bool) -> None:
    """Make all of a job here, or by workers of a Dask cluster."""
    from xanes_hpc.jobs import run as execution

    with ExitStack() as opened:
        opened.enter_context(kept(job.output))
        client = None if workers is None else opened.enter_context(told_of(workers))
        progress = opened.enter_context(console.progress(what, "sites"))
        if client is None:
            execution.run(job, overwrite, restart, progress)
        else:
            from xanes_hpc.jobs import dask

            dask.run(client, job, overwrite, restart, progress)


def tell_plan(script: Path, rows: Mapping[str, str], job: Any, n_partitions: int, words: Sequence[str]) -> None:
    """What was planned, and how it is run."""
    n_parts = len(job.plan.bounds) - 1
    console.table(str(script.parent), {**rows, "parts": f"{n_parts:,} in {n_partitions:,} partitions"})
    console.next_step(f"sbatch {shlex.quote(str(script))}, or {shlex.join(words)} --partition 0, 1, …")


def tell_partition(target: Path, partition: int, numbers: range, words: Sequence[str]) -> None:
    """What was made, and what is left to do."""
    console.table(f"partition {partition} of {target}", {"parts": f"{numbers.start} to {numbers.stop - 1}"})
    console.next_step(f"when all are made, {shlex.join([*words, '--finalise'])}")
