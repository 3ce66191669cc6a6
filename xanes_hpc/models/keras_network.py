"""A network of our layers as Keras models.

Dropout is no layer of Keras's: its masks are inputs, so that whoever calls the network says what is dropped, in
training as in prediction, and nothing else about the network changes with it.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from xanes_hpc.models.layers import ABSORBER, FEATURES, Layer, dropout_widths, shapes, takes_absorber, wired


def keras_models(
    layers: Sequence[Layer], n_features: int, n_absorbers: int, seed: int, member: int = 0
) -> tuple[keras.Model, keras.Model]:
    """The network twice over the same weights: with dropout, and without any.

    Both take a list: features (batch, n_features), then absorbers (batch, n_absorbers) if the architecture knows of
    them; the first takes a mask (batch, width) for every dropout layer after that, in their order.

    Parameters
    ----------
    layers
        As an architecture gives them.
    n_features, n_absorbers
        Lengths of the inputs.
    seed, member
        The initial weights depend on both.
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
    starts = list(inputs.values())
    return keras.Model([*starts, *masks.values()], dropped[output]), keras.Model(starts, plain[output])


def _keras_layer(layer: Layer, seed: int) -> Any:
    start = keras.initializers.GlorotUniform(seed=seed)
    match layer.kind:
        case "dense":
            return keras.layers.Dense(layer.units, name=layer.name, kernel_initializer=start)
        case "convolution":
            return keras.layers.Conv1D(
                layer.units, layer.size, padding="same", name=layer.name, kernel_initializer=start
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
    raise ValueError(f"layer of no known kind: {layer.kind}")


class _Crop(keras.layers.Layer):  # type: ignore[misc]
    """The first ``units`` of all values of a site."""

    def __init__(self, units: int, **options: Any) -> None:
        super().__init__(**options)
        self.units = units

    def call(self, inputs: Any) -> Any:
        return keras.ops.reshape(inputs, (-1, int(np.prod(inputs.shape[1:]))))[:, : self.units]
