"""Layers of networks, as plain data.

A network is a tuple of layers. Each layer takes outputs of earlier layers or the network's inputs, and the last one
returns the scaled spectrum. The inputs of a site are ``features`` (n_features,) and ``absorber`` (n_absorbers,), which
is 1 at the site's element and edge and 0 elsewhere. Keras (``keras_network``) and NumPy (``numpy_network``) run the
same layers.
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
        What the layer computes from an input of shape (n,) or (length, channels):

        ``dense``
            ``units`` values; weights ``kernel`` (n, units) and ``bias`` (units,).
        ``convolution``
            (length, ``units``) with a kernel of ``size`` positions and zero padding; weights ``kernel`` (size,
            channels, units) and ``bias`` (units,).
        ``activation``
            ``function`` of every value.
        ``dropout``
            Values, or whole channels, set to zero with probability ``rate`` and otherwise divided by 1 - rate; active
            in training and in prediction.
        ``add``, ``multiply``, ``concatenate``
            Sum, product or concatenation of the inputs.
        ``upsample``
            (length · ``size``, channels), with every position repeated ``size`` times.
        ``reshape``
            (``size``, ``units``) from (size · units,).
        ``crop``
            The first ``units`` values, as (units,).
    name
        Name of the layer, unique in its network and used in the weights file.
    inputs
        Names of the layers or network inputs that the layer takes; by default the previous layer.
    """

    kind: str
    name: str
    inputs: tuple[str, ...] = ()
    units: int = 0
    size: int = 0
    function: str = "linear"
    rate: float = 0.0


def wired(layers: Sequence[Layer]) -> list[tuple[Layer, tuple[str, ...]]]:
    """Return each layer with the names of its inputs.

    Raises
    ------
    ModelError
        If a name is used twice, or an input is not an earlier layer.
    """
    known, before, result = set(INPUTS), FEATURES, []
    for layer in layers:
        inputs = layer.inputs or (before,)
        if layer.name in known or not known.issuperset(inputs):
            raise ModelError(
                f"layer {layer.name}: the name is already used, or one of its inputs {inputs} is not an earlier layer"
            )
        known.add(layer.name)
        before = layer.name
        result.append((layer, inputs))
    return result


def shapes(layers: Sequence[Layer], n_features: int, n_absorbers: int = 1) -> dict[str, Shape]:
    """Return the output shape of every layer, and the shapes of the inputs, by name.

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
            raise ModelError(
                f"layer {layer.name} ({layer.kind}) does not accept inputs of shape {', '.join(map(str, taken))}"
            )
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
    """Return the shapes of kernel and bias of every layer with weights, by name."""
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
    """Return the names of the layers whose output varies between draws: dropout layers and all that follow one."""
    names: set[str] = set()
    for layer, inputs in wired(layers):
        if layer.kind == "dropout" or names.intersection(inputs):
            names.add(layer.name)
    return names


def takes_absorber(layers: Sequence[Layer]) -> bool:
    """Return whether a network uses its input ``absorber``."""
    return any(ABSORBER in layer.inputs for layer in layers)


def dropout_widths(layers: Sequence[Layer], known: Mapping[str, Shape]) -> dict[str, int]:
    """Return the length of each dropout layer's mask by name; ``known`` is the result of ``shapes``."""
    return {layer.name: known[layer.name][-1] for layer in layers if layer.kind == "dropout"}
