"""The NumPy network against Keras, and the draws' promises."""

import numpy as np
import pytest

from xanes_hpc import models
from xanes_hpc.inference import CLIP, TRANSFORMS, Member, Scalers, sample
from xanes_hpc.models.network import ACTIVATIONS

N_FEATURES, N_ENERGIES = 7, 11


def scalers(transform: str = "none") -> Scalers:
    generator = np.random.default_rng(0)
    return Scalers(
        generator.normal(size=N_FEATURES),
        generator.uniform(0.5, 2, N_FEATURES),
        generator.normal(size=N_ENERGIES),
        generator.uniform(0.5, 2, N_ENERGIES),
        transform,
    )


def member(activation: str = "gelu", dropout: float = 0.2, index: int = 0) -> Member:
    parameters = {"hidden": [32, 16], "activation": activation, "dropout": dropout}
    _, layers = models.build("mlp", parameters, N_FEATURES, N_ENERGIES)
    generator = np.random.default_rng(4)
    weights, width = {}, N_FEATURES
    for layer in (layer for layer in layers if layer.kind == "dense"):
        kernel = generator.normal(size=(width, layer.units)).astype(np.float32) / np.sqrt(width)
        weights[layer.name] = (kernel.astype(np.float32), generator.normal(size=layer.units).astype(np.float32))
        width = layer.units
    return Member(layers, weights, scalers(), index)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_numpy_equals_keras(activation):
    from xanes_hpc.models.keras_network import keras_models

    network = member(activation)
    _, deterministic = keras_models(network.layers, N_FEATURES, seed=0)
    for layer in deterministic.layers:
        if layer.name in network.weights:
            layer.set_weights(network.weights[layer.name])
    x = np.random.default_rng(1).normal(size=(50, N_FEATURES))
    expected = network.scalers.spectra(deterministic(network.scalers.features(x)).numpy())
    np.testing.assert_allclose(network.mean_network(x), expected, rtol=1e-5, atol=1e-5)


def test_kerass_dropout_is_on_in_prediction_and_has_the_same_moments():
    from xanes_hpc.models.keras_network import keras_models

    network = member(dropout=0.3)
    stochastic, _ = keras_models(network.layers, N_FEATURES, seed=0)
    for layer in stochastic.layers:
        if layer.name in network.weights:
            layer.set_weights(network.weights[layer.name])
    x = np.random.default_rng(1).normal(size=(1, N_FEATURES))
    repeated = np.repeat(network.scalers.features(x), 20000, axis=0)
    drawn = network.scalers.spectra(stochastic.predict(repeated, verbose=0, batch_size=20000))
    ours = sample([network], x, 20000, seed=0)
    np.testing.assert_allclose(ours.std[0], drawn.std(axis=0), rtol=0.05)
    np.testing.assert_allclose(ours.mean[0], drawn.mean(axis=0), atol=5 * drawn.std() / np.sqrt(20000))


def test_draws_do_not_depend_on_batches():
    network, x = member(), np.random.default_rng(2).normal(size=(9, N_FEATURES))
    whole = sample([network], x, 5, seed=3, keep_draws=True)
    parts = [sample([network], x[i : i + 2], 5, seed=3, keep_draws=True) for i in range(0, 9, 2)]
    np.testing.assert_allclose(whole.draws, np.concatenate([p.draws for p in parts]), rtol=1e-5, atol=1e-6)


def test_draws_depend_on_seed_and_member():
    x = np.random.default_rng(2).normal(size=(3, N_FEATURES))
    first = sample([member()], x, 5, seed=0).mean
    assert np.array_equal(first, sample([member()], x, 5, seed=0).mean)
    assert not np.array_equal(first, sample([member()], x, 5, seed=1).mean)
    assert not np.array_equal(first, sample([member(index=1)], x, 5, seed=0).mean)


def test_more_draws_begin_with_the_same_ones():
    network, x = member(), np.random.default_rng(2).normal(size=(3, N_FEATURES))
    few, many = (sample([network], x, n, seed=0, keep_draws=True).draws for n in (4, 9))
    np.testing.assert_array_equal(few, many[:, :4])


def test_mean_and_std_are_those_of_the_draws():
    x = np.random.default_rng(2).normal(size=(3, N_FEATURES))
    drawn = sample([member(), member(index=1)], x, 20, seed=0, keep_draws=True)
    assert drawn.draws.shape == (3, 40, N_ENERGIES)
    np.testing.assert_allclose(drawn.mean, drawn.draws.mean(axis=1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(drawn.std, drawn.draws.std(axis=1, ddof=1), rtol=1e-4)


def test_without_dropout_all_draws_are_the_network():
    network, x = member(dropout=0.0), np.random.default_rng(2).normal(size=(3, N_FEATURES))
    drawn = sample([network], x, 4, seed=0)
    np.testing.assert_allclose(drawn.mean, network.mean_network(x), rtol=1e-6)
    np.testing.assert_allclose(drawn.std, 0.0, atol=1e-6)


def test_a_feature_far_out_is_clipped():
    x = np.full((1, N_FEATURES), 1e9)
    assert scalers().features(x).max() == CLIP


def test_the_square_root_keeps_the_sign():
    np.testing.assert_allclose(TRANSFORMS["sqrt"](np.array([-4.0, 0.0, 9.0])), [-2.0, 0.0, 3.0])


def test_scaling_goes_there_and_back():
    y = np.random.default_rng(5).normal(size=(4, N_ENERGIES))
    np.testing.assert_allclose(scalers().spectra(scalers().targets(y)), y, atol=1e-6)
