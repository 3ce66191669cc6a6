"""The closed set of layers that networks are made of, as plain data.

A network is a tuple of layers in an order in which each takes what earlier ones give; the last one gives the scaled
spectrum. A site comes in as the inputs ``features`` (n_features,) and ``absorber`` (n_absorbers,), a one at the
element and edge that absorbs. Keras (``keras_network``) and NumPy (``numpy_network``) run the same layers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from xanes_hpc.errors import ModelError

ACTIVATIONS = ("gelu", "relu", "silu", "tanh", "linear")
FEATURES, ABSORBER = INPUTS = ("features", "absorber")
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """One layer.

    Attributes
    ----------
    kind
        What it makes of its input, of shape (n,) or (length, channels):

        ``dense``
            ``units`` values; weights ``kernel`` (n, units) and ``bias`` (units,).
        ``convolution``
            (length, ``units``) by a kernel ``size`` positions long, zeros beyond the ends; weights ``kernel`` (size,
            channels, units) and ``bias`` (units,).
        ``activation``
            Its ``function`` of every value.
        ``dropout``
            Values, or channels at all positions, zero with probability ``rate``, the others over 1 - rate; active in
            training and in prediction.
        ``add``, ``multiply``, ``concatenate``
            Of its inputs, value by value, or one after another.
        ``upsample``
            (length · ``size``, channels), every position ``size`` times.
        ``reshape``
            (``size``, ``units``) from (size · units,).
        ``crop``
            The first ``units`` of all values, as (units,).
    name
        Unique in its network; the weights file knows the layer by it.
    inputs
        Names of the layers, or of the network's inputs, that it takes; by default the layer before it.
    """

    kind: str
    name: str
    inputs: tuple[str, ...] = ()
    units: int = 0
    size: int = 0
    function: str = "linear"
    rate: float = 0.0


def wired(layers: Sequence[Layer]) -> list[tuple[Layer, tuple[str, ...]]]:
    """Each layer with the names of what it takes.

    Raises
    ------
    ModelError
        If a name is used twice, or is of no layer before.
    """
    known, before, result = set(INPUTS), FEATURES, []
    for layer in layers:
        inputs = layer.inputs or (before,)
        if layer.name in known or not known.issuperset(inputs):
            raise ModelError(f"layer {layer.name}: its name is taken, or one of its inputs {inputs} is no layer before")
        known.add(layer.name)
        before = layer.name
        result.append((layer, inputs))
    return result


def shapes(layers: Sequence[Layer], n_features: int, n_absorbers: int = 1) -> dict[str, Shape]:
    """The shape of what every layer gives, and of the inputs, by name.

    Raises
    ------
    ModelError
        If layers do not fit together.
    """
    known: dict[str, Shape] = {FEATURES: (n_features,), ABSORBER: (n_absorbers,)}
    for layer, inputs in wired(layers):
        taken = [known[name] for name in inputs]
        given = _shape(layer, taken)
        if given is None:
            raise ModelError(f"layer {layer.name} ({layer.kind}) does not take {', '.join(map(str, taken))}")
        known[layer.name] = given
    return known


def _shape(layer: Layer, taken: list[Shape]) -> Shape | None:
    first = taken[0]
    match layer.kind:
        case "add" | "multiply" if len(set(taken)) == 1:
            return first
        case "concatenate" if all(len(shape) == 1 for shape in taken):
            return (sum(shape[0] for shape in taken),)
        case _ if len(taken) > 1:
            return None
        case "dense" if len(first) == 1:
            return (layer.units,)
        case "convolution" if len(first) == 2 and layer.size % 2:
            return (first[0], layer.units)
        case "upsample" if len(first) == 2:
            return (first[0] * layer.size, first[1])
        case "reshape" if first == (layer.size * layer.units,):
            return (layer.size, layer.units)
        case "crop" if prod(first) >= layer.units:
            return (layer.units,)
        case "activation" | "dropout":
            return first
    return None


def weight_shapes(layers: Sequence[Layer], n_features: int, n_absorbers: int = 1) -> dict[str, tuple[Shape, Shape]]:
    """Shapes of kernel and bias of every layer that has weights, by its name."""
    known = shapes(layers, n_features, n_absorbers)
    found: dict[str, tuple[Shape, Shape]] = {}
    for layer, inputs in wired(layers):
        channels = known[inputs[0]][-1]
        if layer.kind == "dense":
            found[layer.name] = ((channels, layer.units), (layer.units,))
        elif layer.kind == "convolution":
            found[layer.name] = ((layer.size, channels, layer.units), (layer.units,))
    return found


def stochastic(layers: Sequence[Layer]) -> set[str]:
    """Names of the layers that give something else in every draw: dropouts, and what comes after one."""
    names: set[str] = set()
    for layer, inputs in wired(layers):
        if layer.kind == "dropout" or names.intersection(inputs):
            names.add(layer.name)
    return names


def takes_absorber(layers: Sequence[Layer]) -> bool:
    """Whether a network knows of its input ``absorber``."""
    return any(ABSORBER in layer.inputs for layer in layers)


def dropout_widths(layers: Sequence[Layer], known: Mapping[str, Shape]) -> dict[str, int]:
    """The number of values, or channels, that each dropout keeps or drops, by its name; ``known`` are ``shapes``."""
    return {layer.name: known[layer.name][-1] for layer in layers if layer.kind == "dropout"}
