"""Exchange the atoms of one element of a structure for another, with bond lengths to match."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols, covalent_radii
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from xanes_hpc.structures.bonds import Pairs, bonded_pairs
from xanes_hpc.structures.electrons import charge_of, even_charge, n_electrons, unpaired_of
from xanes_hpc.structures.structure import Structure


def atoms_to_replace(structure: Structure, old: int, donors_of: int | None = None) -> npt.NDArray[np.int64]:
    """Return the indices of a structure's atoms of one element.

    Parameters
    ----------
    structure
        The structure.
    old
        Atomic number.
    donors_of
        Take only atoms bonded to an atom of this element; None for all.
    """
    chosen = structure.numbers == old
    if donors_of is not None:
        bonds = bonded_pairs(structure.numbers, structure.positions)
        both = np.concatenate([bonds, bonds[:, ::-1]])
        chosen &= np.isin(np.arange(chosen.size), both[structure.numbers[both[:, 0]] == donors_of, 1])
    return np.flatnonzero(chosen)


def exchanged(
    structure: Structure, atoms: npt.NDArray[np.int64], new: int, scale_bonds: bool = False, even: bool = False
) -> Structure:
    """Return a structure some of whose atoms, all of one element, are of another.

    Of the properties it keeps the charge, 0 if there is none, and the spin, unless the new number of electrons cannot
    have it. The new element's symbol is added to the name, before an ``@``.

    Parameters
    ----------
    structure
        The structure.
    atoms
        Indices of the atoms to replace.
    new
        Atomic number of the element to take their place.
    scale_bonds
        Whether to scale the lengths of the atoms' bonds with the sums of the covalent radii. What hangs on such a bond
        moves along it as a whole; what is bonded more than once moves by the mean.
    even
        Whether to change the charge by 1 if the number of electrons is odd, as ``even_charge`` does.

    Raises
    ------
    ValueError
        If the structure is periodic and lengths are to be scaled, or its charge or spin is not a possible number.

    Examples
    --------
    >>> from ase.build import molecule
    >>> water = Structure("water", molecule("H2O").numbers.astype(np.uint8), molecule("H2O").positions)
    >>> sulfide = exchanged(water, np.array([0]), 16, scale_bonds=True)
    >>> sulfide.name, sulfide.properties, float(round(np.linalg.norm(sulfide.positions[1] - sulfide.positions[0]), 2))
    ('water_S', {'charge': 0.0}, 1.36)
    """
    numbers, positions = structure.numbers.copy(), structure.positions
    numbers[atoms] = new
    if scale_bonds:
        if structure.pbc.any():
            raise ValueError("is periodic, so bond lengths cannot be scaled")
        before, after = covalent_radii[structure.numbers], covalent_radii[numbers]
        bonds = bonded_pairs(structure.numbers, structure.positions)
        for atom in atoms.tolist():
            ratios = (after[atom] + after) / (before[atom] + before)
            ratios[atoms] **= 0.5  # a bond between two replaced atoms is scaled by both
            positions = _stretched(positions, bonds, atom, ratios)
    charge, unpaired = charge_of(structure), unpaired_of(structure)
    charge = even_charge(numbers, charge) if even else charge
    properties: dict[str, float | str] = {"charge": float(charge)}
    if unpaired is not None and (n_electrons(numbers, charge) - unpaired) % 2 == 0:
        properties["spin"] = unpaired / 2
    first, at, frame = structure.name.partition("@")
    name = f"{first}_{chemical_symbols[new]}{at}{frame}"
    return replace(structure, name=name, numbers=numbers, positions=positions, properties=properties)


def _stretched(
    positions: npt.NDArray[np.float64], bonds: Pairs, atom: int, ratios: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return positions with the bonds of an atom multiplied by the ratio of its neighbour; the atom itself stays.

    Parameters
    ----------
    positions : (n_atoms, 3), Å
    ratios : (n_atoms,)
    """
    own = (bonds == atom).any(axis=1)
    neighbours = bonds[own].sum(axis=1) - atom
    others = bonds[~own]
    n = len(positions)
    graph = coo_matrix((np.ones(len(others)), (others[:, 0], others[:, 1])), shape=(n, n))
    _, group = connected_components(graph, directed=False)  # what stays together without the atom
    moves = (ratios[neighbours, None] - 1.0) * (positions[neighbours] - positions[atom])
    moved = positions.copy()
    for one in np.unique(group[neighbours]):
        moved[group == one] += moves[group[neighbours] == one].mean(axis=0)
    return moved
