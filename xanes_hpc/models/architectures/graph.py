"""A network on the graphs of sites: atoms around the absorber exchange messages along edges, the absorber reads all.

Messages are those of continuous-filter convolutions (Schütt et al., doi:10.1063/1.5019779), with filters that know the
whole triangle of an edge and the absorber: its three sides and angles. ``featurise --graph`` makes the graphs.
"""

from collections.abc import Mapping
from typing import Any

from xanes_hpc.models.architectures._parameters import resolve
from xanes_hpc.models.layers import ABSORBER, Layer

DEFAULTS: dict[str, Any] = {
    "channels": 64,
    "layers": 3,
    "filters": 32,
    "radial": 24,
    "width": 384,
    "blocks": 1,
    "activation": "silu",
    "dropout": 0.1,
}
REACH = 6.0
"""Centre of the last Gaussian of a distance, Å."""


def graph(parameters: Mapping[str, Any], n_features: int, n_energies: int) -> tuple[dict[str, Any], tuple[Layer, ...]]:
    """Return ``layers`` rounds of messages between atoms of ``channels`` values, and a residual head of ``width``.

    Distances become ``radial`` Gaussians. Filters of messages come from a layer of ``filters`` values per edge. The
    absorber sums over the atoms before the first and after every round. Dropout is in the head alone.

    Raises
    ------
    ModelError
        If a parameter is unknown or out of range.
    """
    resolved = resolve("graph", parameters, DEFAULTS)
    layers = _edges(resolved)
    states = ["state_0"]
    for i in range(resolved["layers"]):
        layers += _round(i, states[-1], resolved)
        states.append(layers[-1].name)
    for i, state in enumerate(states):
        layers += _reading(i, state, resolved)
    layers.append(Layer("concatenate", "readings", tuple(f"reading_{i}" for i in range(len(states)))))
    return resolved, (*layers, *_head(resolved), Layer("dense", "output", units=n_energies))


PLUGIN = graph


def _edges(resolved: dict[str, Any]) -> list[Layer]:
    """Return what comes before the first round: the atoms' first states, and the hidden layers of all filters."""
    channels, filters, activation = resolved["channels"], resolved["filters"], resolved["activation"]
    return [
        Layer("gaussians", "atom_radial", ("distances",), units=resolved["radial"], reach=REACH),
        Layer("embedding", "elements", ("numbers",), units=channels),
        Layer("dense", "distance_state", ("atom_radial",), units=channels),
        Layer("add", "state_0", ("elements", "distance_state")),
        Layer("dense", "atom_filter", ("atom_radial",), units=filters),
        Layer("activation", "atom_hidden", function=activation),
        Layer("gaussians", "edge_radial", ("lengths",), units=resolved["radial"], reach=REACH),
        Layer("concatenate", "triangle", ("edge_radial", "cosines")),
        Layer("dense", "edge_filter", units=filters),
        Layer("dense", "receiver_filter", ("atom_radial",), units=filters),
        Layer("receivers", "receiver_side"),
        Layer("dense", "sender_filter", ("atom_radial",), units=filters),
        Layer("senders", "sender_side"),
        Layer("add", "whole_filter", ("edge_filter", "receiver_side", "sender_side")),
        Layer("activation", "edge_hidden", function=activation),
    ]


def _round(i: int, state: str, resolved: dict[str, Any]) -> list[Layer]:
    """Return a round of messages, after which every atom's state has changed."""
    channels = resolved["channels"]
    return [
        Layer("dense", f"filter_{i}", ("edge_hidden",), units=channels),
        Layer("multiply", f"faded_{i}", (f"filter_{i}", "strengths")),
        Layer("dense", f"sent_{i}", (state,), units=channels),
        Layer("messages", f"messages_{i}", (f"faded_{i}", f"sent_{i}")),
        Layer("concatenate", f"known_{i}", (state, f"messages_{i}")),
        Layer("dense", f"update_{i}", units=channels),
        Layer("activation", f"update_activation_{i}", function=resolved["activation"]),
        Layer("dense", f"change_{i}", units=channels),
        Layer("add", f"state_{i + 1}", (state, f"change_{i}")),
    ]


def _reading(i: int, state: str, resolved: dict[str, Any]) -> list[Layer]:
    """Return a sum over the atoms of each site, weighted by distance."""
    channels = resolved["channels"]
    return [
        Layer("dense", f"reading_filter_{i}", ("atom_hidden",), units=channels),
        Layer("dense", f"read_{i}", (state,), units=channels),
        Layer("multiply", f"weighted_{i}", (f"read_{i}", f"reading_filter_{i}")),
        Layer("multiply", f"reading_faded_{i}", (f"weighted_{i}", "fades")),
        Layer("sites", f"reading_{i}"),
    ]


def _head(resolved: dict[str, Any]) -> list[Layer]:
    """Return a hidden layer, which also knows element and edge, and more, each added to its input."""
    width, activation, rate = resolved["width"], resolved["activation"], float(resolved["dropout"])
    layers = [
        Layer("dense", "absorber_0", (ABSORBER,), units=width),
        Layer("dense", "hidden_0", ("readings",), units=width),
        Layer("add", "joined", ("hidden_0", "absorber_0")),
        Layer("activation", "activation_0", function=activation),
        Layer("dropout", "dropout_0", rate=rate),
    ]
    for i in range(1, resolved["blocks"] + 1):
        before = layers[-1].name
        layers += [
            Layer("dense", f"hidden_{i}", units=width),
            Layer("activation", f"activation_{i}", function=activation),
            Layer("dropout", f"dropout_{i}", rate=rate),
            Layer("add", f"sum_{i}", (before, f"dropout_{i}")),
        ]
    return layers
