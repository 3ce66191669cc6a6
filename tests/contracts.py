"""What every descriptor and every architecture must satisfy; ``test_contracts.py`` runs it over all there are.

A new file in ``xanes_hpc/descriptors`` or ``xanes_hpc/models`` is met here by itself.
"""

import json
from dataclasses import fields

import numpy as np
import pytest
import systems
from ase import Atoms
from ase.build import bulk

from xanes_hpc import descriptors, models
from xanes_hpc.errors import DescriptorError, ModelError
from xanes_hpc.models.network import ACTIVATIONS, Layer


def surroundings():
    """Molecules and crystals with a site each: crowded, lonely, straight, periodic."""
    return [
        (systems.ferrocene_like(), 0),
        (Atoms("Fe"), 0),
        (Atoms("FeO2", positions=[[0, 0, 0], [0, 0, 1.9], [0, 0, -1.9]]), 0),
        (bulk("Fe", "bcc", a=2.866), 0),
        (systems.rutile(), 1),
    ]


def described(descriptor):
    structures, sites = zip(*surroundings(), strict=True)
    return descriptor.transform(list(structures), list(sites))


def assert_close(descriptor, features, expected):
    """To rounding: of the features' own type, relative, with a floor of as much of the largest feature."""
    tolerance = 1e-6 if descriptor.dtype == np.float64 else 1e-4
    floor = 1e-3 * tolerance * float(np.abs(expected).max())
    np.testing.assert_allclose(features, expected, rtol=tolerance, atol=floor)


def has_unique_labels_one_per_feature(descriptor):
    assert descriptor.n_features == len(descriptor.labels) > 0
    assert len(set(descriptor.labels)) == len(descriptor.labels)
    assert all(isinstance(label, str) and label.strip() for label in descriptor.labels)


def has_a_cutoff_and_a_floating_dtype(descriptor):
    assert np.isfinite(descriptor.cutoff)
    assert descriptor.cutoff > 0
    assert descriptor.dtype in (np.dtype("float32"), np.dtype("float64"))


def gives_finite_features_of_its_dtype(descriptor):
    features = described(descriptor)
    assert features.shape == (len(surroundings()), descriptor.n_features)
    assert features.dtype == descriptor.dtype
    assert np.isfinite(features).all()


def tells_surroundings_apart(descriptor):
    features = described(descriptor)
    assert len(np.unique(features, axis=0)) == len(features)


def gives_the_same_twice(descriptor):
    np.testing.assert_array_equal(described(descriptor), described(descriptor))


def gives_no_features_for_no_sites(descriptor):
    assert descriptor.transform(systems.rutile(), []).shape == (0, descriptor.n_features)


def does_not_change_its_input(descriptor):
    atoms = systems.rutile()
    before = atoms.copy()
    descriptor.transform(atoms, "all")
    assert atoms == before


def does_not_see_rotation_or_translation(descriptor):
    for (atoms, site), expected in zip(surroundings(), described(descriptor), strict=True):
        moved = atoms.copy()
        moved.rotate(33.0, (1, 2, 3), rotate_cell=True)
        moved.positions += [3.1, -7.2, 11.9]
        assert_close(descriptor, descriptor.transform(moved, site)[0], expected)


def does_not_see_the_order_of_atoms(descriptor):
    rng = np.random.default_rng(5)
    for (atoms, site), expected in zip(surroundings(), described(descriptor), strict=True):
        order = rng.permutation(len(atoms))
        shuffled = descriptor.transform(atoms[order], int(np.flatnonzero(order == site)[0]))
        assert_close(descriptor, shuffled[0], expected)


def does_not_see_atoms_beyond_its_cutoff(descriptor):
    atoms = systems.ferrocene_like()
    far = Atoms("CuBr", positions=[[0, 0, 0], [2.2, 0, 0]])
    far.positions += [0, 0, 10.0 + descriptor.cutoff]
    assert_close(descriptor, descriptor.transform(atoms + far, 0), descriptor.transform(atoms, 0))


def sees_a_supercell_as_its_cell(descriptor):
    atoms = systems.rutile()
    assert_close(descriptor, descriptor.transform(atoms.repeat((2, 1, 2)), 1), descriptor.transform(atoms, 1))


def is_made_again_from_its_description_through_json(descriptor):
    description = json.loads(json.dumps(descriptor.describe(), allow_nan=False))
    again = descriptors.from_description(description)
    assert type(again) is type(descriptor)
    assert again.describe() == description
    assert again.labels == descriptor.labels
    assert again.hash == descriptor.hash
    np.testing.assert_array_equal(described(again), described(descriptor))


def has_a_hash_of_its_numbers(descriptor):
    assert len(descriptor.hash) == 64
    assert set(descriptor.hash) <= set("0123456789abcdef")
    json.dumps(descriptor.resolve(), allow_nan=False)


def refuses_a_key_it_does_not_have(descriptor):
    with pytest.raises(DescriptorError, match="no_such_key"):
        descriptors.from_description(descriptor.describe() | {"no_such_key": 1})


DESCRIPTOR = (
    has_unique_labels_one_per_feature,
    has_a_cutoff_and_a_floating_dtype,
    gives_finite_features_of_its_dtype,
    tells_surroundings_apart,
    gives_the_same_twice,
    gives_no_features_for_no_sites,
    does_not_change_its_input,
    does_not_see_rotation_or_translation,
    does_not_see_the_order_of_atoms,
    does_not_see_atoms_beyond_its_cutoff,
    sees_a_supercell_as_its_cell,
    is_made_again_from_its_description_through_json,
    has_a_hash_of_its_numbers,
    refuses_a_key_it_does_not_have,
)
"""Each takes a descriptor."""

N_FEATURES, N_ENERGIES = 17, 29


def builds_layers_of_the_closed_set(name):
    _, layers = models.build(name, {}, N_FEATURES, N_ENERGIES)
    assert layers
    for layer in layers:
        assert type(layer) is Layer
        assert layer.kind in ("dense", "activation", "dropout")
        assert layer.function in ACTIVATIONS
        assert 0.0 <= layer.rate < 1.0
        assert (layer.units > 0) == (layer.kind == "dense")


def names_its_layers_uniquely(name):
    _, layers = models.build(name, {}, N_FEATURES, N_ENERGIES)
    names = [layer.name for layer in layers]
    assert len(set(names)) == len(names)
    assert all(names)
    assert not any("/" in n for n in names)


def ends_in_one_value_per_energy(name):
    for n_energies in (1, N_ENERGIES):
        _, layers = models.build(name, {}, N_FEATURES, n_energies)
        dense = [layer for layer in layers if layer.kind == "dense"]
        assert dense[-1].units == n_energies


def is_built_again_from_its_resolved_parameters_through_json(name):
    resolved, layers = models.build(name, {}, N_FEATURES, N_ENERGIES)
    again, same = models.build(name, json.loads(json.dumps(resolved, allow_nan=False)), N_FEATURES, N_ENERGIES)
    assert again == resolved
    assert same == layers


def has_plain_layers(name):
    """Layers are data that ``model.json`` could hold, with no weights in them."""
    _, layers = models.build(name, {}, N_FEATURES, N_ENERGIES)
    for layer in layers:
        assert all(isinstance(getattr(layer, f.name), (str, int, float)) for f in fields(layer))


def refuses_an_unknown_parameter(name):
    with pytest.raises(ModelError, match="'no_such_parameter'"):
        models.build(name, {"no_such_parameter": 1}, N_FEATURES, N_ENERGIES)


MODEL = (
    builds_layers_of_the_closed_set,
    names_its_layers_uniquely,
    ends_in_one_value_per_energy,
    is_built_again_from_its_resolved_parameters_through_json,
    has_plain_layers,
    refuses_an_unknown_parameter,
)
"""Each takes the name of an architecture."""
