"""Which disordered atoms of an asymmetric unit belong together."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from ase.data import covalent_radii

from xanes_hpc.formats.symmetry import Atom
from xanes_hpc.structures.disjoint_sets import DisjointSets
from xanes_hpc.structures.disorder import BONDED, FULL, ROUNDING

TOGETHER = 3.0
"""Atoms of one group, with one occupancy, that are closer than this (Å) belong to one fragment."""

SHARED = "disorder groups without occupancies got equal shares"


def with_assemblies(atoms: Sequence[Atom], cell: npt.NDArray[np.float64]) -> list[Atom]:
    """Return atoms with every disorder group in a named assembly.

    Files often give groups without assemblies, and the same groups to independent fragments. Groups without an assembly
    are divided by distance and occupancy. An atom that is always there is certain if its group is the only one.
    """
    found = list(atoms)
    for k, atom in enumerate(atoms):
        if not atom.group:
            found[k] = replace(atom, assembly="")
    free = [k for k, atom in enumerate(found) if atom.group and not atom.assembly]
    for name, members in enumerate(_fragments([found[k] for k in free], cell)):
        for k in members:
            found[free[k]] = replace(found[free[k]], assembly=f" {name}")
    if len({atom.group for atom in found if atom.group}) > 1:
        return found
    return [replace(atom, assembly="", group="") if atom.occupancy >= FULL else atom for atom in found]


def provisional(atoms: Sequence[Atom], unknown: Sequence[bool]) -> list[Atom]:
    """Return atoms whose groups have no occupancies with shares with which the groups can be one assembly."""
    groups = {atom.group for atom in atoms if atom.group}
    share = 1 / max(len(groups), 1)
    return [
        replace(atom, occupancy=share) if no and atom.group else atom for atom, no in zip(atoms, unknown, strict=True)
    ]


def with_shares(atoms: Sequence[Atom], unknown: Sequence[bool]) -> tuple[list[Atom], int]:
    """Return atoms with equal shares for the groups of an assembly whose occupancies are unknown, and their number.

    A negative group, which its own image excludes, has half.
    """
    groups: dict[str, set[str]] = {}
    for atom in atoms:
        if atom.group:
            groups.setdefault(atom.assembly, set()).add(atom.group)
    found = list(atoms)
    shared = [k for k, atom in enumerate(atoms) if unknown[k] and atom.group]
    for k in shared:
        own = groups[atoms[k].assembly]
        n = 2 if len(own) == 1 and atoms[k].group.startswith("-") else len(own)
        found[k] = replace(atoms[k], occupancy=1 / n)
    return found, len(shared)


def _fragments(atoms: Sequence[Atom], cell: npt.NDArray[np.float64]) -> list[list[int]]:
    own, joined = DisjointSets(len(atoms)), DisjointSets(len(atoms))
    if not atoms:
        return []
    places = np.array([atom.place for atom in atoms])
    radii = covalent_radii[[atom.number for atom in atoms]]
    occupancies = np.array([atom.occupancy for atom in atoms])
    _, groups = np.unique([atom.group for atom in atoms], return_inverse=True)
    across: list[tuple[int, int]] = []
    for k in range(len(atoms)):
        apart = places[k + 1 :] - places[k]
        apart -= np.round(apart)
        distances = np.linalg.norm(apart @ cell, axis=1)
        same = groups[k + 1 :] == groups[k]
        alike = np.abs(occupancies[k + 1 :] - occupancies[k]) <= ROUNDING
        for other in np.flatnonzero(same & alike & (distances < TOGETHER)).tolist():
            own.join([k, k + 1 + other])
            joined.join([k, k + 1 + other])
        near = distances < BONDED * (radii[k + 1 :] + radii[k])
        across += [(k, k + 1 + other) for other in np.flatnonzero(~same & near).tolist()]
    for pair in across:
        joined.join(pair)
    fragments = []
    for members in joined.found():
        of_group = [occupancies[members][groups[members] == group] for group in np.unique(groups[members])]
        alike = all(np.ptp(values) <= ROUNDING for values in of_group)
        whole = alike and sum(float(values.mean()) for values in of_group) <= 1 + ROUNDING
        fragments += [members] if whole else own.found(members)
    return fragments
