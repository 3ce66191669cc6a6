"""``xanes-hpc model pack``."""

import shlex
from pathlib import Path

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.command import Command
from xanes_hpc.cli.options import PATH, output_option, overwrite_option


@click.command("pack", cls=Command)
@click.argument("model", type=PATH, metavar="MODEL")
@output_option("Packed model to write. Default: NAME.xanes-model beside the model.")
@overwrite_option
def command(model: Path, output: Path | None, overwrite: bool) -> None:
    """Pack a model folder into one file.

    MODEL is a model folder, as train made it; other files in it stay behind. A model tells whom it is sent to the
    names and formulas of the sites it was trained with, and the relative paths of its stores, which are printed.
    """
    from xanes_hpc.models.pack import default_packed, pack

    target = output or default_packed(model)
    packed = pack(model, target, overwrite)
    n_bytes, n_packed = sum(f.size for f in packed.files), target.stat().st_size
    rows = {
        "files": f"{len(packed.files)} of {n_bytes:,} bytes, packed {n_packed:,}",
        "sites": f"{packed.n_sites:,}, with names and formulas (sites.h5)",
        "paths": ", ".join(packed.paths) or "none",
    }
    if packed.left_out:
        more = f" and {len(packed.left_out) - 3} more" if len(packed.left_out) > 3 else ""
        rows["left out"] = ", ".join(packed.left_out[:3]) + f"{more} (no file of a model)"
    console.table(str(target), rows)
    console.next_step(shlex.join(["xanes-hpc", "model", "unpack", str(target)]))
