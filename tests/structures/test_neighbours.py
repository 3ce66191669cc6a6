"""Neighbour lists, compared with ASE and with a search through every image."""

import numpy as np
import pytest
from ase import Atoms
from hypothesis import assume, given
from hypothesis import strategies as st
from support import pair_lists, reference, strategies, systems

from xanes_hpc.errors import FormatError
from xanes_hpc.structures.neighbours import neighbour_list
from xanes_hpc.structures.sites import SiteBatch

CUTOFF = 4.9173
"""Å; no shell of a named system lies within rounding of it."""


def ours(atoms, cutoff):
    return neighbour_list(SiteBatch.from_atoms(atoms, "all"), cutoff)


def assert_same(atoms, cutoff):
    pair_lists.assert_as_by_ase(ours(atoms, cutoff), atoms, cutoff)


@pytest.mark.parametrize("name", systems.NAMED)
def test_named_system_agrees_with_ase(name):
    assert_same(systems.NAMED[name](), CUTOFF)


def test_named_systems_are_many_and_have_neighbours():
    counts = {name: ours(make(), CUTOFF).distances.size for name, make in systems.NAMED.items()}
    assert len(counts) >= 12
    assert [name for name, n in counts.items() if n == 0] == ["one atom"]


@strategies.quick
@given(strategies.crystals(), st.sampled_from([1.2345, 3.4567, 6.7891]))
def test_random_system_agrees_with_ase(atoms, cutoff):
    _, _, distances = pair_lists.by_ase(atoms, cutoff + 1e-6)
    assume((np.abs(distances - cutoff) > 1e-9).all())  # on the cutoff itself rounding decides
    assert_same(atoms, cutoff)


@strategies.quick
@given(strategies.crystals(max_atoms=2))
def test_random_system_agrees_with_a_search_through_every_image(atoms):
    cutoff = 2.9876
    pairs = ours(atoms, cutoff)
    rows = pair_lists.rows(pairs)
    here = rows[:, 0] == 0
    found = sorted(reference.neighbours(atoms.get_positions(), atoms.cell, atoms.pbc, 0, cutoff), key=lambda r: r[:4])
    np.testing.assert_array_equal(rows[here, 1:], np.array([r[:4] for r in found], int).reshape(-1, 4))
    np.testing.assert_allclose(pairs.vectors[here], np.array([r[4] for r in found]).reshape(-1, 3), rtol=0, atol=1e-12)


def test_cell_smaller_than_the_cutoff_has_many_images_of_the_site_itself():
    atoms = Atoms("Fe", cell=np.diag([1.5, 1.6, 1.7]), pbc=True)
    pairs = neighbour_list(SiteBatch.from_atoms(atoms, 0), 6.0)
    assert len(pairs.distances) > 150
    assert (pairs.atoms == 0).all()
    assert_same(atoms, 6.0123)


def test_pairs_are_ordered_by_atom_then_image_and_vectors_point_to_the_neighbour():
    atoms = systems.rutile()
    pairs = neighbour_list(SiteBatch.from_atoms(atoms, 1), CUTOFF)
    keys = [tuple(row) for row in np.column_stack([pairs.atoms, pairs.shifts])]
    assert keys == sorted(keys)
    expected = atoms.positions[pairs.atoms] + pairs.shifts @ np.asarray(atoms.cell) - atoms.positions[1]
    np.testing.assert_allclose(pairs.vectors, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(pairs.distances, np.linalg.norm(expected, axis=1), rtol=0, atol=1e-12)


def test_distance_equal_to_the_cutoff_is_excluded():
    atoms = Atoms("FeOO", positions=[[0, 0, 0], [2.0, 0, 0], [0, np.nextafter(2.0, 0), 0]])
    pairs = neighbour_list(SiteBatch.from_atoms(atoms), 2.0)
    assert pairs.atoms.tolist() == [2]


def test_structures_of_a_batch_do_not_see_each_other():
    crystal, water, alone = systems.rutile(), Atoms("FeO", positions=[[0, 0, 0], [0, 0, 1.9]]), Atoms("Fe")
    batch = SiteBatch.from_atoms([crystal, water, alone], [[0, 3], [1, 0], 0])
    pairs = neighbour_list(batch, CUTOFF)
    counts = np.diff(pairs.offsets)
    assert counts.tolist()[2:] == [1, 1, 0]
    n_crystal, lone = len(crystal), [0, *np.cumsum(counts)]
    assert pairs.atoms[lone[2] : lone[4]].tolist() == [n_crystal, n_crystal + 1]
    for row, site in enumerate([0, 3]):
        single = neighbour_list(SiteBatch.from_atoms(crystal, site), CUTOFF)
        np.testing.assert_array_equal(pairs.distances[lone[row] : lone[row + 1]], single.distances)


def test_batch_without_sites_has_no_pairs():
    pairs = neighbour_list(SiteBatch.from_atoms([], []), 6.0)
    assert pairs.offsets.tolist() == [0]
    assert pairs.distances.size == 0
    assert pairs.vectors.shape == (0, 3)


def refused(atoms, cutoff=6.0):
    with pytest.raises(FormatError) as caught:
        neighbour_list(SiteBatch.from_atoms(atoms, 0), cutoff)
    return str(caught.value)


def test_periodic_without_a_cell_is_refused():
    message = refused(Atoms("Fe", pbc=True))
    assert message.startswith("structure 0 of the batch: periodic")
    assert "without a cell vector" in message


def test_periodic_along_the_missing_vector_is_refused():
    atoms = Atoms("Fe", cell=[[3.0, 0, 0], [0, 3.0, 0], [0, 0, 0]], pbc=(True, False, True))
    assert "without a cell vector" in refused(atoms)


@pytest.mark.parametrize("pbc", [(True, True, True), (True, True, False)])
def test_cell_without_volume_is_refused(pbc):
    atoms = Atoms("Fe", cell=[[3.0, 0, 0], [6.0, 0, 0], [0, 0, 3.0]], pbc=pbc)
    message = refused(atoms)
    assert message.startswith("structure 0 of the batch: ")
    assert "no volume" in message


def test_a_cell_so_skewed_that_a_search_would_not_end_is_refused():
    atoms = Atoms("Fe", cell=[[9e5, 8e5, 1.0], [9e5, 8e5, 1.001], [3.0, 5e5, -2e5]], pbc=True)
    assert "planes of its lattice are" in refused(atoms)
    turned = Atoms("Fe", cell=[[3.0, 0, 0], [24.0, 3.0, 0], [0, 0, 3.0]], pbc=True)  # valid, though far from reduced
    cubic = Atoms("Fe", cell=3.0 * np.eye(3), pbc=True)
    found, expected = (neighbour_list(SiteBatch.from_atoms([a], 0), 6.0) for a in (turned, cubic))
    np.testing.assert_allclose(np.sort(found.distances), np.sort(expected.distances))


def test_non_finite_cell_is_refused():
    atoms = Atoms("Fe", cell=np.diag([3.0, 3.0, np.nan]), pbc=True)
    message = refused(atoms)
    assert message.startswith("structure 0 of the batch: ")
    assert "NaN or infinity" in message


def test_message_gives_the_number_of_the_structure_in_the_batch():
    with pytest.raises(FormatError, match="structure 1 of the batch"):
        neighbour_list(SiteBatch.from_atoms([Atoms("Fe"), Atoms("Fe", pbc=True)]), 6.0)
