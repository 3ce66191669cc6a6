"""Run the part of a network that is on graphs with NumPy, up to its sums over the atoms of each site."""

from collections.abc import Sequence
from functools import cache

import numpy as np

from xanes_hpc.models.graph_inputs import GraphInputs
from xanes_hpc.models.layers import RECEIVERS, SENDERS, SITE, Layer, axes, wired
from xanes_hpc.models.numpy_layers import Weights, run_layer
from xanes_hpc.models.scaling import Array
from xanes_hpc.structures.graphs import Graphs
from xanes_hpc_kernels.graph_edges import send_messages

EDGES_AT_ONCE = 8192
"""Edges and atoms that are computed at a time, so that their values stay in the processor's caches."""
SUM = "sites"
"""The kind of layers that end the part on graphs."""


@cache
def on_graphs(layers: tuple[Layer, ...]) -> tuple[tuple[Layer, tuple[str, ...], tuple[str, ...]], ...]:
    """Return the layers on graphs, with the names of their inputs, and the names that none after it needs."""
    rows, steps, needed = axes(layers), list[tuple[Layer, tuple[str, ...], tuple[str, ...]]](), set[str]()
    for layer, inputs in reversed(wired(layers)):
        if rows[layer.name] != SITE or layer.kind == SUM:
            steps.append((layer, inputs, tuple(name for name in set(inputs) if name not in needed)))
            needed.update(inputs)
    return tuple(steps[::-1])


def site_sums(layers: Sequence[Layer], weights: Weights, graphs: Graphs) -> dict[str, Array]:
    """Return the outputs of the layers that sum over atoms, (n_sites, units), by name."""
    steps = on_graphs(tuple(layers))
    found: dict[str, list[Array]] = {layer.name: [] for layer, _, _ in steps if layer.kind == SUM}
    for block in graphs.blocks(EDGES_AT_ONCE):
        given = GraphInputs.of(block)
        values = dict(given.values)
        for layer, inputs, last_used in steps:
            taken = [values[name] for name in inputs]
            if layer.kind == SUM:
                found[layer.name].append(_summed(taken[0], block))
            else:
                values[layer.name] = _run(layer, taken, weights, given)
            for name in last_used:
                del values[name]
    return {name: np.concatenate(blocks) for name, blocks in found.items()}


def _run(layer: Layer, taken: list[Array], weights: Weights, given: GraphInputs) -> Array:
    receivers, senders = given.places[RECEIVERS], given.places[SENDERS]
    match layer.kind:
        case "receivers":
            return np.take(taken[0], receivers, axis=0)
        case "senders":
            return np.take(taken[0], senders, axis=0)
        case "messages":
            summed = np.zeros_like(taken[1])
            send_messages(taken[0], taken[1], receivers, senders, summed)
            return summed
    return run_layer(layer, taken, weights)


def _summed(values: Array, graphs: Graphs) -> Array:
    """Return the sum over the atoms of each site, (n_sites, units); zero for a site without atoms."""
    summed, there = np.zeros((len(graphs), values.shape[1]), np.float32), np.diff(graphs.offsets) > 0
    if there.any():
        summed[there] = np.add.reduceat(values, graphs.offsets[:-1][there], axis=0)
    return summed
