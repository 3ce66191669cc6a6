"""A task that ends its process for some structures; importable where it is to run."""

import os

from xanes_hpc.calculations.xtb import Relaxed
from xanes_hpc.structures.structure import Structure


def task(structure: Structure) -> Relaxed:
    """Nothing but a number of steps, or the end of the process for a name with ``dies`` in it."""
    if "dies" in structure.name:
        os._exit(7)
    return Relaxed([], steps=len(structure.name))
