"""Build Keras models from layers.

Dropout does not use Keras's layer: the masks are inputs of the model, so that the caller decides what is dropped, and
training and prediction run the same network.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from xanes_hpc.models.backend import keras, tf
from xanes_hpc.models.layers import (
    FEATURES,
    N_ELEMENTS,
    OFFSETS,
    PLACES,
    RECEIVERS,
    SENDERS,
    Layer,
    Shape,
    dropout_widths,
    gaussians,
    inputs_of,
    shapes,
    wired,
)


def keras_models(
    layers: Sequence[Layer], n_features: int, n_absorbers: int, seed: int, member: int = 0
) -> tuple[keras.Model, keras.Model]:
    """Return two Keras models with the same weights: with dropout, and without.

    Both take a list of inputs, of ``inputs_of(layers)``: features (batch, n_features), or the graphs of the batch, then
    absorbers (batch, n_absorbers) if the architecture uses them. The first also takes a mask (batch, width) for every
    dropout layer, in order.

    Parameters
    ----------
    layers
        Layers of an architecture.
    n_features, n_absorbers
        Lengths of the inputs.
    seed, member
        Seed of the initial weights, which also depend on the member.
    """
    known = shapes(layers, n_features, n_absorbers)
    inputs = {name: _input(name, known) for name in inputs_of(layers)}
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
            given = [tensors[name] for name in (*taken, *PLACES_OF.get(layer.kind, ()))]
            tensors[output] = shared(given if len(given) > 1 else given[0])
    own = list(inputs.values())
    return keras.Model([*own, *masks.values()], dropped[output]), keras.Model(own, plain[output])


def _input(name: str, known: dict[str, Shape]) -> Any:
    whole = name in PLACES or name == "numbers"
    return keras.Input(known.get(name, ()), name=name, dtype="int32" if whole else "float32")


PLACES_OF = {
    "receivers": (RECEIVERS,),
    "senders": (SENDERS,),
    "messages": (RECEIVERS, SENDERS),
    "sites": (OFFSETS,),
}
"""Inputs with places that kinds of layers take beside their own."""


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
        case "embedding":
            return _Embedding(layer.units, initializer, name=layer.name)
        case "gaussians":
            return _Gaussians(layer, name=layer.name, dtype="float32")  # distances need all digits
        case "receivers" | "senders":
            return _Gather(name=layer.name)
        case "messages":
            return _Messages(name=layer.name)
        case "sites":
            return _Sites(name=layer.name)
    raise ValueError(f"unknown kind of layer: {layer.kind}")


class _Crop(keras.layers.Layer):  # type: ignore[misc]
    """Keep the first ``units`` values of each site."""

    def __init__(self, units: int, **options: Any) -> None:
        super().__init__(**options)
        self.units = units

    def call(self, inputs: Any) -> Any:
        return keras.ops.reshape(inputs, (-1, int(np.prod(inputs.shape[1:]))))[:, : self.units]


@tf.custom_gradient  # type: ignore[untyped-decorator]
def _gathered(values: Any, places: Any) -> Any:
    """Return the rows of values at some places; the gradient is a dense sum, where TensorFlow's own is sparse."""
    n_rows = tf.shape(values)[0]

    def gradient(upstream: Any) -> tuple[Any, None]:
        return tf.math.unsorted_segment_sum(upstream, places, n_rows), None

    return tf.gather(values, places), gradient


class _Embedding(keras.layers.Layer):  # type: ignore[misc]
    """Values of an atomic number: a row of the kernel, and the bias."""

    def __init__(self, units: int, initializer: Any, **options: Any) -> None:
        super().__init__(**options)
        self.kernel = self.add_weight((N_ELEMENTS, units), initializer, name="kernel")
        self.bias = self.add_weight((units,), "zeros", name="bias")
        self.built = True

    def call(self, numbers: Any) -> Any:
        return _gathered(self.kernel + self.bias, numbers)


class _Gaussians(keras.layers.Layer):  # type: ignore[misc]
    """Gaussians of a distance."""

    def __init__(self, layer: Layer, **options: Any) -> None:
        super().__init__(**options)
        self.centres, self.spacing = gaussians(layer)

    def call(self, distances: Any) -> Any:
        return tf.exp(-0.5 * tf.square((distances - self.centres) / self.spacing))


class _Gather(keras.layers.Layer):  # type: ignore[misc]
    """Values of the atom at one end of every edge."""

    def call(self, inputs: Any) -> Any:
        values, places = inputs
        return _gathered(values, places)


class _Messages(keras.layers.Layer):  # type: ignore[misc]
    """For every atom, the sum over its edges of their filters times the values of the sending atoms."""

    def call(self, inputs: Any) -> Any:
        filters, values, receivers, senders = inputs
        return tf.math.unsorted_segment_sum(filters * _gathered(values, senders), receivers, tf.shape(values)[0])


class _Sites(keras.layers.Layer):  # type: ignore[misc]
    """For every site, the sum over its atoms."""

    def call(self, inputs: Any) -> Any:
        values, offsets = inputs
        sites = tf.ragged.row_splits_to_segment_ids(offsets)
        return tf.math.unsorted_segment_sum(values, sites, tf.size(offsets) - 1)
