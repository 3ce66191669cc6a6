"""``xanes-hpc average``."""

import shlex
from pathlib import Path

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.choices import Known
from xanes_hpc.cli.command import Command
from xanes_hpc.cli.options import PATH, output_option, overwrite_option


@click.command("average", cls=Command)
@click.argument("predictions", type=PATH, metavar="PREDICTIONS")
@click.option(
    "--by",
    type=Known("prediction.average", "BY"),
    default="structure",
    show_default=True,
    help="structure: its sites; frames: structures NAME@0, NAME@1, … of one trajectory; all: every site there is.",
)
@click.option(
    "--weights",
    type=PATH,
    metavar="FILE.csv",
    help="Table with columns name and weight of sites or structures, such as populations of conformers.",
)
@output_option("Prediction store to write.", required=True)
@overwrite_option
def command(predictions: Path, by: str, weights: Path | None, output: Path, overwrite: bool) -> None:
    """Average predicted spectra over sites, frames, or all.

    PREDICTIONS must keep its draws (predict --keep-draws): sigma is that of the averaged draws, so that what sites have
    in common does not average out. Sites of several elements or edges make an average each; symmetry-unique sites
    count as often as they occur.
    """
    from xanes_hpc.prediction.average import average
    from xanes_hpc.stores.predictions import PredictionStore

    with PredictionStore(predictions) as store, console.progress("averaging", "averages") as progress:
        done = average(store, output, by, weights, overwrite, progress)
    console.table(str(output), {"averages": f"{done.n_averages:,} of {done.n_sites:,} sites"})
    if done.n_averages == done.n_sites:
        console.err.print(f"note: every average is of one site: no two have the same {by}")
    console.next_step(f"xanes-hpc export {shlex.quote(str(output))} --format csv -o averages/")
