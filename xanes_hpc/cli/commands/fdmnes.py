"""``xanes-hpc fdmnes``."""

import click

from xanes_hpc.cli.lazy_group import LazyGroup

COMMANDS = {
    "write": "Write a runnable folder for every site of a store.",
    "ingest": "Read the spectra of runs into their store.",
}


@click.group("fdmnes", cls=LazyGroup, lines=COMMANDS, prefix="fdmnes_")
def command() -> None:
    """Calculate the spectra of a store's sites with FDMNES.

    "write" makes a folder per site and a script that runs them all; once they have run, "ingest" reads their spectra
    into the store. FDMNES itself is not part of xanes-hpc.
    """
