"""Build Keras models from layers.

Dropout does not use Keras's layer: the masks are inputs of the model, so that the caller decides what is dropped, and
training and prediction run the same network.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from xanes_hpc.models.backend import keras
from xanes_hpc.models.layers import ABSORBER, FEATURES, Layer, dropout_widths, shapes, takes_absorber, wired


def keras_models(
    layers: Sequence[Layer], n_features: int, n_absorbers: int, seed: int, member: int = 0
) -> tuple[keras.Model, keras.Model]:
    """Return two Keras models with the same weights: with dropout, and without.

    Both take a list of inputs: features (batch, n_features), then absorbers (batch, n_absorbers) if the architecture
    uses them. The first also takes a mask (batch, width) for every dropout layer, in order.

    Parameters
    ----------
    layers
        Layers of an architecture.
    n_features, n_absorbers
        Lengths of the inputs.
    seed, member
        Seed of the initial weights, which also depend on the member.
    """
    inputs = {FEATURES: keras.Input((n_features,), name=FEATURES)}
    if takes_absorber(layers):
        inputs[ABSORBER] = keras.Input((n_absorbers,), name=ABSORBER)
    known = shapes(layers, n_features, n_absorbers)
    masks = {name: keras.Input((width,), name=name) for name, width in dropout_widths(layers, known).items()}
    dropped, plain = dict(inputs), dict(inputs)
    output = FEATURES
    for i, (layer, taken) in enumerate(wired(layers)):
        output = layer.name
        if layer.kind == "dropout":
            mask = masks[layer.name]
            if len(known[layer.name]) == 2:
                mask = keras.layers.Reshape((1, known[layer.name][-1]))(mask)
            dropped[output] = keras.layers.Multiply()([dropped[taken[0]], mask])
            plain[output] = plain[taken[0]]
            continue
        shared = _keras_layer(layer, int(np.random.SeedSequence([seed, member, i]).generate_state(1)[0]))
        for tensors in (dropped, plain):
            tensors[output] = shared([tensors[name] for name in taken] if len(taken) > 1 else tensors[taken[0]])
    own = list(inputs.values())
    return keras.Model([*own, *masks.values()], dropped[output]), keras.Model(own, plain[output])


def _keras_layer(layer: Layer, seed: int) -> Any:
    initializer = keras.initializers.GlorotUniform(seed=seed)
    match layer.kind:
        case "dense":
            return keras.layers.Dense(layer.units, name=layer.name, kernel_initializer=initializer)
        case "convolution":
            return keras.layers.Conv1D(
                layer.units, layer.size, padding="same", name=layer.name, kernel_initializer=initializer
            )
        case "activation":
            return keras.layers.Activation(layer.function, name=layer.name)
        case "add":
            return keras.layers.Add(name=layer.name)
        case "multiply":
            return keras.layers.Multiply(name=layer.name)
        case "concatenate":
            return keras.layers.Concatenate(name=layer.name)
        case "upsample":
            return keras.layers.UpSampling1D(layer.size, name=layer.name)
        case "reshape":
            return keras.layers.Reshape((layer.size, layer.units), name=layer.name)
        case "crop":
            return _Crop(layer.units, name=layer.name)
    raise ValueError(f"unknown kind of layer: {layer.kind}")


class _Crop(keras.layers.Layer):  # type: ignore[misc]
    """Keep the first ``units`` values of each site."""

    def __init__(self, units: int, **options: Any) -> None:
        super().__init__(**options)
        self.units = units

    def call(self, inputs: Any) -> Any:
        return keras.ops.reshape(inputs, (-1, int(np.prod(inputs.shape[1:]))))[:, : self.units]
