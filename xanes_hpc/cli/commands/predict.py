"""``xanes-hpc predict``."""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.choices import Choice
from xanes_hpc.cli.command import Command, OutputPath
from xanes_hpc.cli.options import (
    PATH,
    disorder_option,
    draws_option,
    gathered,
    model_option,
    output_option,
    site_options,
    sites_option,
)
from xanes_hpc.cli.steps import carry_out, refuse_with_a_plan, steps_options

if TYPE_CHECKING:
    from xanes_hpc.jobs.steps import Steps
    from xanes_hpc.models.model import Model
    from xanes_hpc.prediction.plan import PredictOptions
    from xanes_hpc.prediction.predict import PredictionJob

OF_A_PLAN = (
    "absorber", "edge", "sites", "disorder", "unique", "strict", "draws", "keep_draws", "seed", "split", "force",
    "spectra", "foreign", "restart",
)  # fmt: skip

SAME = 1e-6
"""Distance below which a site counts as a training site."""
LISTED = 3
"""Number of out-of-domain sites that are named."""


def _options(**values: Any) -> "PredictOptions":
    from xanes_hpc.prediction.plan import PredictOptions

    return PredictOptions(**values)


prediction_options = gathered(
    "options",
    _options,
    draws_option,
    click.option("--keep-draws", is_flag=True, help="Keep every draw in the store"),
    click.option(
        "--seed",
        type=click.IntRange(min=0),
        metavar="N",
        default=0,
        show_default=True,
        help="Seed of the draws and of --disorder sample",
    ),
    click.option(
        "--split",
        type=Choice(["train", "validation", "calibration", "test"]),
        help="Predict only sites of this set of the model's split",
    ),
    click.option("--force", is_flag=True, help="Predict elements and edges that the model was not trained on"),
    click.option(
        "--spectra",
        type=PATH,
        metavar="STRUCTURES.h5",
        help="Take the reference spectra from this structure store  [default: the source's own]",
    ),
    click.option(
        "--foreign",
        type=PATH,
        metavar="FILE.npz",
        help="Read features that another program made from this file, or from a feature store made of it; rows are "
        "matched to sites by name",
    ),
)


@click.command("predict", cls=Command)
@click.argument("sources", type=PATH, nargs=-1, required=True, metavar="SOURCE...")
@model_option
@output_option("Prediction store to write  [default: predictions.h5]")
@gathered(
    "of_files",
    dict,
    site_options,
    sites_option,
    disorder_option,
    click.option(
        "--unique",
        is_flag=True,
        help="Keep one of a crystal's symmetry-equivalent sites, weighted by their number in an average",
    ),
    click.option("--strict", is_flag=True, help="Stop at the first structure that cannot be used"),
)
@prediction_options
@click.option("--csv", "csv_folder", type=OutputPath(), metavar="DIR", help="Also write one CSV file per site")
@steps_options
def command(
    sources: tuple[Path, ...],
    model: Path,
    output: Path | None,
    of_files: dict[str, Any],
    options: "PredictOptions",
    csv_folder: Path | None,
    steps: "Steps",
) -> None:
    """Predict spectra with their uncertainty.

    SOURCE is a structure store, a feature store of the model's descriptor, or structure files and folders (XYZ, CIF,
    mmCIF, PDB, SDF, POSCAR, …). For files, --absorber, --edge, --unique and --disorder choose the sites, and structures
    that cannot be used are skipped. Spectra of the source become references. To continue a stopped run, repeat its
    command.

    A model trained on features that another program made needs such features: SOURCE is a .npz file with them, or
    --foreign names that file.

    On a cluster, predict from a store, with --scheduler or --cluster for Dask. Or divide the work: --plan N writes a
    plan, --partition K makes its partitions, --finalise combines them. Give prediction options only with
    --plan.
    """
    from xanes_hpc.models.model import Model
    from xanes_hpc.prediction.export import check_folder
    from xanes_hpc.structures.ordering import parse_disorder

    refuse_with_a_plan(OF_A_PLAN, steps)
    if csv_folder is not None and (steps.n_partitions is not None or steps.partition is not None):
        raise click.UsageError("--csv: expected with --finalise", click.get_current_context())
    target = output or Path("predictions.h5")
    trained = Model.open(model)
    if csv_folder is not None:
        check_folder(csv_folder, "csv", steps.overwrite)
    words = ["xanes-hpc", "predict", str(sources[0].resolve()), "--model", str(model.resolve()), "-o"]
    options = replace(options, sites=of_files["sites"])
    if of_files["disorder"] is not None:
        of_files["disorder"] = parse_disorder(of_files["disorder"], options.seed)
    with _job(trained, sources, of_files, target, options, steps) as (job, n_partitions):
        rows = {"sites": f"{len(job.plan.rows):,}"}
        if not carry_out(job, n_partitions, steps, "predicting", [*words, str(target.resolve())], rows):
            return
        why_none, n_without = job.plan.why_none, job.plan.n_without
    _print_summary(target, trained, why_none, n_without, csv_folder, steps.overwrite)


@contextmanager
def _job(
    model: "Model", sources: Sequence[Path], of_files: dict[str, Any], target: Path,
    options: "PredictOptions", steps: "Steps",
) -> "Iterator[tuple[PredictionJob, int]]":  # fmt: skip
    """Open a prediction, new or planned, and yield it with its number of partitions."""
    from xanes_hpc.prediction.plan import opened_plan
    from xanes_hpc.prediction.predict import PredictionJob, planned_job
    from xanes_hpc.prediction.sources import open_sources
    from xanes_hpc.stores.hdf5 import check_store

    if steps.follow_a_plan:
        with open_sources(sources) as source, planned_job(model, source, target) as planned:
            yield planned
        return
    check_store(target, steps.overwrite, sources)
    with open_sources(sources, **of_files, report=console.reading) as source:
        if steps.need_a_store and source.in_memory:
            what = "--plan" if steps.workers is None else "a Dask cluster"
            raise click.UsageError(f"{what}: expected a store, which import writes", click.get_current_context())
        if source.path not in sources:
            options = replace(options, sites=None)  # only the listed sites were read
        with opened_plan(model, source, options) as plan:
            yield PredictionJob(plan, target), 1


def _print_summary(
    target: Path, folder: "Model", why_none: str, n_without: int, csv_folder: Path | None, overwrite: bool
) -> None:
    from xanes_hpc.prediction.export import export
    from xanes_hpc.spectra.spectrum import units_differ
    from xanes_hpc.stores.predictions import PredictionStore

    with PredictionStore(target) as store:
        rows = {
            "sites": f"{store.n_sites:,}" + (f"; {n_without:,} left out (no features)" if n_without else ""),
            "grid": f"{store.energies.size} energies, {store.energies[0]:g} to {store.energies[-1]:g} eV"
            + (" relative to e0" if store.origin == "e0" else ""),
            "references": "yes" if store.has_reference else f"none ({why_none})",
        }
        if csv_folder is not None:
            n_files = len(export(store, csv_folder, "csv", overwrite))
            rows["csv"] = f"{n_files:,} {'file' if n_files == 1 else 'files'} in {csv_folder}"
        unit, other = store.attribute("unit"), store.attribute("reference_unit")
        has_reference, warning = store.has_reference, _out_of_domain(store.sites.name, store.reasons)
        sets, nearest = store.texts("part"), store.read("sites/nearest")
        n_known = sum(own == "none" and apart < SAME for own, apart in zip(sets, nearest, strict=True))
    console.table(str(target), rows)
    if not folder.calibration.n_sites:
        console.err.print(
            f"Note: {folder.path} is not calibrated; sigma is the raw spread of the draws, which is far too narrow"
        )
    if warning:
        console.err.print(warning)
    if other and other != unit:
        console.err.print(f"Note: {units_differ(unit, other)}")
    if n_known:
        console.err.print(
            f"Note: {n_known:,} of {len(sets):,} sites have the same features as a training site: the model was "
            "trained on them, or on duplicates of them"
        )
    if has_reference:
        console.next_step(f"xanes-hpc evaluate {shlex.quote(str(target))} --json metrics.json")
    else:
        console.next_step(f"xanes-hpc export {shlex.quote(str(target))} --format csv -o spectra/")


def _out_of_domain(names: Sequence[str], distrust: Sequence[str]) -> str:
    """Return a line about the sites that are out of domain; empty if there are none."""
    flagged = [(name, reason) for name, reason in zip(names, distrust, strict=True) if reason]
    if not flagged:
        return ""
    listed = ", ".join(f"{name} ({reason})" for name, reason in flagged[:LISTED])
    more = ", …" if len(flagged) > LISTED else ""
    return f"Note: {len(flagged):,} of {len(names):,} predictions out of domain: {listed}{more}"
