"""The graphs of sites in a feature store: their datasets, written and read."""

import json
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import ConfigError, FormatError, StoreError, first_line
from xanes_hpc.stores import hdf5
from xanes_hpc.stores.ragged import OFFSETS, RaggedColumn, RaggedTable
from xanes_hpc.structures.graphs import Graphs, GraphSettings

ATOMS, EDGES = GROUPS = ("graph/atoms", "graph/edges")
SETTINGS, HASH = "graph", "graph_hash"
"""Attributes of the store: the settings as JSON, and their hash."""
TYPICAL_ATOMS, TYPICAL_EDGES = 64, 512
"""Numbers per site that parts are sized by."""


def graph_tables(filters: Mapping[str, Any]) -> list[RaggedTable]:
    """Return the datasets of graphs, with h5py's filters."""
    atoms = [RaggedColumn("numbers", (), np.dtype(np.uint8)), RaggedColumn("distances", (), np.dtype(np.float32))]
    edges = [RaggedColumn("ends", (2,), np.dtype(np.uint16)), RaggedColumn("lengths", (), np.dtype(np.float32))]
    return [RaggedTable(ATOMS, atoms, TYPICAL_ATOMS, filters), RaggedTable(EDGES, edges, TYPICAL_EDGES, filters)]


def write_graphs(rows: Mapping[str, Any], graphs: Graphs) -> None:
    """Append graphs to the tables of a part or a store, given by what writes to them."""
    rows[ATOMS].extend(np.diff(graphs.offsets), [graphs.numbers, graphs.distances])
    rows[EDGES].extend(np.diff(graphs.edge_offsets), [graphs.ends, graphs.lengths])


def graph_attributes(settings: GraphSettings) -> dict[str, str]:
    """Return the attributes of a store that record the settings of its graphs."""
    return {SETTINGS: json.dumps(settings.describe(), sort_keys=True), HASH: settings.hash}


class GraphStore(hdf5.Store):
    """A store whose sites may have graphs."""

    @property
    def graph(self) -> GraphSettings | None:
        """Settings of the sites' graphs; None for a store without graphs.

        Raises
        ------
        StoreError
            If they are damaged.
        """
        if not (text := self.attribute(SETTINGS)):
            return None
        try:
            return GraphSettings.read(json.loads(text))
        except (ConfigError, TypeError, ValueError) as error:
            raise StoreError(f"{self.path}: attribute {SETTINGS}: {first_line(error)}") from None

    @property
    def graph_bytes(self) -> int:
        """Size of all graphs in memory; 0 without graphs."""
        return sum(
            int(column.dtype.itemsize * column.size)
            for group in GROUPS
            if group in self.file
            for column in self.file[group].values()
        )

    def read_graphs(self, start: int, stop: int) -> Graphs:
        """Return the graphs of sites ``start:stop``.

        Raises
        ------
        StoreError
            If the store has none, or the data are damaged.
        """
        if (settings := self.graph) is None:
            raise StoreError(f"{self.path}: has no graphs; featurise the structures again, with graphs (`graph`)")
        try:
            with hdf5.reading(self.path):
                return _read(self.file, settings, start, stop)
        except FormatError as error:
            raise StoreError(f"{self.path}: {error}; create the file again") from None


def _read(file: h5py.File, settings: GraphSettings, start: int, stop: int) -> Graphs:
    """Return the graphs of sites ``start:stop``.

    Raises
    ------
    FormatError
        If offsets do not ascend, or an edge has an atom that its site lacks.
    """
    found: dict[str, npt.NDArray[Any]] = {}
    for name in (ATOMS, EDGES):
        group = file[name]
        offsets = group[OFFSETS][start : stop + 1]
        n_rows = group["distances" if name == ATOMS else "lengths"].shape[0]
        if offsets[0] < 0 or offsets[-1] > n_rows or (np.diff(offsets) < 0).any():
            raise FormatError(f"{name}/{OFFSETS}: expected ascending numbers up to {n_rows}")
        rows = slice(int(offsets[0]), int(offsets[-1]))
        found |= {f"{name}/{column}": group[column][rows] for column in group if column != OFFSETS}
        found[name] = offsets - offsets[0]
    n_atoms_e = np.repeat(np.diff(found[ATOMS]), np.diff(found[EDGES]))
    ends = found[f"{EDGES}/ends"]
    if not ((ends[:, 0] < ends[:, 1]) & (ends[:, 1] < n_atoms_e)).all():
        raise FormatError(f"{EDGES}/ends: expected two ascending numbers of atoms of the edge's site")
    return Graphs(
        settings, found[ATOMS], found[f"{ATOMS}/numbers"], found[f"{ATOMS}/distances"],
        found[EDGES], ends, found[f"{EDGES}/lengths"],
    )  # fmt: skip
