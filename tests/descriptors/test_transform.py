"""From ``ase.Atoms`` to features: choice of sites, invariances, and errors."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from hypothesis import given
from hypothesis import strategies as st
from support import reference, strategies, systems

from xanes_hpc import descriptors
from xanes_hpc.errors import AbsorberError, FormatError
from xanes_hpc.runtime import threads

DESCRIPTOR = descriptors.load("wacsf", "xanesnet-2022")


def assert_close(features, expected):
    """Compare within 1e-6 relative plus 1e-9 of the largest feature, the rounding of nearly straight angles."""
    largest = float(np.abs(expected).max()) if expected.size else 0.0
    np.testing.assert_allclose(features, expected, rtol=1e-6, atol=1e-9 * largest)


@strategies.quick
@given(strategies.molecules(), strategies.rotations(), st.tuples(*[strategies.coordinates(50.0)] * 3))
def test_rotation_and_translation_change_nothing(atoms, rotation, shift):
    moved = Atoms(numbers=atoms.numbers, positions=atoms.positions @ rotation.T + shift)
    assert_close(DESCRIPTOR.transform(moved, 0), DESCRIPTOR.transform(atoms, 0))


@strategies.quick
@given(strategies.molecules(), st.randoms(use_true_random=False))
def test_order_of_the_atoms_changes_nothing(atoms, random):
    order = list(range(len(atoms)))
    random.shuffle(order)
    assert_close(DESCRIPTOR.transform(atoms[order], order.index(0)), DESCRIPTOR.transform(atoms, 0))


@strategies.quick
@given(strategies.molecules(), strategies.molecules())
def test_atoms_far_away_change_nothing(atoms, fragment):
    fragment.positions += [0.0, 60.0, 0.0]
    np.testing.assert_array_equal(DESCRIPTOR.transform(atoms + fragment, 0), DESCRIPTOR.transform(atoms, 0))


def test_mirror_image_has_the_same_features():
    atoms = systems.ferrocene_like()
    mirrored = Atoms(numbers=atoms.numbers, positions=atoms.positions * [1, 1, -1])
    assert_close(DESCRIPTOR.transform(mirrored), DESCRIPTOR.transform(atoms))


@pytest.mark.parametrize("name", ["rutile", "wurtzite", "almost parallel vectors", "graphene without a third vector"])
def test_periodic_cell_equals_a_cluster_cut_from_it(name):
    """The same surroundings, as periodic images and as atoms, have the same features."""
    atoms = systems.NAMED[name]()
    repeats = [1, 1, 1]
    for c in np.flatnonzero(atoms.pbc):
        others = [atoms.cell[d] for d in np.flatnonzero(atoms.pbc) if d != c]
        height = np.linalg.norm(reference.perpendicular(atoms.cell[c], others))
        repeats[c] = 2 * int(np.ceil(DESCRIPTOR.cutoff / height) + 1) + 1
    cluster = atoms.repeat(repeats)
    cluster.pbc = False
    middle = len(atoms) * (np.ravel_multi_index([r // 2 for r in repeats], repeats))
    for site in range(min(2, len(atoms))):
        assert_close(DESCRIPTOR.transform(cluster, int(middle) + site), DESCRIPTOR.transform(atoms, site))


@pytest.mark.parametrize("repeats", [(2, 1, 1), (1, 2, 3)])
def test_periodic_cell_equals_its_supercell(repeats):
    atoms = systems.rutile()
    assert_close(DESCRIPTOR.transform(atoms.repeat(repeats), [0, 3]), DESCRIPTOR.transform(atoms, [0, 3]))


def test_atoms_wrapped_to_other_cells_change_nothing():
    atoms = systems.quartz()
    moved = atoms.copy()
    moved.positions += np.array([[3, -2, 1], [0, 5, 0], [-4, 0, 2]]).repeat(3, axis=0) @ np.asarray(atoms.cell)
    assert_close(DESCRIPTOR.transform(moved, "all"), DESCRIPTOR.transform(atoms, "all"))


def test_equivalent_atoms_have_equal_features():
    features = DESCRIPTOR.transform(systems.haematite(), "Fe")
    assert features.shape == (12, 97)
    assert_close(features, np.repeat(features[:1], 12, axis=0))


WATER_AND_METAL = Atoms("OFeO", positions=[[0, 0, -1.9], [0, 0, 0], [0, 0.4, 1.9]])


def test_default_site_is_the_only_transition_metal():
    np.testing.assert_array_equal(DESCRIPTOR.transform(WATER_AND_METAL), DESCRIPTOR.transform(WATER_AND_METAL, 1))


@pytest.mark.parametrize(
    ("sites", "rows"),
    [
        (2, [2]),
        (np.int64(2), [2]),
        ([2, 0], [2, 0]),
        (np.array([0, 1]), [0, 1]),
        ((1,), [1]),
        ("first", [0]),
        ("all", [0, 1, 2]),
        ("O", [0, 2]),
        ("transition-metals", [1]),
        ("2", [2]),
        ([], []),
    ],
    ids=repr,
)
def test_sites_of_one_structure(sites, rows):
    everything = DESCRIPTOR.transform(WATER_AND_METAL, "all")
    features = DESCRIPTOR.transform(WATER_AND_METAL, sites)
    assert features.shape == (len(rows), 97)
    np.testing.assert_array_equal(features, everything[rows])


@pytest.mark.parametrize(
    ("sites", "rows"),
    [
        (None, [(0, 1), (1, 0)]),
        ("first", [(0, 0), (1, 0)]),
        ("O", [(0, 0), (0, 2), (1, 1)]),
        (1, [(0, 1), (1, 1)]),
        ([1, 0], [(0, 1), (1, 0)]),
        ([[2, 0], "all"], [(0, 2), (0, 0), (1, 0), (1, 1)]),
        ([None, [1]], [(0, 1), (1, 1)]),
        (([], 0), [(1, 0)]),
    ],
    ids=repr,
)
def test_sites_of_a_sequence_of_structures(sites, rows):
    structures = [WATER_AND_METAL, Atoms("CoO", positions=[[0, 0, 0], [1.8, 0, 0]])]
    single = [DESCRIPTOR.transform(a, "all") for a in structures]
    features = DESCRIPTOR.transform(structures, sites)
    np.testing.assert_array_equal(features, np.array([single[s][a] for s, a in rows]))


def test_tuple_of_structures_is_a_sequence():
    features = DESCRIPTOR.transform((WATER_AND_METAL, WATER_AND_METAL))
    np.testing.assert_array_equal(features[0], features[1])


def test_no_structures_have_no_features():
    assert DESCRIPTOR.transform([]).shape == (0, 97)


@pytest.mark.parametrize(
    ("atoms", "sites", "message"),
    [
        (WATER_AND_METAL, 3, "site 3: no such atom; expected 0 to 2"),
        (WATER_AND_METAL, -1, "site -1: no such atom; expected 0 to 2"),
        (WATER_AND_METAL, [0, 7], "site 7: no such atom; expected 0 to 2"),
        (WATER_AND_METAL, 1.0, "`sites`: expected atom indices (from 0), received 1.0"),
        (WATER_AND_METAL, [True, False, True], "`sites`: expected atom indices (from 0), received [True, False, True]"),
        (WATER_AND_METAL, "Co", "absorber 'Co': no such atom in FeO2"),
        (WATER_AND_METAL, "Xx", "absorber 'Xx': expected first, transition-metals"),
        (WATER_AND_METAL, "9", "absorber 9: no such atom; expected an atom index from 0 to 2 in FeO2"),
        ([WATER_AND_METAL], [0, 1], "expected sites for 1 structures, received 2 entries"),
        (Atoms("CO"), None, "expected exactly one transition metal as the absorber, found 0 in CO"),
        (Atoms("FeNi"), None, "found 2: Fe (atom 0), Ni (atom 1)"),
        (Atoms(), "all", "absorber 'all': no such atom in"),
    ],
)
def test_invalid_sites(atoms, sites, message):
    with pytest.raises(AbsorberError) as caught:
        DESCRIPTOR.transform(atoms, sites)
    assert message in str(caught.value)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_position_is_refused(bad):
    atoms = WATER_AND_METAL.copy()
    atoms.positions[2, 1] = bad
    with pytest.raises(FormatError, match="expected finite positions, received NaN or infinity"):
        DESCRIPTOR.transform(atoms)


@pytest.mark.parametrize("distance", [0.0, 1e-12, 0.05, 0.0999])
def test_atom_on_the_absorber_is_refused(distance):
    atoms = Atoms("FeOO", positions=[[0, 0, 0], [1.9, 0, 0], [distance, 0, 0]])
    with pytest.raises(FormatError) as caught:
        DESCRIPTOR.transform([WATER_AND_METAL, atoms])
    assert str(caught.value) == f"an atom is {distance:.3f} Å from the absorber of site 1 of the batch"


def test_image_on_the_absorber_is_refused():
    with pytest.raises(FormatError, match=r"an atom is 0\.080 Å from the absorber of site 0"):
        DESCRIPTOR.transform(Atoms("Fe", cell=np.diag([0.08, 4.0, 4.0]), pbc=True))


def test_coincident_atoms_far_from_the_absorber_are_accepted():
    twice = Atoms("FeOO", positions=[[0, 0, 0], [1.9, 0, 0], [1.9, 0, 0]])
    assert np.isfinite(DESCRIPTOR.transform(twice)).all()


@pytest.mark.parametrize("number", [119, 200, 282, -1])
def test_unknown_element_is_refused(number):
    atoms = Atoms(numbers=[26, 8], positions=[[0, 0, 0], [1.9, 0, 0]])
    atoms.numbers[1] = number
    with pytest.raises(FormatError, match=f"atomic number {number}: expected 0 to 118"):
        DESCRIPTOR.transform(atoms, 0)


@pytest.mark.skipif(threads.MOST < 2, reason="this machine has one core")
@pytest.mark.parametrize("preset", ["xanesnet-2022", "default"])
def test_bits_do_not_depend_on_threads(preset):
    descriptor = descriptors.load("wacsf", preset)
    structures = [systems.ferrocene_like(), systems.rutile(), bulk("Fe", "bcc", a=2.866), systems.haematite()]
    results = []
    for n in (1, min(2, threads.MOST)):
        with threads.limited_to(n):
            results.append(descriptor.transform(structures, "all"))
    np.testing.assert_array_equal(results[0], results[1])


def test_features_do_not_depend_on_the_batch():
    structures = [systems.ferrocene_like(), systems.rutile(), WATER_AND_METAL]
    together = DESCRIPTOR.transform(structures, "all")
    np.testing.assert_array_equal(together, np.concatenate([DESCRIPTOR.transform(a, "all") for a in structures]))


def test_a_generator_of_structures_is_accepted():
    structures = [systems.ferrocene_like(), WATER_AND_METAL]
    np.testing.assert_array_equal(DESCRIPTOR.transform(a for a in structures), DESCRIPTOR.transform(structures))


@pytest.mark.parametrize(
    ("atoms", "received"),
    [("Fe.xyz", "str"), (np.zeros((3, 3)), "ndarray"), (None, "NoneType"), ([[0.0, 0.0, 0.0]], "list with list in it")],
)
def test_anything_but_structures_is_refused(atoms, received):
    with pytest.raises(FormatError, match=f"expected ase.Atoms or a sequence of them, received {received}$"):
        DESCRIPTOR.transform(atoms)
