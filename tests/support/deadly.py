"""A task that kills its process for some structures; a module, so that workers can import it."""

import os

from xanes_hpc.calculations.xtb import Relaxed
from xanes_hpc.structures.structure import Structure


def task(structure: Structure) -> Relaxed:
    """Return a result with only a number of steps, or kill the process if the name contains ``dies``."""
    if "dies" in structure.name:
        os._exit(7)
    return Relaxed([], steps=len(structure.name))
