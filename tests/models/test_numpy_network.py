"""The NumPy network against Keras, and the properties of draws; ``contracts`` tests both for every architecture."""

from dataclasses import replace

import numpy as np
import pytest
from support.networks import KerasTwin, assert_same_spectra, member_of, network, scalers, sites

from xanes_hpc.models import numpy_network
from xanes_hpc.models.layers import ACTIVATIONS, Layer
from xanes_hpc.models.numpy_network import n_draws, sample

SMALL = {
    "mlp": {"hidden": [32, 16], "dropout": 0.2},
    "residual": {"width": 24, "blocks": 2, "dropout": 0.2},
    "conditioned": {"width": 24, "blocks": 1, "dropout": 0.2},
    "convolutional": {"hidden": [16], "channels": 4, "stages": 2, "kernel": 3, "dropout": 0.2},
}
every_architecture = pytest.mark.parametrize("name", SMALL)


def small(name="mlp", **others):
    """Return a small network of an architecture."""
    return network(name, SMALL[name], **others)


def drawn(members, n_sites=3, n=5, seed=0, **others):
    """Return a sample of some sites with all draws."""
    return sample(members, *sites(members[0], n_sites), n, seed, keep_draws=True, **others)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_numpy_equals_keras(activation):
    member = network("mlp", {"hidden": [32, 16], "activation": activation})
    own = sites(member, 50)
    assert_same_spectra(member.mean_network(*own), KerasTwin(member).mean_network(*own))


@every_architecture
def test_a_positive_network_equals_keras_and_is_positive(name):
    member = small(name, n_absorbers=2, positive=True)
    own, twin = sites(member, 20), KerasTwin(member)
    found = member.mean_network(*own)
    assert (found > 0).all()
    assert_same_spectra(found, twin.mean_network(*own))
    (some,) = member.draws(*own, [3], seed=1)
    assert_same_spectra(some[0], twin.draw(*own, draw=3, seed=1))


FORKED = (
    Layer("dense", "left", units=6),
    Layer("dense", "right", ("features",), units=6),
    Layer("multiply", "product", ("left", "right", "left")),
    Layer("concatenate", "joined", ("product", "absorber", "right")),
    Layer("dropout", "dropped", rate=0.5),
    Layer("reshape", "folded", size=7, units=2),
    Layer("upsample", "longer", size=3),
    Layer("convolution", "convolved", units=3, size=5),
    Layer("dropout", "dropped_channels", rate=0.4),
    Layer("crop", "output", units=11),
)
"""A network with every kind of layer that takes several inputs, and with an input that bypasses the first dropout."""


def test_a_forked_network_equals_keras():
    member = member_of(FORKED, scalers(7, 11, n_absorbers=2))
    own, twin = sites(member, 9), KerasTwin(member)
    assert_same_spectra(member.mean_network(*own), twin.mean_network(*own))
    for draw in (0, 6):
        (some,) = member.draws(*own, [draw], seed=2)
        assert_same_spectra(some[0], twin.draw(*own, draw=draw, seed=2))


def test_dropout_of_channels_drops_them_at_all_positions():
    layers = (
        Layer("reshape", "grid", size=7, units=1),
        Layer("convolution", "wide", units=50, size=1),
        Layer("dropout", "dropped", rate=0.5),
        Layer("crop", "output", units=7 * 50),
    )
    member = member_of(layers, replace(scalers(7, 350), target_mean=np.zeros((1, 350))))
    (some,) = member.draws(*sites(member, 4), range(9), seed=0)
    zero = some.reshape(9, 4, 7, 50) == 0
    assert (zero.all(axis=(1, 2)) | ~zero.any(axis=(1, 2))).all()
    assert 0.3 < zero.mean() < 0.7


def test_draws_of_a_linear_network_average_to_the_network_without_dropout():
    member = network("mlp", {"hidden": [40], "activation": "linear", "dropout": 0.3})
    x, absorbers = sites(member, 2)
    many = sample([member], x, absorbers, 20000, seed=0)
    expected = member.mean_network(x, absorbers)
    assert (np.abs(many.mean - expected) < 5.0 * many.std / np.sqrt(20000)).all()


@every_architecture
@pytest.mark.parametrize("at_once", [1, 100, 500])
def test_draws_do_not_depend_on_the_size_of_blocks(name, at_once, monkeypatch):
    member = small(name, n_absorbers=2)
    whole = drawn([member], n_sites=7, n=9)
    monkeypatch.setattr(numpy_network, "VALUES_AT_ONCE", at_once)
    some = drawn([member], n_sites=7, n=9)
    for got, expected in ((some.draws, whole.draws), (some.mean, whole.mean), (some.std, whole.std)):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


@every_architecture
def test_a_draw_is_the_same_network_for_all_sites(name):
    """Two equal sites get the same spectrum."""
    member = small(name)
    x, absorbers = sites(member, 1)
    twice = sample([member], np.repeat(x, 2, axis=0), np.repeat(absorbers, 2), 5, 0, keep_draws=True).draws
    np.testing.assert_allclose(twice[0], twice[1], rtol=1e-5, atol=1e-5)


def test_draws_depend_on_seed_and_member():
    first = drawn([small()]).mean
    np.testing.assert_array_equal(drawn([small()]).mean, first)
    assert not np.array_equal(drawn([small()], seed=1).mean, first)
    assert not np.array_equal(drawn([small(index=1)]).mean, first)


@pytest.mark.parametrize("n_members", [1, 3])
def test_more_draws_begin_with_the_same_ones(n_members):
    members = [small(index=i) for i in range(n_members)]
    few, many = (drawn(members, n=n).draws for n in (4, 9))
    np.testing.assert_allclose(few, many[:, :4], rtol=1e-5, atol=1e-6)


def test_draws_take_members_in_turn():
    members = [small(index=i) for i in range(3)]
    x, absorbers = sites(members[0], 3)
    kept = sample(members, x, absorbers, 7, seed=5, keep_draws=True).draws
    for draw in range(7):
        (own,) = members[draw % 3].draws(x, absorbers, [draw], seed=5)
        np.testing.assert_allclose(kept[:, draw], own[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("n", "kept"), [(20, 20), (2, 3)])
def test_mean_and_std_are_those_of_the_draws(n, kept):
    found = drawn([small(index=i) for i in range(3)], n=n)
    assert found.draws.shape == (3, kept, 11)
    np.testing.assert_allclose(found.mean, found.draws.mean(axis=1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.std, found.draws.std(axis=1, ddof=1), rtol=1e-4, atol=1e-6)


def test_the_standard_deviation_of_nearly_equal_draws_is_precise():
    """Even if draws differ only in the last digits of single precision, far from zero."""
    member = small()
    far = replace(member.scalers, target_mean=np.full((1, 11), 1e6), target_scale=np.full((1, 11), 1e-3))
    found = sample([replace(member, scalers=far)], *sites(member, 3), 50, 0)
    expected = 1e-3 * (drawn([member], n=50).draws / member.scalers.target_scale[0]).std(axis=1, ddof=1)
    np.testing.assert_allclose(found.std, expected, rtol=1e-3)


def test_without_dropout_every_member_is_one_draw():
    members = [replace(small(), weights=member_of(small().layers, small().scalers, seed=s).weights) for s in range(4)]
    x, absorbers = sites(members[0], 3)
    found = sample(members, x, absorbers, 100, seed=0, dropout=False, keep_draws=True)
    plain = np.stack([member.mean_network(x, absorbers) for member in members], axis=1)
    np.testing.assert_allclose(found.draws, plain, rtol=1e-6)
    np.testing.assert_allclose(found.mean, plain.mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(found.std, plain.std(axis=1, ddof=1), rtol=1e-6)


@pytest.mark.parametrize(
    ("n_members", "wanted", "dropout", "expected"),
    [(1, 100, True, 100), (3, 2, True, 3), (3, 100, False, 3), (1, 100, False, 1)],
)
def test_number_of_draws(n_members, wanted, dropout, expected):
    members = [small(index=i) for i in range(n_members)]
    assert n_draws(members, wanted, dropout) == expected
    assert drawn(members, n=wanted, dropout=dropout).draws.shape[1] == expected


def test_dropout_with_rate_zero_drops_nothing():
    member = network("mlp", {"hidden": [16], "dropout": 0.0})
    found = drawn([member], n=4)
    np.testing.assert_allclose(found.mean, member.mean_network(*sites(member, 3)), rtol=1e-6)
    np.testing.assert_allclose(found.std, 0.0, atol=1e-6)


def test_draws_of_a_network_without_dropout_layers_are_equal():
    member = member_of((Layer("dense", "output", units=11),), scalers(7, 11))
    found = drawn([member], n=4)
    assert found.draws.shape == (3, 4, 11)
    np.testing.assert_array_equal(found.std, 0.0)


@every_architecture
def test_no_sites_give_no_spectra(name):
    found = drawn([small(name, n_absorbers=2)], n_sites=0)
    assert found.mean.shape == found.std.shape == (0, 11)
    assert found.draws.shape == (0, 5, 11)


@every_architecture
def test_sampling_changes_neither_features_nor_weights(name):
    member = small(name, n_absorbers=2)
    x, absorbers = sites(member, 3)
    before = x.copy(), {n: [w.copy() for w in pair] for n, pair in member.weights.items()}
    sample([member], x, absorbers, 4, seed=0)
    np.testing.assert_array_equal(x, before[0])
    for name_, pair in member.weights.items():
        for weight, old in zip(pair, before[1][name_], strict=True):
            np.testing.assert_array_equal(weight, old)


def test_an_absorber_has_its_own_mean_and_scale():
    member = small(n_absorbers=2)
    x, _ = sites(member, 1)
    first, second = (member.mean_network(x, np.array([i]))[0] for i in (0, 1))
    own = member.scalers
    np.testing.assert_allclose(
        (first - own.target_mean[0]) / own.target_scale[0],
        (second - own.target_mean[1]) / own.target_scale[1],
        rtol=1e-4,
    )


def test_only_a_conditioned_network_distinguishes_absorbers():
    for name, distinguishes in (("conditioned", True), ("residual", False)):
        member = small(name, n_absorbers=2)
        equal = replace(
            member.scalers, target_mean=np.zeros((2, 11)), target_scale=np.ones((2, 11))
        )  # equal scalers, so that only the network makes a difference
        x, _ = sites(member, 1)
        first, second = (replace(member, scalers=equal).mean_network(x, np.array([i])) for i in (0, 1))
        assert np.array_equal(first, second) is not distinguishes
