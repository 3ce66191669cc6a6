"""``xanes-hpc feff``."""

import click

from xanes_hpc.cli.lazy_group import LazyGroup

COMMANDS = {
    "write": "Write a FEFF calculation for every site of a store",
    "ingest": "Read the calculated spectra into the store",
}


@click.group("feff", cls=LazyGroup, lines=COMMANDS, prefix="feff_")
def command() -> None:
    """Write FEFF calculations to run elsewhere, and read their spectra back.

    "write" makes a folder for each site and a script that runs them all. Once they have run, "ingest" reads the spectra
    into the store. "xanes-hpc calculate" does all this by itself.
    """
