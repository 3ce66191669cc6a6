"""``xanes-hpc model unpack``."""

import shlex
from pathlib import Path

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.command import Command
from xanes_hpc.cli.options import PATH, output_option, overwrite_option


@click.command("unpack", cls=Command)
@click.argument("file", type=PATH, metavar="FILE.xanes-model")
@output_option("Model folder to write. Default: NAME.model beside the file.")
@overwrite_option
def command(file: Path, output: Path | None, overwrite: bool) -> None:
    """Make a model folder of a packed model.

    FILE.xanes-model is a file that "model pack" made. The folder is there only when every file of it is whole and
    the model can be opened.
    """
    from xanes_hpc.models.model import Model
    from xanes_hpc.models.unpack import default_folder, unpack

    target = output or default_folder(file)
    manifest = unpack(file, target, overwrite)
    rows = {
        "files": f"{len(manifest.files)} of {sum(f.size for f in manifest.files):,} bytes, all as packed",
        "packed by": manifest.creator,
        "seen": ", ".join(f"{element} {edge}" for element, edge in Model.open(target).seen),
    }
    console.table(str(target), rows)
    console.next_step(f"xanes-hpc predict STRUCTURES --model {shlex.quote(str(target))}")
