"""``xanes-hpc predict``."""

import shlex
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.choices import Choice
from xanes_hpc.cli.cluster_options import WORKERS, cluster_options, workers_of
from xanes_hpc.cli.command import Command, OutputPath
from xanes_hpc.cli.options import (
    PATH,
    model_option,
    output_option,
    overwrite_option,
    refuse,
    site_options,
    threads_option,
)
from xanes_hpc.cli.partition_options import check_steps, kept, partition_options, run, tell_partition, tell_plan

if TYPE_CHECKING:
    from xanes_hpc.models.model import Model

OF_A_PLAN = ("absorber", "edge", "draws", "keep_draws", "seed", "part", "force", "spectra", "restart")

SAME = 1e-6
"""Distance to a training site below which a site is described as that one is."""
LISTED = 3
"""Sites that are named of those not to be trusted."""


@click.command("predict", cls=Command)
@click.argument("sources", type=PATH, nargs=-1, required=True, metavar="SOURCE...")
@model_option
@output_option("Prediction store to write.  [default: predictions.h5]")
@site_options
@click.option("--draws", type=click.IntRange(min=2), default=100, show_default=True, help="Monte Carlo draws per site.")
@click.option("--keep-draws", is_flag=True, help="Keep every draw in the store.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the draws.")
@click.option(
    "--split",
    "part",
    type=Choice(["train", "validation", "calibration", "test"]),
    help="Only sites of this part of the model's split.",
)
@click.option("--force", is_flag=True, help="Predict elements and edges that the model has not seen.")
@click.option(
    "--spectra",
    type=PATH,
    metavar="STRUCTURES.h5",
    help="Structure store with the references. Default: the source's own.",
)
@click.option("--csv", "csv_folder", type=OutputPath(), metavar="DIR", help="Also write one CSV file per site.")
@threads_option
@cluster_options
@WORKERS
@partition_options
@click.option("--restart", is_flag=True, help="Throw away the parts that a stopped run has left.")
@overwrite_option
def command(
    sources: tuple[Path, ...],
    model: Path,
    output: Path | None,
    absorber: str | None,
    edge: str | None,
    draws: int,
    keep_draws: bool,
    seed: int,
    part: str | None,
    force: bool,
    spectra: Path | None,
    csv_folder: Path | None,
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
    """Predict spectra with their uncertainty.

    SOURCE is a structure store, a feature store of the model's descriptor, or structure files and folders (then
    --absorber and --edge say what is predicted). Where the source has spectra they go along as references. A run that
    was stopped goes on where it was with the same command.

    On a cluster, from a store: --scheduler or --cluster for Dask; or --plan N, then --partition K for every K below
    N, then --finalise; what is predicted how is given with --plan only.
    """
    from xanes_hpc.jobs import run as execution
    from xanes_hpc.models.model import Model
    from xanes_hpc.prediction.export import check_folder
    from xanes_hpc.prediction.plan import opened_plan
    from xanes_hpc.prediction.predict import PredictionJob, PredictOptions, planned_job
    from xanes_hpc.prediction.sources import open_sources
    from xanes_hpc.runtime import threads as kernel_threads
    from xanes_hpc.stores.hdf5 import check_store

    meant = workers_of(scheduler, cluster, workers, job_options)
    check_steps(n_partitions, partition, finalise, virtual, directives, meant)
    target = output or Path("predictions.h5")
    kernel_threads.use(threads)
    folder = Model.open(model)
    with ExitStack() as opened:
        if partition is not None or finalise:
            refuse(OF_A_PLAN, "is told with --plan, not with its partitions")
            source = opened.enter_context(open_sources(sources))
            job, n_partitions = opened.enter_context(planned_job(folder, source, target))
            if csv_folder is not None and partition is not None:
                raise click.UsageError("--csv: expected with --finalise", click.get_current_context())
            if partition is not None:
                with kept(target), console.progress(f"partition {partition}", "sites") as progress:
                    numbers = execution.make_partition(job, partition, n_partitions, progress)
                tell_partition(target, partition, numbers, _words(sources[0], model, target))
                return
            if csv_folder is not None:
                check_folder(csv_folder, "csv", overwrite)
            execution.finalise(job, n_partitions, overwrite, virtual)
        else:
            check_store(target, overwrite, sources)
            if csv_folder is not None:
                check_folder(csv_folder, "csv", overwrite)
            options = PredictOptions(draws, seed, keep_draws, part, force, spectra)
            source = opened.enter_context(open_sources(sources, absorber, edge))
            job = PredictionJob(opened.enter_context(opened_plan(folder, source, options)), target)
            if (n_partitions is not None or meant is not None) and source.path not in sources:
                what = "--plan" if meant is None else "workers of a cluster"
                raise click.UsageError(f"{what}: expected a store, made by import", click.get_current_context())
            if n_partitions is not None:
                if csv_folder is not None:
                    raise click.UsageError("--csv: expected with --finalise", click.get_current_context())
                words = _words(sources[0].resolve(), model.resolve(), target.resolve())
                script = execution.plan(job, n_partitions, words, directives, restart, overwrite, threads)
                tell_plan(script, {"sites": f"{len(job.plan.rows):,}"}, job, n_partitions, words)
                return
            run(job, meant, "predicting", overwrite, restart)
        why_none = job.plan.why_none
    _tell(target, folder, why_none, csv_folder, overwrite)


def _words(source: Path, model: Path, target: Path) -> list[str]:
    return ["xanes-hpc", "predict", str(source), "--model", str(model), "-o", str(target)]


def _tell(target: Path, folder: "Model", why_none: str, csv_folder: Path | None, overwrite: bool) -> None:
    from xanes_hpc.prediction.export import export
    from xanes_hpc.stores.predictions import PredictionStore

    with PredictionStore(target) as store:
        rows = {
            "sites": f"{store.n_sites:,}",
            "grid": f"{store.energies.size} energies, {store.energies[0]:g} to {store.energies[-1]:g} eV"
            + (" relative to e0" if store.origin == "e0" else ""),
            "references": "yes" if store.has_reference else f"none ({why_none})",
        }
        if csv_folder is not None:
            rows["csv"] = f"{export(store, csv_folder, 'csv', overwrite):,} files in {csv_folder}"
        has_reference, warning = store.has_reference, _not_trusted(store.sites.name, store.distrust or [])
        parts, nearest = store.texts("part"), store.read("sites/nearest")
        n_known = sum(part == "none" and apart < SAME for part, apart in zip(parts, nearest, strict=True))
    console.table(str(target), rows)
    if not folder.calibration.n_sites:
        console.err.print(
            f"Note: {folder.path} had no sites to calibrate with: sigma is the draws' spread, far too narrow"
        )
    if warning:
        console.err.print(warning)
    if n_known:
        console.err.print(
            f"Note: {n_known:,} of {len(parts):,} sites are described as training sites are: the model was made with "
            "them, or their twins"
        )
    if has_reference:
        console.next_step(f"xanes-hpc evaluate {shlex.quote(str(target))} --json metrics.json")
    else:
        console.next_step(f"xanes-hpc info {shlex.quote(str(target))}")


def _not_trusted(names: Sequence[str], distrust: Sequence[str]) -> str:
    """One line on the sites whose predictions should not be trusted; empty where there are none."""
    flagged = [(name, reason) for name, reason in zip(names, distrust, strict=False) if reason]
    if not flagged:
        return ""
    listed = ", ".join(f"{name} ({reason})" for name, reason in flagged[:LISTED])
    more = ", …" if len(flagged) > LISTED else ""
    return f"Note: do not trust the predictions of {len(flagged):,} of {len(names):,} sites: {listed}{more}"
