"""Symmetry-equivalent sites of crystals: the number of kinds, and the multiplicity of each."""

import h5py
import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.io import write as ase_write
from ase.spacegroup import crystal
from support.builders import run

from xanes_hpc.structures.structure import Structure
from xanes_hpc.structures.symmetry import unique_sites


def structure(atoms):
    return Structure("s", atoms.numbers.astype("u1"), atoms.positions, np.asarray(atoms.cell), atoms.pbc)


MAGNETITE = crystal(
    ["Fe", "Fe", "O"],
    basis=[(0.125, 0.125, 0.125), (0.5, 0.5, 0.5), (0.2547, 0.2547, 0.2547)], spacegroup=227, setting=2,
    cellpar=[8.394, 8.394, 8.394, 90, 90, 90],
)  # fmt: skip
HAEMATITE = crystal(
    ["Fe", "O"], basis=[(0, 0, 0.3553), (0.3059, 0, 0.25)], spacegroup=167, cellpar=[5.038, 5.038, 13.772, 90, 90, 120]
)


@pytest.mark.parametrize(
    ("atoms", "element", "counts"),
    [
        (MAGNETITE, 26, [8.0, 16.0]),  # tetrahedral and octahedral iron of a spinel
        (MAGNETITE, 8, [32.0]),
        (HAEMATITE, 26, [12.0]),
        (HAEMATITE.repeat((2, 1, 1)), 26, [24.0]),
        (bulk("Fe", cubic=True), 26, [2.0]),
    ],
)
def test_unique_sites_and_their_multiplicities(atoms, element, counts):
    own = np.flatnonzero(atoms.numbers == element)
    found, weights = unique_sites(structure(atoms), own)
    assert weights.tolist() == counts
    assert found[0] == own[0]
    assert (np.diff(found) > 0).all()
    _, weights = unique_sites(structure(atoms), own[-2:])
    assert weights.sum() == 2


def test_a_displaced_atom_is_not_equivalent():
    atoms = bulk("Fe", cubic=True).repeat(2)
    atoms.positions[3] += 0.1
    every = np.arange(len(atoms))
    found, weights = unique_sites(structure(atoms), every)
    assert weights.sum() == len(atoms)
    assert weights[found == 3] == [1.0]
    assert unique_sites(structure(atoms), every, symprec=0.3)[1].tolist() == [16.0]


def test_every_site_of_a_molecule_is_unique():
    found, weights = unique_sites(structure(molecule("C6H6")), np.arange(6))
    assert (found.tolist(), weights.tolist()) == (list(range(6)), [1.0] * 6)


def test_import_keeps_one_of_each_equivalent_set(tmp_path, capsys):
    ase_write(tmp_path / "magnetite.cif", MAGNETITE)
    words = ["import", tmp_path / "magnetite.cif", "--absorber", "Fe", "-o"]
    assert run(*words, tmp_path / "all.h5") == 0
    assert run(*words, tmp_path / "unique.h5", "--unique") == 0
    with h5py.File(tmp_path / "all.h5") as every, h5py.File(tmp_path / "unique.h5") as unique:
        assert every["sites/weight"].shape == (24,)
        assert sorted(unique["sites/weight"][:]) == [8.0, 16.0]
        assert unique["sites/weight"][:].sum() == every["sites/weight"][:].sum()
        assert len(set(unique["sites/name"][:])) == 2
    for symprec in ("-1", "0", "nan", "5"):
        capsys.readouterr()
        assert run(*words, tmp_path / "no.h5", "--unique", "--symprec", symprec) == 2
        assert "symprec: expected 1e-06 to 1 Å, received" in capsys.readouterr().err
    assert not (tmp_path / "no.h5").exists()
