"""``xanes-hpc fdmnes``."""

import click

from xanes_hpc.cli.lazy_group import LazyGroup

COMMANDS = {
    "write": "Write an FDMNES calculation for every site of a store",
    "ingest": "Read the calculated spectra into the store",
}


@click.group("fdmnes", cls=LazyGroup, lines=COMMANDS, prefix="fdmnes_")
def command() -> None:
    """Write FDMNES calculations, and read their spectra back.

    "write" makes a folder for each site and a script that runs them all. Once they have run, "ingest" reads the spectra
    into the store. FDMNES itself is not part of xanes-hpc.
    """
