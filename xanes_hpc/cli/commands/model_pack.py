"""``xanes-hpc model pack``."""

import shlex
from pathlib import Path

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.command import Command
from xanes_hpc.cli.options import PATH, output_option, overwrite_option


@click.command("pack", cls=Command)
@click.argument("model", type=PATH, metavar="MODEL")
@output_option("Packed model to write  [default: NAME.xanes-model beside the model]")
@overwrite_option
def command(model: Path, output: Path | None, overwrite: bool) -> None:
    """Pack a model folder into one file.

    MODEL is a model folder made by train; other files in it are left out. Before you send a packed model, note that it
    contains the names and formulas of the training sites and the relative paths of their stores, which are printed.
    """
    from xanes_hpc.models.pack import default_packed, pack

    target = output or default_packed(model)
    packed = pack(model, target, overwrite)
    n_bytes, n_packed = sum(f.size for f in packed.files), target.stat().st_size
    rows = {
        "files": f"{len(packed.files)} ({n_bytes:,} bytes, packed {n_packed:,})",
        "sites": f"{packed.n_sites:,}, with names and formulas (sites.h5)",
        "paths": ", ".join(packed.paths) or "none",
    }
    if packed.left_out:
        more = f" and {len(packed.left_out) - 3} more" if len(packed.left_out) > 3 else ""
        rows["left out"] = ", ".join(packed.left_out[:3]) + f"{more} (not part of a model)"
    console.table(str(target), rows)
    console.next_step(shlex.join(["xanes-hpc", "model", "unpack", str(target)]))
