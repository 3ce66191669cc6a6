"""``xanes-hpc feff ingest``."""

from pathlib import Path

import click

from xanes_hpc.cli.calculation_options import ingest_options
from xanes_hpc.cli.calculation_runs import ingest
from xanes_hpc.cli.command import JsonCommand


@click.command("ingest", cls=JsonCommand)
@ingest_options
def command(folder: Path, store: Path, replace: bool, look_only: bool, json_target: str | None) -> None:
    """Read the calculated spectra into the store.

    DIR was made by "feff write", or holds one folder per calculation with its feff.inp and xmu.dat, named after its
    site. Runs that failed, did not converge, have not finished or belong to another site are listed; run them again,
    then ingest again. Features computed from the store stay valid.
    """
    from xanes_hpc.calculations.feff.program import Feff

    ingest(folder, store, Feff(), replace, look_only, json_target)
