"""Connect to the workers of a Dask cluster: an existing one, one on this machine, or jobs in a queue."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from xanes_hpc.errors import ConfigError, first_line
from xanes_hpc.runtime.optional import need

if TYPE_CHECKING:
    from distributed import Client

QUEUES = {"slurm": ("SLURMCluster", "sbatch"), "pbs": ("PBSCluster", "qsub")}
"""For each kind of queue, the class of dask-jobqueue and the program that submits jobs."""
KINDS = ("local", *QUEUES)
SECONDS_TO_CONNECT = 30.0
WITHOUT_PROFILE = {"distributed.worker.profile.enabled": False}
"""Workers on this machine do not sample their own stacks a hundred times a second, which takes time from the work."""
FREE_PORT = ":0"
"""Address of a dashboard that lets the system choose a port."""


@dataclass(frozen=True)
class Workers:
    """Workers to use.

    Attributes
    ----------
    address
        Address of a running scheduler, such as ``tcp://node1:8786``.
    kind
        Kind of cluster to start if there is no address: one of ``KINDS``.
    number
        Number of workers to start; by default one per core on this machine, or one job in a queue.
    options
        Options of dask-jobqueue for each job: cores, memory, walltime, queue, …
    """

    address: str | None = None
    kind: str | None = None
    number: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def parse_option(text: str) -> tuple[str, Any]:
    """Parse ``NAME=VALUE``; the value is JSON, or otherwise text.

    Raises
    ------
    ConfigError
        If the text has another form.
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
    """Connect to workers, after starting them if needed; started workers are stopped at the end of the block.

    Raises
    ------
    ConfigError
        If Dask is not installed or its configuration is broken, the kind of cluster is unknown, or the cluster cannot
        be reached or started.
    """
    need("distributed", "dask", "a Dask cluster")
    need("dask", "dask", "a Dask cluster")
    try:
        import dask
        from distributed import Client, LocalCluster
    except ValueError as error:  # a file of the user's Dask configuration is broken
        raise ConfigError(f"a Dask cluster cannot be started: {first_line(error)}") from None

    if workers.address is not None:
        try:
            client = Client(workers.address, timeout=SECONDS_TO_CONNECT)
        except (OSError, ValueError, TypeError) as error:
            raise ConfigError(f"`scheduler` {workers.address}: cannot be reached: {first_line(error)}") from None
        with client:
            yield client
        return
    if workers.kind == "local":
        with dask.config.set(WITHOUT_PROFILE):
            cluster = LocalCluster(
                n_workers=workers.number, threads_per_worker=1, processes=True, dashboard_address=FREE_PORT
            )
    else:
        cluster = queue_cluster(workers)
        cluster.scale(jobs=workers.number or 1)
    with cluster, Client(cluster) as client:
        yield client


def queue_cluster(workers: Workers) -> Any:
    """Return a Dask cluster of jobs in a queue, before any job is submitted.

    Raises
    ------
    ConfigError
        If the kind of queue is unknown, dask-jobqueue is not installed, or it rejects the options.
    """
    if workers.kind not in QUEUES:
        raise ConfigError(f"`cluster` {workers.kind!r}: expected {', '.join(KINDS)}")
    need("dask_jobqueue", "dask", f"`cluster` {workers.kind}")
    import dask_jobqueue

    name, program = QUEUES[workers.kind]
    if shutil.which(program) is None:
        raise ConfigError(f"`cluster` {workers.kind}: {program}, which submits its jobs, was not found")
    try:
        plain = {"cores": 1, "memory": "4GB", "scheduler_options": {"dashboard_address": FREE_PORT}}
        return getattr(dask_jobqueue, name)(**{**plain, **workers.options})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"`job_options`: {first_line(error)}") from None
