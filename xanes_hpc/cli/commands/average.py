"""``xanes-hpc average``."""

import shlex
from pathlib import Path

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.choices import Known
from xanes_hpc.cli.command import Command
from xanes_hpc.cli.options import PATH, open_predictions, output_option, overwrite_option, sites_option


@click.command("average", cls=Command)
@click.argument("predictions", type=PATH, metavar="PREDICTIONS")
@click.option(
    "--by",
    type=Known("prediction.average", "BY"),
    default="structure",
    show_default=True,
    help="Average over each structure's sites (structure), each trajectory's frames NAME@0, NAME@1, … (frames), or all "
    "sites (all)",
)
@click.option(
    "--weights",
    type=PATH,
    metavar="FILE.csv",
    help="Weight sites or structures by a table with columns name and weight, such as populations of conformers",
)
@sites_option
@output_option("Prediction store to write", required=True)
@overwrite_option
def command(
    predictions: Path, by: str, weights: Path | None, sites: Path | None, output: Path, overwrite: bool
) -> None:
    """Average predictions over sites or frames.

    PREDICTIONS must contain its draws (predict --keep-draws). Draws are averaged first and sigma is their spread, so
    that errors which sites share do not average out. Each element and edge gets its own average. Symmetry-unique sites
    count as often as they occur.
    """
    from xanes_hpc.prediction.average import average

    with open_predictions(predictions, sites) as store, console.progress("averaging", "averages") as progress:
        done = average(store, output, by, weights, overwrite, progress)
    console.table(str(output), {"averages": f"{done.n_averages:,} over {done.n_sites:,} sites"})
    if done.n_averages == done.n_sites:
        console.err.print("Note: every average is over a single site: nothing was averaged")
    console.next_step(f"xanes-hpc export {shlex.quote(str(output))} --format csv -o averages/")
