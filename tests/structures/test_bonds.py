"""Bonds and atoms on the faces of a cell, compared with plain loops."""

from itertools import product

import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.data import covalent_radii
from ase.spacegroup import crystal

from xanes_hpc.structures.bonds import NON_METALS, bonded_pairs, on_faces
from xanes_hpc.structures.structure import Structure


def structure(atoms):
    return Structure("s", atoms.numbers.astype(np.uint8), atoms.positions, atoms.cell.array, atoms.pbc)


def drawn(atoms):
    """Return the numbers and positions of all atoms to draw, images included."""
    own = structure(atoms)
    images, places = on_faces(own)
    return np.concatenate([own.numbers, own.numbers[images]]), np.concatenate([own.positions, places])


def bonded_by_loops(numbers, positions):
    only_metals = not any(z in NON_METALS for z in numbers)
    found = []
    for i in range(len(numbers)):
        for j in range(i + 1, len(numbers)):
            metals = numbers[i] not in NON_METALS and numbers[j] not in NON_METALS
            factor = 1.0 if metals and not only_metals else 1.2
            reach = factor * (covalent_radii[numbers[i]] + covalent_radii[numbers[j]])
            if 0 < np.linalg.norm(positions[i] - positions[j]) < reach:
                found.append([i, j])
    return found


HEMATITE = crystal(
    ["Fe", "O"], [(0, 0, 0.3553), (0.3059, 0, 0.25)], spacegroup=167, cellpar=[5.0356, 5.0356, 13.7489, 90, 90, 120]
)
ROCKSALT = bulk("FeO", "rocksalt", a=4.3, cubic=True)
IRON = bulk("Fe", cubic=True)


@pytest.mark.parametrize("atoms", [molecule("C6H6"), HEMATITE, ROCKSALT, IRON], ids=lambda atoms: str(atoms.symbols))
def test_bonds_agree_with_plain_loops(atoms):
    numbers, positions = drawn(atoms)
    assert bonded_pairs(numbers, positions).tolist() == bonded_by_loops(numbers, positions)


@pytest.mark.parametrize(("atoms", "n_images"), [(ROCKSALT, 19), (IRON, 7), (molecule("H2O"), 0)])
def test_atoms_on_faces_have_images(atoms, n_images):
    numbers, positions = drawn(atoms)
    assert numbers.size == len(atoms) + n_images
    if n_images:
        every = {
            tuple(np.round(p + np.array(step) @ atoms.cell.array, 6) + 0.0)
            for p in atoms.positions
            for step in product((-1, 0, 1), repeat=3)
        }
        scaled = np.linalg.solve(atoms.cell.array.T, np.array(sorted(every)).T).T
        inside = ((scaled > -1e-6) & (scaled < 1 + 1e-6)).all(axis=1)
        assert numbers.size == inside.sum()
        assert {tuple(np.round(p, 6) + 0.0) for p in positions} <= every


def test_metals_that_share_ligands_are_not_bonded():
    numbers, positions = drawn(HEMATITE)
    kinds = {tuple(sorted(numbers[pair].tolist())) for pair in bonded_pairs(numbers, positions)}
    assert kinds == {(8, 26)}


def test_atoms_of_a_pure_metal_are_bonded():
    numbers, positions = drawn(IRON)
    assert len(bonded_pairs(numbers, positions)) == 20  # to eight corners from the centre, and along twelve edges


def test_one_atom_and_a_flat_cell():
    assert bonded_pairs(np.array([26], np.uint8), np.zeros((1, 3))).shape == (0, 2)
    flat = Structure("s", np.array([26], np.uint8), np.zeros((1, 3)), np.zeros((3, 3)), np.ones(3, bool))
    assert on_faces(flat)[1].shape == (0, 3)
