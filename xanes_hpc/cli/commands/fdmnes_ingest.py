"""``xanes-hpc fdmnes ingest``."""

from pathlib import Path

import click

from xanes_hpc.cli.calculation_options import ingest_options
from xanes_hpc.cli.calculation_runs import ingest
from xanes_hpc.cli.command import JsonCommand


@click.command("ingest", cls=JsonCommand)
@ingest_options
def command(folder: Path, store: Path, replace: bool, look_only: bool, json_target: str | None) -> None:
    """Read the calculated spectra into the store.

    DIR was made by "fdmnes write", or holds one folder per calculation, named after its site. Both the unbroadened
    spectra and those broadened by FDMNES are read. Runs that failed, have not finished or belong to another site
    are listed; run them again, then ingest again. Features computed from the store stay valid.
    """
    from xanes_hpc.calculations.fdmnes.program import Fdmnes

    ingest(folder, store, Fdmnes(), replace, look_only, json_target)
