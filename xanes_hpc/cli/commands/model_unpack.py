"""``xanes-hpc model unpack``."""

import shlex
from pathlib import Path

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.command import Command
from xanes_hpc.cli.options import PATH, output_option, overwrite_option


@click.command("unpack", cls=Command)
@click.argument("file", type=PATH, metavar="FILE.xanes-model")
@output_option("Model folder to write  [default: NAME.model beside the file]", folder=True)
@overwrite_option
def command(file: Path, output: Path | None, overwrite: bool) -> None:
    """Unpack a packed model into a model folder.

    FILE.xanes-model was made by "model pack". The folder is written only if every file matches its checksum and the
    model opens.
    """
    from xanes_hpc.models.model import Model
    from xanes_hpc.models.unpack import default_folder, unpack

    target = output or default_folder(file)
    manifest = unpack(file, target, overwrite)
    rows = {
        "files": f"{len(manifest.files)} ({sum(f.size for f in manifest.files):,} bytes, checksums match)",
        "packed by": manifest.creator,
        "trained on": ", ".join(f"{element} {edge}" for element, edge in Model.open(target).seen),
    }
    console.table(str(target), rows)
    console.next_step(f"xanes-hpc predict STRUCTURES --model {shlex.quote(str(target))}")
