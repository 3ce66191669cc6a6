"""Bonds between atoms, and images of atoms on the faces of a crystal's cell."""

from itertools import product

import numpy as np
import numpy.typing as npt
from ase.data import covalent_radii
from scipy.spatial import cKDTree

from xanes_hpc.structures.structure import Structure

NEAR = 1.2
"""A bond is drawn between atoms closer than this multiple of the sum of their covalent radii."""
NEAR_METALS = 1.0
"""The same for two metals, unless the structure is all metal: metals that share a ligand are not bonded."""
NON_METALS = (1, 2, *range(5, 11), *range(14, 19), *range(32, 37), *range(51, 55), 85, 86)
ON_FACE = 0.02
"""Fraction of a cell vector: atoms this close to a face are also drawn on the opposite face."""

Pairs = npt.NDArray[np.int64]


def bonded_pairs(numbers: npt.NDArray[np.uint8], positions: npt.NDArray[np.float64]) -> Pairs:
    """Return the pairs of bonded atoms, (n_bonds, 2), by covalent radii (Cordero et al., doi:10.1039/b801115j).

    Parameters
    ----------
    numbers : (n_atoms,)
        Atomic numbers.
    positions : (n_atoms, 3)
        Positions in Å.
    """
    radii = covalent_radii[numbers]
    pairs = cKDTree(positions).query_pairs(2.0 * NEAR * radii.max(initial=0.0), output_type="ndarray")
    first, second = np.sort(pairs, axis=1).T if len(pairs) else (np.empty(0, np.int64),) * 2
    apart = np.linalg.norm(positions[first] - positions[second], axis=1)
    metal = ~np.isin(numbers, NON_METALS)
    of_metals = metal[first] & metal[second] & ~metal.all()
    factor = np.where(of_metals, NEAR_METALS, NEAR)
    near = (apart < factor * (radii[first] + radii[second])) & (apart > 0.0)
    found = np.stack([first[near], second[near]], axis=1)
    return np.asarray(found[np.lexsort(found.T[::-1])], np.int64)


def bonded_across(structure: Structure) -> bool:
    """Return True if an atom is bonded, by covalent radii, to one of another cell, as in a crystal."""
    radii, tree = covalent_radii[structure.numbers], cKDTree(structure.positions)
    farthest = 2.0 * NEAR * radii.max(initial=0.0)
    for steps in product((-1, 0, 1), repeat=3):
        if steps <= (0, 0, 0):
            continue
        images = cKDTree(structure.positions + np.array(steps) @ structure.cell)
        pairs = tree.sparse_distance_matrix(images, farthest, output_type="coo_matrix")
        if (pairs.data < NEAR * (radii[pairs.row] + radii[pairs.col])).any():
            return True
    return False


def on_faces(structure: Structure) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return images of the atoms on faces, edges and corners of a cell: atom indices (n_images,) and positions.

    Both are empty if the structure is not periodic or its cell has no volume.
    """
    periodic = structure.pbc
    if not periodic.any() or abs(np.linalg.det(structure.cell)) < 1e-9:
        return np.empty(0, np.int64), np.empty((0, 3))
    scaled = np.linalg.solve(structure.cell.T, structure.positions.T).T
    atoms, positions = [], []
    for k, own in enumerate(scaled):
        steps = [(0, *_steps(value)) if along else (0,) for value, along in zip(own, periodic, strict=True)]
        for step in list(product(*steps))[1:]:
            atoms.append(k)
            positions.append(structure.positions[k] + np.array(step) @ structure.cell)
    return np.array(atoms, np.int64), np.array(positions).reshape(-1, 3)


def _steps(value: float) -> tuple[int, ...]:
    """Return the step along one cell vector to the opposite face, or nothing for an atom on neither face."""
    if abs(value) < ON_FACE:
        return (1,)
    return (-1,) if abs(value - 1.0) < ON_FACE else ()
