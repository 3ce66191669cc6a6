"""Power spectra, arms and bonded functions: the loops of ``support.reference``, and values by hand."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from support import systems
from support.wacsf import around, assert_agrees, both

from xanes_hpc import descriptors
from xanes_hpc.errors import DescriptorError
from xanes_hpc_kernels.wacsf_arms import BLOCK

GAUSSIANS = {"mu": [1.7, 2.3, 3.0], "eta": [4.0, 8.0, 1.0]}
POWER = {**GAUSSIANS, "l": [0, 1, 2, 5, 8]}
ARMS = {**GAUSSIANS, "lambda": [1, -1], "zeta": [1, 3, 8], "angles": [40, 90, 172, 180], "width": 8}
BONDED = {**GAUSSIANS, "to": ["H", ["C", "N"], "other"]}
EVERY = {"power": POWER, "arms": ARMS, "bonded": BONDED}
each = pytest.mark.parametrize("key", sorted(EVERY))


def described(cutoff=6.0, **weighting):
    return descriptors.from_description({"name": "wacsf", "cutoff": cutoff, "g1": False, "weighting": [weighting]})


def bonded_around(n, seed=0):
    """Neighbours so near to each other that many are bonded, wholly or in part."""
    return around(n, seed, nearest=1.5, farthest=3.2)


@both
@each
@pytest.mark.parametrize("n", [*range(6), 8, 16, 17, 33])
def test_any_number_of_neighbours(key, n, dtype):
    assert_agrees([around(n), bonded_around(n, seed=1)], dtype, nothing=1e-9, **{key: EVERY[key]})


@both
def test_more_triplets_than_a_block_holds(dtype):
    assert 3 * BLOCK < 60 * 59 // 2
    assert_agrees([around(60, farthest=4.0), around(33)], dtype, arms=ARMS)


@both
@each
def test_channels_cutoffs_and_several_weightings(key, dtype):
    weightings = [
        {"elements": ["H", ["C", "N"], "other"], key: EVERY[key]},
        {"weights": "Z", "scale": 0.1, "cutoff": 4.0, key: EVERY[key]},
        {"weights": "electronegativity", "g2": GAUSSIANS, key: EVERY[key]},
    ]
    assert_agrees([around(12), bonded_around(20)], dtype, nothing=1e-7, weightings=weightings)


@both
def test_only_powers_or_only_angles(dtype):
    for keys in (("lambda", "zeta"), ("angles", "width")):
        assert_agrees([around(9), around(20)], dtype, arms={**GAUSSIANS, **{key: ARMS[key] for key in keys}})


@both
@each
def test_crystals(key, dtype):
    structures = [systems.rutile(), systems.chain(), systems.sheet_without_third_vector()]
    weighting = {"elements": ["O", "other"], key: EVERY[key]}
    assert_agrees(structures, dtype, cutoff=4.0, nothing=1e-8, weightings=[weighting])


@both
def test_high_degrees_stay_accurate(dtype):
    power = {"mu": [2.0], "eta": [1.0], "l": [16, 24, 32]}
    assert_agrees([around(7), around(33), systems.chain()], dtype, nothing=1e-8, power=power)


def test_power_spectra_of_two_atoms_are_legendre_polynomials():
    """At 90 degrees: P_1 = 0, P_2 = -1/2, P_4 = 3/8, twice for both orders, plus 1 for each atom with itself."""
    atoms = Atoms("FeN2", positions=[[0, 0, 0], [2.0, 0, 0], [0, 2.0, 0]])
    found = described(weights="one", power={"mu": [2.0], "eta": [1.0], "l": [0, 1, 2, 4]}).transform(atoms, 0)[0]
    cut = 0.5 * (np.cos(np.pi * 2.0 / 6.0) + 1.0)
    np.testing.assert_allclose(found / cut**2, [4.0, 2.0, 1.0, 2.75], rtol=1e-12)


def test_arms_see_an_atom_in_line_behind_the_absorber():
    """G4 hardly does, as the opposite side is long."""
    straight = Atoms("FeN2", positions=[[0, 0, 0], [2.0, 0, 0], [-2.0, 0, 0]])
    arms = {"mu": [2.0], "eta": [1.0], "angles": [180, 164], "width": 8}
    found = described(weights="one", arms=arms).transform(straight, 0)[0]
    cut = 0.5 * (np.cos(np.pi * 2.0 / 6.0) + 1.0)
    turned = np.exp((np.cos(np.radians(16.0)) - 1.0) / np.radians(8.0) ** 2)
    np.testing.assert_allclose(found / cut**2, [1.0, turned], rtol=1e-12)


def test_bonded_functions_count_the_hydrogen_atoms_of_carbon():
    """A methyl group at 2 Å has three, carbon monoxide none."""
    methyl = Atoms("FeCH3", positions=[[0, 0, 0], [2.0, 0, 0], [2.36, 1.03, 0], [2.36, -0.5, 0.9], [2.36, -0.5, -0.9]])
    carbonyl = Atoms("FeCO", positions=[[0, 0, 0], [2.0, 0, 0], [3.13, 0, 0]])
    bonded = {"mu": [2.0], "eta": [1.0], "to": ["H", "O"]}
    descriptor = described(elements=["C"], bonded=bonded)
    cut = 0.5 * (np.cos(np.pi * 2.0 / 6.0) + 1.0)
    np.testing.assert_allclose(descriptor.transform([methyl, carbonyl], [0, 0]) / cut, [[3, 0], [0, 1]], rtol=1e-12)


@each
def test_turned_moved_and_reordered_structures_give_the_same(key):
    atoms = molecule("C3H9C")
    atoms.symbols[0] = "Fe"
    descriptor = described(weights="one", **{key: EVERY[key]})
    expected = descriptor.transform(atoms, 0)
    atoms.rotate(50.0, (1, 2, 3))
    atoms.translate((3.0, -2.0, 7.0))
    np.testing.assert_allclose(descriptor.transform(atoms, 0), expected, rtol=1e-9, atol=1e-12)
    atoms = atoms[[0, *range(len(atoms) - 1, 0, -1)]]
    np.testing.assert_allclose(descriptor.transform(atoms, 0), expected, rtol=1e-9, atol=1e-12)


@each
def test_labels_are_unique_and_the_description_comes_back(key):
    descriptor = described(elements=["C", "other"], cutoff=4.0, **{key: EVERY[key]})
    assert len(set(descriptor.labels)) == descriptor.n_features == len(descriptor.meanings)
    again = descriptors.from_description(descriptor.describe())
    assert (again.hash, again.labels) == (descriptor.hash, descriptor.labels)


@pytest.mark.parametrize(
    ("key", "changed", "told"),
    [
        ("power", {"l": [1.5]}, "whole numbers from 0 to 32"),
        ("power", {"l": [-1]}, "whole numbers from 0 to 32"),
        ("power", {"l": [33]}, "whole numbers from 0 to 32"),
        ("power", {"l": None}, "numbers for l, at least one"),
        ("arms", {"lambda": [2]}, "lambda from -1 to 1"),
        ("arms", {"angles": [181]}, "angles from 0 to 180"),
        ("arms", {"width": 0}, "a width above 0"),
        ("arms", {"width": "wide"}, "a width above 0"),
        ("bonded", {"to": None}, "to: expected a list of elements"),
        ("bonded", {"to": ["Xx"]}, "expected element symbols"),
    ],
)
def test_invalid_values_are_named(key, changed, told):
    with pytest.raises(DescriptorError) as refused:
        described(weights="one", **{key: EVERY[key] | changed})
    assert f"weighting 1, {key}" in str(refused.value)
    assert told in str(refused.value)


@pytest.mark.parametrize("missing", ["lambda", "zeta", "angles", "width"])
def test_half_of_a_pair_of_keys_is_refused(missing):
    arms = {key: value for key, value in ARMS.items() if key != missing}
    with pytest.raises(DescriptorError, match="expected lambda and zeta, angles and width"):
        described(weights="one", arms=arms)
