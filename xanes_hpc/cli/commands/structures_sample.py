"""``xanes-hpc structures sample``."""

import shlex
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.choices import Known
from xanes_hpc.cli.cluster_options import cluster_options, connected_to, workers_of
from xanes_hpc.cli.command import JsonCommand
from xanes_hpc.cli.options import (
    PATH,
    gathered,
    json_option,
    listed_rows,
    output_option,
    overwrite_option,
    sites_option,
)

if TYPE_CHECKING:
    from xanes_hpc.calculations.sample import SampleOptions


def _options(**values: Any) -> "SampleOptions":
    from xanes_hpc.calculations.sample import SampleOptions

    return SampleOptions(**values)


dynamics_options = gathered(
    "options",
    _options,
    click.option("--temperature", type=float, metavar="K", default=300.0, show_default=True, help="Temperature in K"),
    click.option(
        "--frames", type=int, metavar="N", default=20, show_default=True, help="Write N frames of each structure"
    ),
    click.option(
        "--seed", type=int, metavar="N", default=0, show_default=True, help="Seed of velocities and thermostat"
    ),
    click.option(
        "--equilibration", type=int, metavar="N", default=500, show_default=True, help="Steps before the first frame"
    ),
    click.option(
        "--interval", type=int, metavar="N", default=50, show_default=True, help="Steps from one frame to the next"
    ),
    click.option("--timestep", type=float, metavar="FS", default=1.0, show_default=True, help="Length of a step in fs"),
    click.option(
        "--friction", type=float, metavar="F", default=0.02, show_default=True, help="Thermostat's friction in 1/fs"
    ),
    click.option(
        "--method",
        type=Known("calculations.xtb", "METHODS"),
        default="gfn2",
        show_default=True,
        help="Use GFN2-xTB (gfn2) or GFN1-xTB (gfn1)",
    ),
)


@click.command("sample", cls=JsonCommand)
@click.argument("store", type=PATH, metavar="STORE")
@output_option("Structure store to write", required=True)
@dynamics_options
@sites_option
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    show_default="one per core",
    help="Number of processes, or of workers that --cluster starts",
)
@cluster_options
@overwrite_option
@json_option
def command(
    store: Path,
    output: Path,
    options: "SampleOptions",
    sites: Path | None,
    workers: int | None,
    scheduler: str | None,
    cluster: str | None,
    job_options: tuple[str, ...],
    overwrite: bool,
    json_target: str | None,
) -> None:
    """Sample the thermal motion of structures by molecular dynamics.

    Forces are those of GFN2-xTB, the thermostat is Langevin's; relax the structures first. Frames are named NAME@0,
    NAME@1, …, as "average --by frames" expects. Structures that fail are listed and left out. A stopped run continues
    with the same command.
    """
    from xanes_hpc.calculations.sample import sample
    from xanes_hpc.stores.structures import StructureStore

    dask_workers = workers_of(scheduler, cluster, workers, job_options, alone=True)
    with ExitStack() as opened:
        source = opened.enter_context(StructureStore(store))
        done_by = workers if dask_workers is None else opened.enter_context(connected_to(dask_workers))
        progress = opened.enter_context(console.progress("sampling", "structures"))
        made = sample(source, output, options, overwrite, done_by, progress, listed_rows(source, sites))
    with made:
        found = made.summary
    if json_target != "-":
        rows = {
            "structures": f"{found.sampled:,} sampled, {found.frames:,} frames",
            "temperature": f"{found.mean_temperature:.0f} K on average",
            "failed": f"{found.failed_count:,}",
        }
        if found.taken_up:
            rows["resumed"] = f"{found.taken_up:,} structures from a stopped run"
        console.table(str(output), rows)
    console.reasons([f"failed: {line}" for line in found.failed], found.failed_count)
    console.write_json(json_target, {"output": str(output), **found.as_dict()})
    console.next_step(f"xanes-hpc featurise {shlex.quote(str(output))}")
