"""``xanes-hpc structures``."""

import click

from xanes_hpc.cli.lazy_group import LazyGroup

COMMANDS = {
    "build": "Build complexes of metals with common ligands",
    "substitute": "Exchange an element in the structures of a store",
    "sample": "Sample the thermal motion of structures by molecular dynamics",
}


@click.group("structures", cls=LazyGroup, lines=COMMANDS, prefix="structures_")
def command() -> None:
    """Make structures to calculate: new complexes, other elements in known ones, and frames of their thermal motion.

    Each command writes a structure store without spectra.
    """
