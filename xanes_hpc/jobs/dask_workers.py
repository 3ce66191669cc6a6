"""Workers of a Dask cluster: one that runs, one on this machine, or jobs of a queue."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from xanes_hpc.errors import ConfigError, in_a_line
from xanes_hpc.runtime.optional import need

if TYPE_CHECKING:
    from distributed import Client

QUEUES = {"slurm": ("SLURMCluster", "sbatch"), "pbs": ("PBSCluster", "qsub")}
"""What makes the jobs of a queue, and the program that submits them."""
KINDS = ("local", *QUEUES)
SECONDS_TO_CONNECT = 30.0
FREE_PORT = ":0"
"""Of a dashboard: any."""


@dataclass(frozen=True)
class Workers:
    """Which workers do the work.

    Attributes
    ----------
    address
        Of a scheduler that runs, such as ``tcp://node1:8786``; otherwise ``kind`` is one of ``KINDS``.
    number
        Of workers to start; on this machine by default one for each core.
    options
        Of each job of a queue, as dask-jobqueue takes them: cores, memory, walltime, queue, …
    """

    address: str | None = None
    kind: str | None = None
    number: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def parse_option(text: str) -> tuple[str, Any]:
    """``NAME=VALUE``, the value JSON or text.

    Raises
    ------
    ConfigError
        If it is neither.
    """
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise ConfigError(f"`job_options` {text!r}: expected NAME=VALUE, such as walltime=02:00:00")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


@contextmanager
def connected(workers: Workers) -> "Iterator[Client]":
    """A connection to workers; those that were started for it end with the block.

    Raises
    ------
    ConfigError
        If Dask is not installed, there is no such cluster, or it cannot be reached or started.
    """
    need("distributed", "dask", "a Dask cluster")
    from distributed import Client, LocalCluster

    if workers.address is not None:
        try:
            client = Client(workers.address, timeout=SECONDS_TO_CONNECT)
        except (OSError, ValueError, TypeError) as error:
            raise ConfigError(f"`scheduler` {workers.address}: cannot be reached: {in_a_line(error)}") from None
        with client:
            yield client
        return
    if workers.kind == "local":
        cluster = LocalCluster(
            n_workers=workers.number, threads_per_worker=1, processes=True, dashboard_address=FREE_PORT
        )
    else:
        cluster = queue_cluster(workers)
        cluster.scale(jobs=workers.number or 1)
    with cluster, Client(cluster) as client:
        yield client


def queue_cluster(workers: Workers) -> Any:
    """Jobs of a queue as a Dask cluster, none of them submitted yet.

    Raises
    ------
    ConfigError
        If there is no such queue, dask-jobqueue is not installed, or does not take the options.
    """
    if workers.kind not in QUEUES:
        raise ConfigError(f"`cluster` {workers.kind!r}: expected {', '.join(KINDS)}")
    need("dask_jobqueue", "dask", f"`cluster` {workers.kind}")
    import dask_jobqueue

    name, program = QUEUES[workers.kind]
    if shutil.which(program) is None:
        raise ConfigError(f"`cluster` {workers.kind}: {program}, which submits its jobs, is not installed here")
    try:
        plain = {"cores": 1, "memory": "4GB", "scheduler_options": {"dashboard_address": FREE_PORT}}
        return getattr(dask_jobqueue, name)(**{**plain, **workers.options})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"`job_options`: {in_a_line(error)}") from None
