"""``xanes-hpc export``."""

from pathlib import Path

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.choices import Known
from xanes_hpc.cli.command import Command
from xanes_hpc.cli.options import PATH, open_predictions, output_option, overwrite_option, sites_option


@click.command("export", cls=Command)
@click.argument("predictions", type=PATH, metavar="PREDICTIONS")
@click.option(
    "--format",
    "kind",
    type=Known("prediction.export", "FORMATS"),
    default="xdi",
    show_default=True,
    help="Write xdi, nexus (NXxasproc), athena (columns) or csv",
)
@output_option("Folder to write", required=True, folder=True)
@sites_option
@overwrite_option
def command(predictions: Path, kind: str, output: Path, sites: Path | None, overwrite: bool) -> None:
    """Write predictions for other programs, one file per site.

    Each file holds absolute energies in eV, the mean, its standard deviation, the reference if there is one, and the
    provenance. xdi is the exchange format of the field; nexus is HDF5 after the definition NXxasproc; athena is
    columns that Athena and Larch read.
    """
    from xanes_hpc.prediction.export import export

    with open_predictions(predictions, sites) as store, console.progress("exporting", "sites") as progress:
        n_files = len(export(store, output, kind, overwrite, progress))
    console.table(str(output), {"files": f"{n_files:,}", "format": kind})
