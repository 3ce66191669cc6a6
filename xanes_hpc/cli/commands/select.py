"""``xanes-hpc select``."""

import csv
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.choices import Known
from xanes_hpc.cli.command import Command, OutputPath
from xanes_hpc.cli.options import PATH, listed_rows, output_option, overwrite_option, sites_option

if TYPE_CHECKING:
    from xanes_hpc.prediction.select import Selected

COLUMNS = ("rank", "site", "gain %", "uncertainty %", "distance")
MOST_SHOWN = 10


@click.command("select", cls=Command)
@click.argument("store", type=PATH, metavar="STORE")
@click.option("--model", type=PATH, metavar="MODEL", help="Use this model folder  [default: none, for the first sites]")
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
    model: Path | None,
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

    Without --model, for the first sites of all, STORE is a feature store, and only the chosen sites count as known.
    """
    import numpy as np

    from xanes_hpc.calculations.fdmnes.program import Fdmnes
    from xanes_hpc.calculations.write import TABLE, without_spectrum, write_runs
    from xanes_hpc.models.model import Model
    from xanes_hpc.prediction.select import select, unused
    from xanes_hpc.prediction.select_first import select_first
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
        trained, listed = None if model is None else Model.open(model), listed_rows(source, sites)
        if missing and structures is not None:
            rows = without_spectrum(structures, Fdmnes())
        else:
            rows = np.arange(source.n_sites) if trained is None else unused(trained, source)
        rows = rows if listed is None else np.intersect1d(rows, listed)
        with console.progress("reading", "sites") as progress:
            if trained is None:
                found = select_first(source, n, strategy, seed, rows, progress)
            else:
                found = select(trained, source, n, strategy, seed, rows, progress)
        table = [_row(rank, one) for rank, one in enumerate(found, 1)]
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


def _row(rank: int, site: "Selected") -> list[str]:
    """Return a row of the table; what is not known without a model is left empty."""
    numbers = ((site.gain_percent, ".3g"), (site.uncertainty_percent, ".2f"), (site.distance, ".3f"))
    return [str(rank), site.site, *("" if value is None else format(value, form) for value, form in numbers)]
