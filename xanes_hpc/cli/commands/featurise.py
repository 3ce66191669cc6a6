"""``xanes-hpc featurise``."""

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.choices import PRESET
from xanes_hpc.cli.cluster_options import WORKERS, cluster_options, workers_of
from xanes_hpc.cli.command import Command
from xanes_hpc.cli.options import (
    PATH,
    output_option,
    overwrite_option,
    refuse,
    threads_option,
)
from xanes_hpc.cli.partition_options import check_steps, kept, partition_options, run, tell_partition, tell_plan

if TYPE_CHECKING:
    from xanes_hpc.features.featurise import FeatureJob

OF_A_PLAN = ("preset", "description", "properties", "compression", "rattle", "seed", "restart")


@click.command("featurise", cls=Command)
@click.argument("source", type=PATH, metavar="STRUCTURES.h5")
@output_option(
    "Feature store to write. Default: NAME.features.h5, or NAME.rattled-SEED.features.h5, beside the source."
)
@click.option(
    "--preset",
    type=PRESET,
    help="Descriptor by preset: default, xanesnet-2022, xanesnet-49, rdc, …  [default: default]",
)
@click.option("--descriptor", "description", type=PATH, metavar="FILE.toml", help="Descriptor by its description.")
@click.option(
    "--property",
    "properties",
    multiple=True,
    metavar="NAME[=DEFAULT]",
    help="Also take a property of structures or sites: charge, spin, … May be repeated.",
)
@click.option(
    "--compression",
    type=click.Choice(["none", "gzip", "lzf"]),
    default="none",
    show_default=True,
    help="Filter of the features; lzf is read by h5py alone.",
)
@click.option(
    "--rattle",
    type=click.FloatRange(min=0, min_open=True),
    metavar="STD",
    help="Displace every atom at random first, with this standard deviation along each axis, in Å.",
)
@click.option("--seed", type=click.IntRange(min=0), help="Of the displacements of --rattle.  [default: 0]")
@threads_option
@cluster_options
@WORKERS
@partition_options
@click.option("--restart", is_flag=True, help="Throw away the parts that a stopped run has left.")
@overwrite_option
def command(
    source: Path,
    output: Path | None,
    preset: str | None,
    description: Path | None,
    properties: tuple[str, ...],
    compression: str,
    rattle: float | None,
    seed: int | None,
    threads: int | None,
    scheduler: str | None,
    cluster: str | None,
    job_options: tuple[str, ...],
    workers: int | None,
    n_partitions: int | None,
    partition: int | None,
    finalise: bool,
    virtual: bool,
    directives: tuple[str, ...],
    restart: bool,
    overwrite: bool,
) -> None:
    """Describe the surroundings of every absorption site of a structure store.

    The features, one vector a site, go into a feature store that names its source and carries the descriptor's
    full description. A run that was stopped goes on where it was with the same command. Features of rattled
    structures are for training beside the plain ones: train --augment.

    On a cluster: --scheduler or --cluster for Dask; or --plan N, then --partition K for every K below N, wherever and
    in whatever order, then --finalise; the descriptor is given with --plan only.
    """
    from xanes_hpc.descriptors import choose, with_properties
    from xanes_hpc.features.featurise import new_job
    from xanes_hpc.jobs import run as execution
    from xanes_hpc.runtime import threads as kernel_threads
    from xanes_hpc.stores.structures import StructureStore
    from xanes_hpc.structures.rattling import Rattling

    if seed is not None and rattle is None:
        raise click.UsageError("--seed: expected together with --rattle", click.get_current_context())
    meant = workers_of(scheduler, cluster, workers, job_options)
    check_steps(n_partitions, partition, finalise, virtual, directives, meant)
    kernel_threads.use(threads)
    if partition is not None or finalise:
        refuse(OF_A_PLAN, "is told with --plan, not with its partitions")
        target = output or source.with_suffix(".features.h5")
        with StructureStore(source) as structures:
            if partition is not None:
                _make_partition(structures, target, partition)
            else:
                _finalise(structures, target, overwrite, virtual)
        return
    rattling = None if rattle is None else Rattling(rattle, seed or 0)
    plain = source.with_suffix(".features.h5")
    target = output or (source.with_suffix(f".rattled-{rattling.seed}.features.h5") if rattling else plain)
    descriptor = choose(preset, description)
    descriptor = with_properties(descriptor, properties) if properties else descriptor
    with StructureStore(source) as structures:
        job = new_job(structures, descriptor, target, compression, rattling)
        if n_partitions is not None:
            words = ["xanes-hpc", "featurise", str(source.resolve()), "-o", str(target.resolve())]
            script = execution.plan(job, n_partitions, words, directives, restart, overwrite, threads)
            tell_plan(script, _told(job), job, n_partitions, words)
            return
        begin = time.perf_counter()
        run(job, meant, "featurising", overwrite, restart)
        console.table(str(target), _told(job) | _told_of_run(job, begin))
    words = ["xanes-hpc", "train", *([str(plain), "--augment"] if rattling else []), str(target)]
    console.next_step(shlex.join(words))


def _make_partition(source: Any, target: Path, partition: int) -> None:
    from xanes_hpc.features.featurise import planned_job
    from xanes_hpc.jobs.run import make_partition

    job, n_partitions = planned_job(source, target)
    with kept(target), console.progress(f"partition {partition}", "sites") as progress:
        numbers = make_partition(job, partition, n_partitions, progress)
    tell_partition(target, partition, numbers, ["xanes-hpc", "featurise", str(source.path), "-o", str(target)])


def _finalise(source: Any, target: Path, overwrite: bool, virtual: bool) -> None:
    from xanes_hpc.features.featurise import planned_job
    from xanes_hpc.jobs.run import finalise

    job, n_partitions = planned_job(source, target)
    finalise(job, n_partitions, overwrite, virtual)
    console.table(str(target), _told(job))
    console.next_step(shlex.join(["xanes-hpc", "train", str(target)]))


def _told(job: "FeatureJob") -> dict[str, str]:
    descriptor = job.plan.descriptor
    return {
        "sites": f"{job.source.n_sites:,}",
        "features": f"{descriptor.n_features:,} a site ({descriptor.name}, {descriptor.dtype})",
        "descriptor": descriptor.hash,
    }


def _told_of_run(job: "FeatureJob", begin: float) -> dict[str, str]:
    from xanes_hpc.features.plan import defaults_taken

    seconds, n_sites, rattling = time.perf_counter() - begin, job.source.n_sites, job.plan.rattling
    rows = {"time": f"{seconds:.1f} s ({n_sites / seconds:,.0f} sites a second)"}
    defaults = defaults_taken(job.source, job.plan.descriptor)
    if any(defaults.values()):
        rows["defaults"] = ", ".join(f"{name} for {n:,} sites" for name, n in defaults.items() if n)
    if rattling:
        rows["rattled"] = f"by {rattling.std:g} Å along each axis, seed {rattling.seed}"
    return rows
