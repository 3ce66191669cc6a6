"""``xanes-hpc fdmnes write``."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.calculation_options import fdmnes_options, script_options
from xanes_hpc.cli.command import JsonCommand
from xanes_hpc.cli.options import (
    PATH,
    json_option,
    listed_rows,
    output_option,
    overwrite_option,
    sites_option,
)

if TYPE_CHECKING:
    from xanes_hpc.calculations.fdmnes.program import Fdmnes
    from xanes_hpc.calculations.write import Cluster


@click.command("write", cls=JsonCommand)
@click.argument("store", type=PATH, metavar="STORE")
@output_option("Folder to write", required=True, folder=True)
@fdmnes_options
@click.option("--missing", is_flag=True, help="Write only sites that have no unbroadened spectrum yet")
@sites_option
@script_options
@click.option("--strict", is_flag=True, help="Stop at the first site that FDMNES cannot handle")
@overwrite_option
@json_option
def command(
    store: Path,
    output: Path,
    program: "Fdmnes",
    missing: bool,
    sites: Path | None,
    cluster: "Cluster",
    strict: bool,
    overwrite: bool,
    json_target: str | None,
) -> None:
    """Write an FDMNES calculation for every site of a store.

    Each site gets a folder of its own. The script run.sh runs them all, as a SLURM array or, without SLURM, one after
    another. The defaults are the settings of the published Fe K-edge set.
    """
    import numpy as np

    from xanes_hpc.calculations.write import without_spectrum, write_runs
    from xanes_hpc.stores.structures import StructureStore

    with StructureStore(store) as opened, console.progress("writing", "sites") as progress:
        rows = without_spectrum(opened) if missing else None
        listed = listed_rows(opened, sites)
        if listed is not None:
            rows = listed if rows is None else np.intersect1d(rows, listed)
        written = write_runs(opened, output, program, rows, cluster, overwrite, strict, progress)
    if json_target != "-":
        first = written.folders[0]
        found = {"runs": f"{len(written.folders):,}", "first": str(Path(first) / f"{first}_in.txt")}
        console.table(str(output), found | ({"skipped": f"{n:,}"} if (n := written.skipped_count) else {}))
    console.reasons([f"skipped: {line}" for line in written.skipped], written.skipped_count)
    console.write_json(json_target, {"output": str(output), **written.as_dict()})
    console.next_step(f"sbatch run.sh in {shlex.quote(str(output))} (or bash run.sh); then "
                      f"{shlex.join(['xanes-hpc', 'fdmnes', 'ingest', str(output), str(store)])}")  # fmt: skip
