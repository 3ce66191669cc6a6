"""``xanes-hpc relax``."""

import shlex
from contextlib import ExitStack
from pathlib import Path

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.choices import Known
from xanes_hpc.cli.cluster_options import cluster_options, connected_to, workers_of
from xanes_hpc.cli.command import JsonCommand
from xanes_hpc.cli.options import PATH, json_option, listed_rows, output_option, overwrite_option, sites_option


@click.command("relax", cls=JsonCommand)
@click.argument("store", type=PATH, metavar="STORE")
@output_option("Structure store to write", required=True)
@sites_option
@click.option(
    "--method",
    type=Known("calculations.xtb", "METHODS"),
    default="gfn2",
    show_default=True,
    help="Use GFN2-xTB (gfn2) or GFN1-xTB (gfn1)",
)
@click.option(
    "--fmax", type=float, default=0.05, show_default=True, help="Stop when all forces are below this, in eV/Å"
)
@click.option(
    "--steps", type=click.IntRange(min=1), metavar="N", default=300, show_default=True, help="Give up after N steps"
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    show_default="one per core",
    help="Number of processes, or of workers that --cluster starts",
)
@cluster_options
@click.option("--keep-unconverged", is_flag=True, help="Keep structures that have not converged after that many steps")
@overwrite_option
@json_option
def command(
    store: Path,
    output: Path,
    sites: Path | None,
    method: str,
    fmax: float,
    steps: int,
    workers: int | None,
    scheduler: str | None,
    cluster: str | None,
    job_options: tuple[str, ...],
    keep_unconverged: bool,
    overwrite: bool,
    json_target: str | None,
) -> None:
    """Relax the structures of a store with GFN2-xTB.

    Charge and total spin are read from the structures' properties charge and spin. The output has the same sites and no
    spectra. Structures that fail are listed and left out. A stopped run continues with the same command.
    """
    from xanes_hpc.calculations.relax import RelaxOptions, relax
    from xanes_hpc.stores.structures import StructureStore

    options = RelaxOptions(method, fmax, steps, keep_unconverged)
    dask_workers = workers_of(scheduler, cluster, workers, job_options, alone=True)
    with ExitStack() as opened:
        source = opened.enter_context(StructureStore(store))
        done_by = workers if dask_workers is None else opened.enter_context(connected_to(dask_workers))
        progress = opened.enter_context(console.progress("relaxing", "structures"))
        found = relax(source, output, options, overwrite, done_by, progress, listed_rows(source, sites))
    kept = found.unconverged if keep_unconverged else 0
    if json_target != "-":
        rows = {
            "structures": f"{found.relaxed - kept:,} relaxed"
            + (f", {kept:,} kept unconverged after {steps} steps" if kept else "")
            + f", in {found.mean_steps:.0f} steps on average",
            "largest move": f"{found.largest_move:.2f} Å",
            "failed": f"{found.failed_count:,}",
        }
        if found.taken_up:
            rows["resumed"] = f"{found.taken_up:,} structures from a stopped run"
        console.table(str(output), rows)
    console.reasons([f"failed: {line}" for line in found.failed], found.failed_count)
    console.write_json(json_target, {"output": str(output), **found.as_dict()})
    console.next_step(f"xanes-hpc featurise {shlex.quote(str(output))}")
