"""The choices of a disordered structure: parts of which only one, or none, can be there.

Those are the groups of one assembly, parts in one place, and parts that overlap while their occupancies sum to at most
1. What is missing to 1 is a vacancy.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols, covalent_radii

from xanes_hpc.errors import FormatError
from xanes_hpc.structures.disjoint_sets import DisjointSets
from xanes_hpc.structures.disorder import BONDED, ROUNDING, Disordered
from xanes_hpc.structures.neighbours import LARGEST, nearest_allowed, neighbour_list
from xanes_hpc.structures.sites import SiteBatch
from xanes_hpc.structures.structure import Structure

SAME_PLACE = 0.4
"""Atoms closer than this (Å) have one place."""
OVERLAP = 0.65
"""Fraction of the sum of two covalent radii below which parts overlap; the shortest multiple bonds are longer."""
DENSEST = 5.0
"""Most atoms per Å³, alternatives included; crystals have 0.2 at most."""
NARROWEST = 1.0
"""Least width of a cell, Å, in which overlaps are searched."""

Parts = list[tuple[int, tuple[int, ...], float]]
"""Source, atoms and occupancy of each part."""


@dataclass(frozen=True)
class Choice:
    """Sets of atoms of which one, or none, is there.

    Attributes
    ----------
    kind
        Choices of the same kind are equivalent by symmetry; their options have the same order.
    occupancies : (n_options,) whose sum is at most 1
    options
        Indices of the atoms of each option.
    """

    kind: tuple[int, ...]
    occupancies: npt.NDArray[np.float64]
    options: tuple[npt.NDArray[np.int64], ...]


@dataclass(frozen=True)
class Choices:
    """A disordered structure, or a supercell of it, with its choices.

    Attributes
    ----------
    structure
        All atoms that may be there.
    certain : (n_atoms,) bool
    choices
    near : (n_pairs, 2)
        Atoms that are impossibly near one another.
    apart : (n_pairs,) their distances, Å
    """

    structure: Structure
    certain: npt.NDArray[np.bool_]
    choices: tuple[Choice, ...]
    near: npt.NDArray[np.int64]
    apart: npt.NDArray[np.float64]


def choices_of(found: Disordered, repeats: Sequence[int] = (1, 1, 1)) -> Choices:
    """Return the choices in a supercell of a disordered structure.

    Raises
    ------
    FormatError
        If occupancies of one place, or of one assembly, sum to more than 1, or the cell cannot be used.
    """
    structure, certain = _repeated(found, repeats)
    parts, declared = _parts(found, repeats)
    owners: dict[int, list[int]] = defaultdict(list)
    for k, (_, atoms, _) in enumerate(parts):
        for atom in atoms:
            owners[atom].append(k)
    alone = {part.source for group in found.alternatives for part in group if part.alone}
    single = np.zeros(certain.size, np.bool_)
    single[[atom for source, atoms, _ in parts if source in alone for atom in atoms]] = True
    pairs, distances = _near_pairs(structure, np.where(single, BONDED, OVERLAP))
    radii = covalent_radii[structure.numbers][pairs].sum(axis=1)
    sets = DisjointSets(len(parts))
    for group in declared:
        sets.join(group)
    for (i, j), apart in zip(pairs.tolist(), distances.tolist(), strict=True):
        if apart < SAME_PLACE:
            sets.join([*owners[i], *owners[j]])
    for members in sets.found():
        total = sum(parts[k][2] for k in members)
        if total > 1 + ROUNDING:
            names = sorted({chemical_symbols[structure.numbers[a]] for k in members for a in parts[k][1]})
            raise FormatError(
                f"occupancies of {', '.join(names)} in one place or assembly sum to {total:.3g}; expected at most 1"
            )
    merged = DisjointSets(len(parts))
    for members in sets.found():
        merged.join(members)
    for (i, j), apart, radius in zip(pairs.tolist(), distances.tolist(), radii.tolist(), strict=True):
        if not (owners[i] and owners[j]):
            continue
        one, other = owners[i][0], owners[j][0]
        images = parts[one][0] == parts[other][0] and parts[one][0] in alone
        if apart < (BONDED if images else OVERLAP) * radius:
            merged.join([one, other])
    choices = []
    for overlapping in merged.found():
        if sum(parts[k][2] for k in overlapping) <= 1 + ROUNDING:
            choices.append(_choice(parts, overlapping))
        else:  # such as the places of a mobile ion along a channel
            choices += [_choice(parts, group) for group in sets.found(overlapping)]
    limits = nearest_allowed(structure.numbers)
    near = distances < limits[pairs].sum(axis=1)
    in_order = tuple(sorted(choices, key=lambda choice: int(choice.options[0].min())))
    return Choices(structure, certain, in_order, pairs[near], distances[near])


def _repeated(found: Disordered, repeats: Sequence[int]) -> tuple[Structure, npt.NDArray[np.bool_]]:
    cells = np.array(list(product(*map(range, repeats))))
    positions = (found.positions[None] + (cells @ found.cell)[:, None]).reshape(-1, 3)
    structure = Structure(
        found.name, np.tile(found.numbers, len(cells)), positions, found.cell * np.array(repeats)[:, None], found.pbc,
        found.properties, choices=found.choices,
    )  # fmt: skip
    return structure, np.tile(found.certain, len(cells))


def _parts(found: Disordered, repeats: Sequence[int]) -> tuple[Parts, list[list[int]]]:
    """Return the different parts of a supercell (source, atoms, occupancy), and which exclude one another."""
    size, shape = found.numbers.size, np.array(repeats)
    numbers: dict[tuple[int, tuple[int, ...]], int] = {}
    parts: Parts = []
    declared = []
    for cell in product(*map(range, repeats)):
        for group in found.alternatives:
            own = []
            for part in group:
                where = (part.cells + np.array(cell)) % shape
                rows = (where[:, 0] * shape[1] + where[:, 1]) * shape[2] + where[:, 2]
                atoms = tuple(np.unique(rows * size + part.atoms).tolist())
                k = numbers.setdefault((part.source, atoms), len(parts))
                if k == len(parts):
                    parts.append((part.source, atoms, part.occupancy))
                own.append(k)
            declared.append(own)
    return parts, declared


def _near_pairs(
    structure: Structure, fractions: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the pairs of near atoms, (n_pairs, 2) with the lower index first, and their distances.

    Near are those within the sum of each atom's fraction of its covalent radius.

    Raises
    ------
    FormatError
        If the coordinates or the cell are out of range.
    """
    largest = max(float(np.abs(values).max(initial=0.0)) for values in (structure.positions, structure.cell))
    if not largest <= LARGEST:
        raise FormatError(f"expected coordinates within ±{LARGEST:,.0f} Å, received {largest:g}")
    if structure.pbc.any() and not widths_of(structure.cell).min() >= NARROWEST:
        raise FormatError(f"expected a cell wider than {NARROWEST:g} Å")
    extent = np.ptp(structure.positions, axis=0) + 2.0
    volume = abs(float(np.linalg.det(structure.cell))) if structure.pbc.all() else float(np.prod(extent))
    if structure.numbers.size > DENSEST * volume:
        raise FormatError(f"expected at most {DENSEST:g} atoms per Å³, received {structure.numbers.size / volume:.3g}")
    reach = np.maximum(fractions * covalent_radii[structure.numbers], 0.5 * SAME_PLACE)
    size = structure.numbers.size
    batch = SiteBatch(
        structure.numbers, structure.positions, np.array([0, size]), structure.cell[None], structure.pbc[None],
        np.zeros(size, np.int64), np.arange(size),
    )  # fmt: skip
    found = neighbour_list(batch, 2.0 * float(reach.max()))
    first, second = np.repeat(np.arange(size), np.diff(found.offsets)), found.atoms
    once = (first < second) & (found.distances < reach[first] + reach[second])
    return np.column_stack([first[once], second[once]]), found.distances[once]


def widths_of(cell: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the distances between opposite faces of a cell, Å; 0 if it has no volume."""
    volume = abs(float(np.linalg.det(cell)))
    areas = [np.linalg.norm(np.cross(cell[(k + 1) % 3], cell[(k + 2) % 3])) for k in range(3)]
    return np.array([volume / area if area > 0 else 0.0 for area in areas])


def _choice(parts: Parts, members: list[int]) -> Choice:
    ordered = sorted(members, key=lambda k: parts[k][:2])
    occupancies = np.array([parts[k][2] for k in ordered])
    total = occupancies.sum()
    if total > 1 or math.isclose(total, 1, abs_tol=0.005):
        occupancies = occupancies / total
    options = tuple(np.array(parts[k][1], np.int64) for k in ordered)
    return Choice(tuple(parts[k][0] for k in ordered), occupancies, options)
