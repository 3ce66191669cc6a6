"""``xanes-hpc feff write``."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xanes_hpc.cli.calculation_options import feff_options, script_options
from xanes_hpc.cli.calculation_runs import write
from xanes_hpc.cli.command import JsonCommand
from xanes_hpc.cli.options import PATH, json_option, output_option, overwrite_option, sites_option

if TYPE_CHECKING:
    from xanes_hpc.calculations.feff.program import Feff
    from xanes_hpc.calculations.write import Cluster


@click.command("write", cls=JsonCommand)
@click.argument("store", type=PATH, metavar="STORE")
@output_option("Folder to write", required=True)
@feff_options
@click.option("--program", default="feff", show_default=True, metavar="COMMAND", help="Run FEFF with this command")
@click.option("--missing", is_flag=True, help="Write only sites that have no spectrum with these settings yet")
@sites_option
@script_options
@click.option("--strict", is_flag=True, help="Stop at the first site that FEFF cannot handle")
@overwrite_option
@json_option
def command(
    store: Path,
    output: Path,
    feff: "Feff",
    program: str,
    missing: bool,
    sites: Path | None,
    cluster: "Cluster",
    strict: bool,
    overwrite: bool,
    json_target: str | None,
) -> None:
    """Write a FEFF calculation for every site of a store.

    Each site gets a folder of its own. The script run.sh runs them all, as a SLURM array or, without SLURM, one after
    another; it calls "feff", or what --program or the variable FEFF names.
    """
    write(store, output, replace(feff, program=program), missing, sites, cluster, strict, overwrite, json_target)
