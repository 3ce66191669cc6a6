"""A network of our layers as Keras models."""

from collections.abc import Sequence

import keras

from xanes_hpc.models.layers import MonteCarloDropout
from xanes_hpc.models.network import Layer


def keras_models(layers: Sequence[Layer], n_features: int, seed: int) -> tuple[keras.Model, keras.Model]:
    """The network twice over the same weights: with its dropout always on, and without any.

    Parameters
    ----------
    layers
        As an architecture gives them.
    n_features
        Length of the input vectors.
    seed
        Of the initial weights and the dropout.
    """
    inputs = keras.Input((n_features,), name="features")
    stochastic = deterministic = inputs
    for i, layer in enumerate(layers):
        if layer.kind == "dense":
            start = keras.initializers.GlorotUniform(seed=seed + i)
            shared = keras.layers.Dense(layer.units, name=layer.name, kernel_initializer=start)
        elif layer.kind == "activation":
            shared = keras.layers.Activation(layer.function, name=layer.name)
        else:
            stochastic = MonteCarloDropout(layer.rate, seed + i, name=layer.name)(stochastic)
            continue
        stochastic, deterministic = shared(stochastic), shared(deterministic)
    return keras.Model(inputs, stochastic), keras.Model(inputs, deterministic)
