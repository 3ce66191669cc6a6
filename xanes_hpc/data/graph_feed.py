"""Read shuffled batches of graphs from stores."""

from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.data.feed import Feed, Rows
from xanes_hpc.structures.graphs import Graphs

OVERHEAD = 1000
"""Approximate size of a graph's arrays in memory besides their numbers, in bytes."""


class GraphFeed(Feed):
    """A set of sites in shuffled batches, with graphs in place of features: an array of graphs of single sites."""

    graphs = True

    def _input_bytes(self) -> int:
        stores = {id(chunk.source): chunk.source.features for chunk in self._chunks}.values()
        n_bytes = sum(store.graph_bytes for store in stores)
        return OVERHEAD + n_bytes // sum(store.n_sites for store in stores)

    def _load(self, item: tuple[int, int]) -> Rows:
        _, *others = super()._load(item)
        return _each(self._sites.read_graphs(self._chunks[item[0]], item[1])), *others

    def _put_inputs(self, x: npt.NDArray[Any], places: npt.NDArray[np.integer], out: npt.NDArray[Any]) -> None:
        out[places] = x

    def _empty_inputs(self, n: int) -> npt.NDArray[Any]:
        return np.empty(n, object)


def _each(graphs: Graphs) -> npt.NDArray[np.object_]:
    """Return graphs of single sites, (n_sites,)."""
    every = np.empty(len(graphs), object)
    for i, graph in enumerate(graphs):
        every[i] = graph
    return every
