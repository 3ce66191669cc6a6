"""Find the graphs of sites in structures."""

import numpy as np

from xanes_hpc.errors import FormatError
from xanes_hpc.runtime import threads
from xanes_hpc.structures.graphs import Graphs, GraphSettings
from xanes_hpc.structures.neighbours import ROWS_AT_ONCE, neighbour_list
from xanes_hpc.structures.sites import SiteBatch
from xanes_hpc_kernels import graph_edges

MOST_ATOMS = 1 << 16
"""Largest number of atoms in the graph of a site, which are numbered with 16 bits."""


def find_graphs(batch: SiteBatch, settings: GraphSettings) -> Graphs:
    """Return the graphs of all sites of a batch, periodic images included.

    Raises
    ------
    FormatError
        If a structure's cell cannot be used, or a site has too many neighbours.
    """
    found = neighbour_list(batch, settings.cutoff)
    most = int(np.diff(found.offsets).max(initial=0))
    if most > MOST_ATOMS:
        raise FormatError(f"a site has {most:,} neighbours within {settings.cutoff:g} Å: expected up to {MOST_ATOMS:,}")
    n_sites, bond, near = batch.n_sites, settings.bond, settings.near
    counts = np.zeros(n_sites, np.int64)

    def count(start: int, stop: int) -> None:
        graph_edges.count_edges(
            found.offsets[start : stop + 1], found.distances, found.vectors, found.numbers, bond, near,
            counts[start:stop],
        )  # fmt: skip

    threads.share_out(n_sites, ROWS_AT_ONCE, count)
    edge_offsets = np.concatenate([[0], np.cumsum(counts)])
    ends = np.empty((int(edge_offsets[-1]), 2), np.uint16)
    lengths = np.empty(len(ends), np.float32)

    def find(start: int, stop: int) -> None:
        graph_edges.find_edges(
            found.offsets[start : stop + 1], found.distances, found.vectors, found.numbers, bond, near,
            edge_offsets[start : stop + 1], ends, lengths,
        )  # fmt: skip

    threads.share_out(n_sites, ROWS_AT_ONCE, find)
    return Graphs(
        settings, found.offsets, found.numbers, found.distances.astype(np.float32), edge_offsets, ends, lengths
    )
