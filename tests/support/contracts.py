"""Contracts that every descriptor and every architecture must satisfy; ``test_contracts.py`` checks them all.

New files in ``xanes_hpc/descriptors`` and ``xanes_hpc/models/architectures`` are found automatically.
"""

import json
from dataclasses import fields

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from support import systems
from support.networks import KerasTwin, assert_same_spectra, network, sites
from xanes_hpc import descriptors
from xanes_hpc.errors import DescriptorError, ModelError
from xanes_hpc.models import architectures
from xanes_hpc.models.layers import (
    ACTIVATIONS,
    FEATURES,
    GRAPH_INPUTS,
    INPUTS,
    Layer,
    shapes,
    takes_graphs,
    weight_shapes,
    wired,
)
from xanes_hpc.models.numpy_network import sample


def surroundings():
    """Return molecules and crystals with a site each: crowded, isolated, linear, periodic."""
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
    """Check that features agree to the rounding of their type, relative and as a fraction of the largest feature."""
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


def returns_finite_features_of_its_dtype(descriptor):
    features = described(descriptor)
    assert features.shape == (len(surroundings()), descriptor.n_features)
    assert features.dtype == descriptor.dtype
    assert np.isfinite(features).all()


def distinguishes_surroundings(descriptor):
    features = described(descriptor)
    assert len(np.unique(features, axis=0)) == len(features)


def returns_the_same_features_twice(descriptor):
    np.testing.assert_array_equal(described(descriptor), described(descriptor))


def returns_no_rows_for_no_sites(descriptor):
    assert descriptor.transform(systems.rutile(), []).shape == (0, descriptor.n_features)


def does_not_change_its_input(descriptor):
    atoms = systems.rutile()
    before = atoms.copy()
    descriptor.transform(atoms, "all")
    assert atoms == before


def is_invariant_under_rotation_and_translation(descriptor):
    for (atoms, site), expected in zip(surroundings(), described(descriptor), strict=True):
        moved = atoms.copy()
        moved.rotate(33.0, (1, 2, 3), rotate_cell=True)
        moved.positions += [3.1, -7.2, 11.9]
        assert_close(descriptor, descriptor.transform(moved, site)[0], expected)


def does_not_depend_on_the_order_of_atoms(descriptor):
    rng = np.random.default_rng(5)
    for (atoms, site), expected in zip(surroundings(), described(descriptor), strict=True):
        order = rng.permutation(len(atoms))
        shuffled = descriptor.transform(atoms[order], int(np.flatnonzero(order == site)[0]))
        assert_close(descriptor, shuffled[0], expected)


def does_not_depend_on_atoms_beyond_its_cutoff(descriptor):
    atoms = systems.ferrocene_like()
    far = Atoms("CuBr", positions=[[0, 0, 0], [2.2, 0, 0]])
    far.positions += [0, 0, 10.0 + descriptor.cutoff]
    assert_close(descriptor, descriptor.transform(atoms + far, 0), descriptor.transform(atoms, 0))


def is_the_same_for_a_supercell_as_for_its_cell(descriptor):
    atoms = systems.rutile()
    assert_close(descriptor, descriptor.transform(atoms.repeat((2, 1, 2)), 1), descriptor.transform(atoms, 1))


def is_rebuilt_from_its_description_through_json(descriptor):
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


def refuses_an_unknown_key(descriptor):
    with pytest.raises(DescriptorError, match="no_such_key"):
        descriptors.from_description(descriptor.describe() | {"no_such_key": 1})


DESCRIPTOR = (
    has_unique_labels_one_per_feature,
    has_a_cutoff_and_a_floating_dtype,
    returns_finite_features_of_its_dtype,
    distinguishes_surroundings,
    returns_the_same_features_twice,
    returns_no_rows_for_no_sites,
    does_not_change_its_input,
    is_invariant_under_rotation_and_translation,
    does_not_depend_on_the_order_of_atoms,
    does_not_depend_on_atoms_beyond_its_cutoff,
    is_the_same_for_a_supercell_as_for_its_cell,
    is_rebuilt_from_its_description_through_json,
    has_a_hash_of_its_numbers,
    refuses_an_unknown_key,
)
"""Contracts of a descriptor; each function takes one."""

N_FEATURES, N_ENERGIES = 17, 29
KINDS = (
    "dense",
    "convolution",
    "activation",
    "dropout",
    "add",
    "multiply",
    "concatenate",
    "upsample",
    "reshape",
    "crop",
    "embedding",
    "gaussians",
    "receivers",
    "senders",
    "messages",
    "sites",
)
WITH_UNITS = ("dense", "convolution", "reshape", "crop", "embedding", "gaussians")


def built(name, n_energies=N_ENERGIES):
    """Return the layers of an architecture with its default parameters."""
    return architectures.build(name, {}, N_FEATURES, n_energies)[1]


def builds_layers_of_the_closed_set(name):
    layers = built(name)
    assert layers
    for layer in layers:
        assert type(layer) is Layer
        assert layer.kind in KINDS
        assert layer.function in ACTIVATIONS
        assert 0.0 <= layer.rate < 1.0
        assert (layer.units > 0) == (layer.kind in WITH_UNITS)
        assert (layer.size > 0) == (layer.kind in ("convolution", "upsample", "reshape"))


def names_its_layers_uniquely(name):
    names = [layer.name for layer in built(name)]
    assert len(set(names)) == len(names)
    assert not set(names) & set(INPUTS)
    assert all(names)
    assert not any("/" in n for n in names)


def uses_all_its_layers(name):
    taken = {taken for _, inputs in wired(built(name)) for taken in inputs}
    *inner, _ = [layer.name for layer in built(name)]
    assert set(inner) <= taken
    assert taken >= ({*GRAPH_INPUTS} if takes_graphs(built(name)) else {FEATURES})


def ends_in_one_value_per_energy(name):
    for n_energies in (1, 2, N_ENERGIES, 32):
        layers = built(name, n_energies)
        assert shapes(layers, N_FEATURES)[layers[-1].name] == (n_energies,)


def is_rebuilt_from_its_resolved_parameters_through_json(name):
    resolved, layers = architectures.build(name, {}, N_FEATURES, N_ENERGIES)
    again, same = architectures.build(name, json.loads(json.dumps(resolved, allow_nan=False)), N_FEATURES, N_ENERGIES)
    assert again == resolved
    assert same == layers


def has_plain_layers(name):
    """Layers are plain data that ``model.json`` could hold, without weights."""
    for layer in built(name):
        values = [getattr(layer, f.name) for f in fields(layer)]
        assert all(isinstance(v, (str, int, float)) or all(isinstance(n, str) for n in v) for v in values)


def refuses_an_unknown_parameter(name):
    with pytest.raises(ModelError, match=r"^architecture \w+ has no parameter 'no_such_parameter'; [^\n]+$"):
        architectures.build(name, {"no_such_parameter": 1}, N_FEATURES, N_ENERGIES)


def names_the_nearest_parameter(name):
    for key in architectures.build(name, {}, N_FEATURES, N_ENERGIES)[0]:
        with pytest.raises(ModelError, match=rf"no parameter '{key}_'; did you mean '{key}'\?$"):
            architectures.build(name, {f"{key}_": 1}, N_FEATURES, N_ENERGIES)


def refuses_values_of_the_wrong_kind(name):
    for key in architectures.build(name, {}, N_FEATURES, N_ENERGIES)[0]:
        for value in (None, "?", -1, True, [], [0.5], {}, 1e9, float("nan")):
            with pytest.raises(ModelError, match=rf"^\w+: expected {key} as [^\n]+, received [^\n]+$"):
                architectures.build(name, {key: value}, N_FEATURES, N_ENERGIES)


def has_the_same_shapes_as_in_keras(name):
    for n_absorbers in (1, 3):
        twin = KerasTwin(network(name, n_features=N_FEATURES, n_energies=N_ENERGIES, n_absorbers=n_absorbers))
        known = shapes(built(name), N_FEATURES, n_absorbers)
        for layer in twin.plain.layers:
            if layer.name in known:
                assert layer.output.shape[1:] == known[layer.name]
        weights = {layer.name: tuple(w.shape for w in layer.get_weights()) for layer in twin.plain.layers}
        assert {n: s for n, s in weights.items() if s} == weight_shapes(built(name), N_FEATURES, n_absorbers)


def predicts_the_same_as_keras(name):
    """Without dropout, and with what a draw drops, on one site and on many, for one absorber and for several."""
    for n_absorbers, n_energies in ((1, N_ENERGIES), (3, N_ENERGIES), (2, 32), (1, 1)):
        member = network(name, n_features=N_FEATURES, n_energies=n_energies, n_absorbers=n_absorbers, index=2)
        twin, (x, absorbers) = KerasTwin(member), sites(member, 40)
        extent = float(np.ptp(member.mean_network(x, absorbers)))
        for rows in (slice(0, 1), slice(0, 40)):
            own = x[rows], absorbers[rows]
            assert_same_spectra(member.mean_network(*own), twin.mean_network(*own), extent)
            (drawn,) = member.draws(*own, [5], seed=9)
            assert_same_spectra(drawn[0], twin.draw(*own, draw=5, seed=9), extent)


def draws_do_not_depend_on_batching(name):
    member = network(name, n_features=N_FEATURES, n_energies=N_ENERGIES, n_absorbers=2)
    x, absorbers = sites(member, 9)
    whole = sample([member], x, absorbers, 7, seed=3, keep_draws=True).draws
    one_by_one = [sample([member], x[i : i + 1], absorbers[i : i + 1], 7, 3, keep_draws=True).draws for i in range(9)]
    assert_same_spectra(np.concatenate(one_by_one), whole)
    singly = [next(member.draws(x, absorbers, [draw], seed=3)) for draw in range(7)]
    assert_same_spectra(np.concatenate(singly).transpose(1, 0, 2), whole)


def draws_depend_on_seed_member_and_number(name):
    def drawn(index=0, draw=0, seed=0):
        member = network(name, n_features=N_FEATURES, n_energies=N_ENERGIES, index=index)
        return next(member.draws(*sites(member, 3), [draw], seed))

    if any(layer.kind == "dropout" and layer.rate for layer in built(name)):
        first = drawn()
        np.testing.assert_array_equal(drawn(), first)
        for other in ({"index": 1}, {"draw": 1}, {"seed": 1}):
            assert np.abs(drawn(**other) - first).max() > 1e-3 * np.ptp(first)


MODEL = (
    builds_layers_of_the_closed_set,
    names_its_layers_uniquely,
    uses_all_its_layers,
    ends_in_one_value_per_energy,
    is_rebuilt_from_its_resolved_parameters_through_json,
    has_plain_layers,
    refuses_an_unknown_parameter,
    names_the_nearest_parameter,
    refuses_values_of_the_wrong_kind,
    has_the_same_shapes_as_in_keras,
    predicts_the_same_as_keras,
    draws_do_not_depend_on_batching,
    draws_depend_on_seed_member_and_number,
)
"""Contracts of an architecture; each function takes its name."""
