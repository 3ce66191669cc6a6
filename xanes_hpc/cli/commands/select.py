"""``xanes-hpc select``."""

import csv
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.choices import Known
from xanes_hpc.cli.command import Command, OutputPath
from xanes_hpc.cli.options import PATH, listed_rows, model_option, output_option, overwrite_option, sites_option

if TYPE_CHECKING:
    from xanes_hpc.prediction.select import Selected

COLUMNS = ("rank", "site", "gain %", "uncertainty %", "distance")
MOST_SHOWN = 10


@click.command("select", cls=Command)
@click.argument("store", type=PATH, metavar="STORE")
@model_option
@click.option("-n", "n", type=click.IntRange(min=1), metavar="N", required=True, help="Choose N sites")
@click.option(
    "--strategy",
    type=Known("prediction.select", "STRATEGIES"),
    default="coverage",
    show_default=True,
    help="Choose the sites that best cover all without a known spectrum (coverage), or choose at random (chance)",
)
@sites_option
@click.option("--missing", is_flag=True, help="Choose only sites that have no unbroadened spectrum yet")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    metavar="N",
    default=0,
    show_default=True,
    help="Seed of chance, of the sample of a large store, and of the draws",
)
@click.option(
    "--fdmnes",
    type=OutputPath(folder=True),
    metavar="DIR",
    help="Also write FDMNES calculations of the sites, like fdmnes write",
)
@output_option("CSV file to write, with the chosen sites  [default: selected.csv]", ending=".csv")
@overwrite_option
def command(
    store: Path,
    model: Path,
    n: int,
    strategy: str,
    sites: Path | None,
    missing: bool,
    seed: int,
    fdmnes: Path | None,
    output: Path | None,
    overwrite: bool,
) -> None:
    """Choose the sites most worth calculating next.

    STORE is a structure store, or a feature store of the model's descriptor. Sites are chosen one by one: each time the
    site that brings all the others nearest to a known site, so neither outliers nor near-duplicates. Sites that were
    used to make the model are left out.
    """
    import numpy as np

    from xanes_hpc.calculations.fdmnes.program import Fdmnes
    from xanes_hpc.calculations.write import TABLE, without_spectrum, write_runs
    from xanes_hpc.models.model import Model
    from xanes_hpc.prediction.select import select, unused
    from xanes_hpc.prediction.sources import open_store
    from xanes_hpc.runtime.outputs import check_output, whole_output

    target = output or Path("selected.csv")
    check_output(target, overwrite)
    if fdmnes is not None and not overwrite:
        check_output(fdmnes, False)
    with open_store(store) as source, source.open_structures()[0] as structures:
        if structures is None and (missing or fdmnes is not None):
            option = "--missing" if missing else "--fdmnes"
            raise click.UsageError(f"{option}: {store} holds features without structures", click.get_current_context())
        trained, listed = Model.open(model), listed_rows(source, sites)
        rows = without_spectrum(structures, Fdmnes()) if missing and structures is not None else unused(trained, source)
        rows = rows if listed is None else np.intersect1d(rows, listed)
        with console.progress("reading", "sites") as progress:
            found = select(trained, source, n, strategy, seed, rows, progress)
        table = [
            [str(k), s.site, _gain(s), f"{s.uncertainty_percent:.2f}", f"{s.distance:.3f}"]
            for k, s in enumerate(found, 1)
        ]
        if fdmnes is not None and structures is not None:
            runs = write_runs(structures, fdmnes, Fdmnes(), np.sort([s.row for s in found]), overwrite=overwrite)
        calculated_from = None if structures is None else structures.path
        with whole_output(target, overwrite) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([COLUMNS, *table])
    console.table(str(target), {"sites": f"{len(found):,}", "strategy": strategy})
    console.listing(COLUMNS, table[:MOST_SHOWN])
    if fdmnes is not None:
        console.err.print(f"{fdmnes}: {len(runs.folders):,} runs, listed in {TABLE}")
        console.reasons([f"skipped: {line}" for line in runs.skipped], runs.skipped_count)
        words = ["xanes-hpc", "fdmnes", "ingest", str(fdmnes), str(calculated_from)]
        console.next_step(f"sbatch run.sh in {shlex.quote(str(fdmnes))} (or bash run.sh); then {shlex.join(words)}")
    elif calculated_from is not None:
        words = ["xanes-hpc", "fdmnes", "write", str(calculated_from), "--sites", str(target), "-o", "runs"]
        console.next_step(shlex.join(words))


def _gain(site: "Selected") -> str:
    return "" if site.gain_percent is None else f"{site.gain_percent:.3g}"
