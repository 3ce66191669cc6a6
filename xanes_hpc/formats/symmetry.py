"""Whole cells from asymmetric units, with the parts of disordered ones."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import FormatError, XanesHpcError
from xanes_hpc.structures.disorder import FULL, ROUNDING, Disordered, Part
from xanes_hpc.structures.neighbours import check_distances
from xanes_hpc.structures.structure import Structure

DUMMIES = "dummy atoms were left out"
SAME = 0.4
"""Images of an atom closer than this (Å) are one atom on a special position, whose coordinates were rounded."""
FARTHEST = 1000
"""Coordinates of an atom farther from the cell than this, in cells, are no coordinates."""
SPLIT = 0.1
"""The same for a partly occupied atom, whose place may be split into several near a special position."""


@dataclass(frozen=True)
class Atom:
    """An atom of an asymmetric unit.

    Attributes
    ----------
    label
        Its name in the file.
    number
        Its atomic number.
    place : (3,) fractional coordinates, or Å without a cell
    occupancy
        How often it is there.
    assembly, group
        Only one group of an assembly is present at a time; empty for an atom without a group.
    """

    label: str
    number: int
    place: npt.NDArray[np.float64]
    occupancy: float = 1.0
    assembly: str = ""
    group: str = ""

    @property
    def certain(self) -> bool:
        """Whether the atom is always there."""
        return self.occupancy >= FULL and not self.group


@dataclass(frozen=True)
class Images:
    """The different images of an atom in the cell.

    Attributes
    ----------
    places : (n, 3) fractional coordinates, 0 to 1
    which : (n_operations,) the image that each operation gives
    cells : (n_operations, 3) the cell in which it gives that image
    """

    places: npt.NDArray[np.float64]
    which: npt.NDArray[np.int64]
    cells: npt.NDArray[np.int64]


def is_place(fraction: npt.NDArray[np.float64]) -> bool:
    """Return whether fractional coordinates can be those of an atom: finite, and not far from the cell."""
    return bool((np.abs(fraction) < FARTHEST).all())


def images_of(
    fraction: npt.NDArray[np.float64], operations: Sequence[Any], cell: npt.NDArray[np.float64], same: float = SAME
) -> Images:
    """Return the different images of an atom in the cell; those on a special position are averaged.

    Parameters
    ----------
    fraction : (3,)
        Fractional coordinates.
    operations
        Symmetry operations, with gemmi's method ``apply_to_xyz``.
    cell : (3, 3)
        Vectors of the cell in its rows, Å.
    same
        Images closer than this are one, Å.
    """
    every = np.array([operation.apply_to_xyz(fraction.tolist()) for operation in operations])
    left = np.arange(len(every))
    which = np.zeros(len(every), np.int64)
    kept: list[npt.NDArray[np.float64]] = []
    while left.size:
        apart = every[left] - every[left[0]]
        apart -= np.round(apart)
        near = np.linalg.norm(apart @ cell, axis=1) < same
        near[0] = True  # also in a cell without end
        which[left[near]] = len(kept)
        kept.append(every[left[0]] + apart[near].mean(axis=0))
        left = left[~near]
    places = np.mod(np.array(kept), 1.0)
    return Images(places, which, np.round(every - places[which]).astype(np.int64))


def atom_images(atom: Atom, operations: Sequence[Any], cell: npt.NDArray[np.float64]) -> Images:
    """Return the images of an atom; those of a partly occupied one merge only if they lie very near, or must."""
    merged = images_of(atom.place, operations, cell)
    if atom.certain:
        return merged
    split = images_of(atom.place, operations, cell, SPLIT)
    ratio = len(split.places) / len(merged.places)
    return split if atom.occupancy * ratio <= 1 + ROUNDING else merged


def molecule_images(place: npt.NDArray[np.float64]) -> Images:
    """Return an atom without symmetry as it is, in its own cell."""
    return Images(place[None], np.zeros(1, np.int64), np.zeros((1, 3), np.int64))


def check_occupancies(atoms: Iterable[Atom]) -> None:
    """Raise an error if an occupancy is impossible.

    Raises
    ------
    FormatError
        If one is not from 0 to 1.
    """
    for atom in atoms:
        if not 0 <= atom.occupancy <= 1 + ROUNDING:
            raise FormatError(f"atom {atom.label}: expected an occupancy from 0 to 1, received {atom.occupancy:g}")


def is_likely(structure: Structure) -> bool:
    """Return whether no two atoms are impossibly near; of disordered structures that is not known."""
    try:
        if not isinstance(structure, Disordered):
            check_distances(structure)
    except XanesHpcError:
        return False
    return True


def check_listed_once(atoms: Sequence[Atom], images: Sequence[Images], cell: npt.NDArray[np.float64]) -> None:
    """Raise an error if an atom is listed beside an atom of which it is an image.

    Raises
    ------
    FormatError
        If so.
    """
    owners = np.repeat(np.arange(len(atoms)), [len(own.places) for own in images])
    numbers = np.array([atom.number for atom in atoms])
    places = np.concatenate([own.places for own in images])
    for k, atom in enumerate(atoms):
        before = np.flatnonzero((owners < k) & (numbers[owners] == atom.number))
        apart = places[before] - images[k].places[0]
        apart -= np.round(apart)
        same = before[np.linalg.norm(apart @ cell, axis=1) < SPLIT]
        if same.size:
            other = atoms[owners[same[0]]]
            raise FormatError(
                f"atom {atom.label} is an image of atom {other.label} by its symmetry; list one of them, or, if every "
                "atom of the cell is listed, state the space group P 1"
            )


def whole_cell(
    atoms: Sequence[Atom], images: Sequence[Images], cell: npt.NDArray[np.float64] | None,
    choices: tuple[tuple[str, str], ...] = (),
) -> Structure | Disordered:  # fmt: skip
    """Return the structure of all images, a disordered one if some atom is not certain.

    Every atom comes with its images, the first of which is the atom itself, brought into the cell.

    Parameters
    ----------
    atoms, images
        The atoms, and the images of each.
    cell : (3, 3)
        Vectors of the cell in its rows, Å; None for a molecule, whose places are in Å.
    choices
        What was chosen in reading.
    """
    counts = [len(one.places) for one in images]
    places = np.concatenate([one.places for one in images])
    numbers = np.repeat(np.array([atom.number for atom in atoms], np.uint8), counts)
    vectors, periodic = (np.zeros((3, 3)), np.zeros(3, np.bool_)) if cell is None else (cell, np.ones(3, np.bool_))
    positions = places if cell is None else places @ cell
    if all(atom.certain for atom in atoms):
        return Structure("", numbers, positions, vectors, periodic, choices=choices)
    certain = np.repeat([atom.certain for atom in atoms], counts)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    parts = _parts(atoms, images, starts)
    return Disordered("", numbers, positions, vectors, periodic, choices=choices, certain=certain, alternatives=parts)


def _parts(
    atoms: Sequence[Atom], images: Sequence[Images], starts: npt.NDArray[np.int64]
) -> tuple[tuple[Part, ...], ...]:
    assemblies: dict[str, dict[str, list[int]]] = {}
    found: list[tuple[Part, ...]] = []
    source = 0
    for k, atom in enumerate(atoms):
        if atom.group:
            assemblies.setdefault(atom.assembly, {}).setdefault(atom.group, []).append(k)
        elif not atom.certain:
            own = starts[k] + np.arange(len(images[k].places))
            found += [(Part(source, atom.occupancy, np.array([i]), np.zeros((1, 3), np.int64)),) for i in own]
            source += 1
    for groups in assemblies.values():
        sources = range(source, source + len(groups))
        source += len(groups)
        n_operations = len(images[next(iter(groups.values()))[0]].which)
        for op in range(n_operations):
            parts = []
            for own_source, (group, members) in zip(sources, groups.items(), strict=True):
                rows = np.array([starts[k] + images[k].which[op] for k in members], np.int64)
                cells = np.array([images[k].cells[op] for k in members], np.int64)
                occupancy = min(1.0, float(np.mean([atoms[k].occupancy for k in members])))
                parts.append(Part(own_source, occupancy, rows, cells, group.startswith("-")))
            found.append(tuple(parts))
    return tuple(found)
