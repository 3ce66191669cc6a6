"""Layers of networks, as plain data.

A network is a tuple of layers. Each layer takes outputs of earlier layers or the network's inputs, and the last one
returns the scaled spectrum. The inputs of a site are ``features`` (n_features,) and ``absorber`` (n_absorbers,), which
is 1 at the site's element and edge and 0 elsewhere. A network on graphs takes ``GRAPH_INPUTS`` instead of features:
some of its layers have one row per atom, or per direction of an edge, until ``sites`` sums over the atoms of each site.
Keras (``keras_network``) and NumPy (``numpy_network``) run the same layers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import ModelError

ACTIVATIONS = ("gelu", "relu", "silu", "tanh", "linear")
FEATURES, ABSORBER = INPUTS = ("features", "absorber")
Shape = tuple[int, ...]
SITE, ATOM, EDGE = AXES = ("site", "atom", "edge")
"""What the rows of a layer's output are."""
GRAPH_INPUTS: dict[str, tuple[str, Shape]] = {
    "numbers": (ATOM, ()),
    "distances": (ATOM, (1,)),
    "fades": (ATOM, (1,)),
    "lengths": (EDGE, (1,)),
    "cosines": (EDGE, (3,)),
    "strengths": (EDGE, (1,)),
}
"""Inputs of a network on graphs, with their rows and shape: atomic numbers; distances from the absorber, and the
strength by which an atom fades away at the cutoff; lengths of edges, cosines of the angles at absorber, receiver and
sender, and strengths."""
OFFSETS, RECEIVERS, SENDERS = PLACES = ("offsets", "receivers", "senders")
"""Where sites, and the ends of edges, are among the atoms."""
FIRST_CENTRE = 0.5
"""Centre of the first Gaussian of a distance, Å."""
N_ELEMENTS = 119
"""Number of rows of an embedding: atomic numbers up to 118."""


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
        ``embedding``
            ``units`` values of an atomic number; weights ``kernel`` (``N_ELEMENTS``, units) and ``bias`` (units,).
        ``gaussians``
            ``units`` Gaussians of a distance, equally spaced from ``FIRST_CENTRE`` to ``reach``, Å.
        ``receivers``, ``senders``
            For every edge, the values of its receiving or sending atom.
        ``messages``
            For every atom, the sum over its edges of the first input times that of the sending atom in the second.
        ``sites``
            For every site, the sum over its atoms.
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
    reach: float = 0.0


def wired(layers: Sequence[Layer]) -> list[tuple[Layer, tuple[str, ...]]]:
    """Return each layer with the names of its inputs.

    Raises
    ------
    ModelError
        If a name is used twice, or an input is not an earlier layer.
    """
    known, before, result = {*INPUTS, *GRAPH_INPUTS}, FEATURES, []
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
    known |= {name: shape for name, (_, shape) in GRAPH_INPUTS.items()}
    axes(layers)
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
        case "multiply" if set(taken[1:]) == {(1,)}:
            return first
        case "messages" if len(taken) == 2 and first == taken[1]:
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
        case "embedding" if not first:
            return (layer.units,)
        case "gaussians" if first == (1,) and layer.units > 1:
            return (layer.units,)
        case "activation" | "dropout" | "receivers" | "senders" | "sites":
            return first
    return None


_MOVES = {
    "receivers": ((ATOM,), EDGE),
    "senders": ((ATOM,), EDGE),
    "messages": ((EDGE, ATOM), ATOM),
    "sites": ((ATOM,), SITE),
}
"""Kinds of layers whose output has other rows than their inputs: the rows of both."""


def axes(layers: Sequence[Layer]) -> dict[str, str]:
    """Return what the rows of every layer's output, and of the inputs, are, by name.

    Raises
    ------
    ModelError
        If layers do not fit together.
    """
    known = dict.fromkeys(INPUTS, SITE) | {name: axis for name, (axis, _) in GRAPH_INPUTS.items()}
    for layer, inputs in wired(layers):
        taken = tuple(known[name] for name in inputs)
        wanted, given = _MOVES.get(layer.kind, ((taken[0],) * len(taken), taken[0]))
        if taken != wanted or (layer.kind == "dropout" and given != SITE):
            raise ModelError(f"layer {layer.name} ({layer.kind}) does not accept inputs by {', '.join(taken)}")
        known[layer.name] = given
    return known


def weight_shapes(layers: Sequence[Layer], n_features: int, n_absorbers: int = 1) -> dict[str, tuple[Shape, Shape]]:
    """Return the shapes of kernel and bias of every layer with weights, by name."""
    known = shapes(layers, n_features, n_absorbers)
    found: dict[str, tuple[Shape, Shape]] = {}
    for layer, inputs in wired(layers):
        if layer.kind == "dense":
            found[layer.name] = ((known[inputs[0]][-1], layer.units), (layer.units,))
        elif layer.kind == "convolution":
            found[layer.name] = ((layer.size, known[inputs[0]][-1], layer.units), (layer.units,))
        elif layer.kind == "embedding":
            found[layer.name] = ((N_ELEMENTS, layer.units), (layer.units,))
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


def takes_graphs(layers: Sequence[Layer]) -> bool:
    """Return whether a network runs on graphs of sites instead of their features."""
    return any(name in GRAPH_INPUTS for layer in layers for name in layer.inputs)


def gaussians(layer: Layer) -> tuple[npt.NDArray[np.float32], np.float32]:
    """Return centres, (units,), and spacing of a layer's Gaussians; the spacing is also their standard deviation."""
    centres = np.linspace(FIRST_CENTRE, layer.reach, layer.units)
    return centres.astype(np.float32), np.float32(centres[1] - centres[0])


def inputs_of(layers: Sequence[Layer]) -> tuple[str, ...]:
    """Return the names of a network's inputs, in the order in which Keras takes them."""
    own = (*GRAPH_INPUTS, *PLACES) if takes_graphs(layers) else (FEATURES,)
    return (*own, *((ABSORBER,) if takes_absorber(layers) else ()))


def dropout_widths(layers: Sequence[Layer], known: Mapping[str, Shape]) -> dict[str, int]:
    """Return the length of each dropout layer's mask by name; ``known`` is the result of ``shapes``."""
    return {layer.name: known[layer.name][-1] for layer in layers if layer.kind == "dropout"}
