"""Structures made of ``ase.Atoms``."""

from typing import Any

import numpy as np

from xanes_hpc.errors import FormatError
from xanes_hpc.formats import tmqm
from xanes_hpc.structures.disorder import FULL
from xanes_hpc.structures.structure import Structure

OCCUPANCIES = "occupancy", "occupancies"
"""Names of occupancies of atoms, of which those below 1 are refused."""


def structure_of(atoms: Any, name: str, properties: dict[str, Any]) -> Structure | FormatError:
    """Return the structure that an ``ase.Atoms`` holds, or why it cannot be used.

    Numbers and text of ``atoms.info`` and of its calculator's results become properties, then ``properties``.
    """
    occupancy = atoms.info.get("occupancy", {})
    if any(len(kinds) > 1 or min(kinds.values()) < FULL for kinds in occupancy.values()):
        return FormatError(
            "partial occupancies: ASE keeps one atom of a site; give a CIF file, or make an ordered supercell"
        )
    if any((np.asarray(atoms.arrays[name]) < FULL).any() for name in OCCUPANCIES if name in atoms.arrays):
        return FormatError("partial occupancies; give a CIF file, or make an ordered supercell")
    numbers = atoms.get_atomic_numbers()
    if numbers.size and not ((numbers > 0) & (numbers < 119)).all():
        return FormatError("unknown element (a dummy atom X?)")
    properties = _plain(atoms.info) | _plain(getattr(atoms.calc, "results", {})) | _plain(properties)
    own, properties = tmqm.renamed(properties)
    return Structure(
        name=name or own,
        numbers=numbers.astype(np.uint8),
        positions=np.asarray(atoms.get_positions(), np.float64),
        cell=np.asarray(atoms.cell, np.float64),
        pbc=np.asarray(atoms.pbc, np.bool_),
        properties=properties,
    )


def _plain(info: dict[str, Any]) -> dict[str, float | str]:
    """Return the scalar entries, without names that cannot be stored, such as those with a slash."""
    kept: dict[str, float | str] = {}
    for key, value in info.items():
        if not isinstance(key, str) or "/" in key or key.startswith("."):
            continue
        if isinstance(value, (bool, int, float, np.integer, np.floating, np.bool_)):
            kept[key] = float(value)
        elif isinstance(value, str):
            kept[key] = value
    return kept
