"""Options of the commands that can run on a Dask cluster."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.choices import Known
from xanes_hpc.cli.options import several

if TYPE_CHECKING:
    from distributed import Client

    from xanes_hpc.jobs.dask_workers import Workers

WORKERS = click.option(
    "--workers", type=click.IntRange(min=1), metavar="N", help="Number of workers that --cluster starts"
)

cluster_options = several(
    click.option(
        "--scheduler",
        metavar="ADDRESS",
        help="Use the workers of this Dask scheduler, such as tcp://node1:8786; they need the same file system",
    ),
    click.option(
        "--cluster",
        type=Known("jobs.dask_workers", "KINDS"),
        metavar="KIND",
        help="Start Dask workers: local, slurm or pbs (jobs of dask-jobqueue)",
    ),
    click.option(
        "--cluster-option",
        "job_options",
        multiple=True,
        metavar="NAME=VALUE",
        help="Option of dask-jobqueue for each job: cores=8, memory=32GB, walltime=02:00:00, queue=main, …",
    ),
)
"""``--scheduler`` and ``--cluster``; each command defines its own ``--workers``."""


def workers_of(
    scheduler: str | None,
    cluster: str | None,
    number: int | None,
    job_options: tuple[str, ...],
    alone: bool = False,
) -> "Workers | None":
    """Return the Dask workers to use, or None if none are asked for.

    With ``alone``, ``--workers`` may also be the number of processes on this machine.
    """
    from xanes_hpc.jobs.dask_workers import QUEUES, Workers, parse_option

    context = click.get_current_context()
    if scheduler is not None and cluster is not None:
        raise click.UsageError("expected one of --scheduler and --cluster", context)
    if job_options and cluster not in QUEUES:
        raise click.UsageError(f"--cluster-option: expected with --cluster {' or '.join(QUEUES)}", context)
    if number is not None and cluster is None and (scheduler is not None or not alone):
        raise click.UsageError("--workers: expected with --cluster", context)
    if scheduler is None and cluster is None:
        return None
    return Workers(scheduler, cluster, number, dict(map(parse_option, job_options)))


@contextmanager
def connected_to(workers: "Workers") -> "Iterator[Client]":
    """Connect to workers, and print where their dashboard is."""
    import logging

    from xanes_hpc.jobs.dask_workers import connected

    logging.getLogger("distributed").setLevel(logging.ERROR)  # the parts report what went wrong
    with connected(workers) as client:
        console.err.print(f"dashboard: {client.dashboard_link}")
        yield client
