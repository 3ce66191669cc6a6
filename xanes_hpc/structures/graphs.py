"""Graphs of sites, as plain arrays: the atoms around each absorber, and the edges between them.

Conventions: the atoms of all graphs follow one another, and so do the edges. An edge's atoms are numbered from 0 within
its site; the first has the lower number. Edges are ordered by their first and then by their second atom. Periodic
images are atoms of their own; the absorber is not an atom of its graph. Distances are in Å.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import ConfigError

LONGEST = 20.0
"""Largest distance of a graph's settings, Å."""


@dataclass(frozen=True)
class GraphSettings:
    """Which atoms and edges the graph of a site has: equation (15) of ``kernels/README.md``.

    Attributes
    ----------
    cutoff
        Atoms closer than this to the absorber are in the graph, Å.
    bond
        Atoms closer than this to each other have an edge, unless both are hydrogen, Å.
    near
        So have atoms that are both closer than this to the absorber, Å.
    """

    cutoff: float = 6.0
    bond: float = 3.1
    near: float = 3.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= LONGEST:
                raise ConfigError(
                    f"graph.{name}: expected a distance above 0 and up to {LONGEST:g} Å, received {value!r}"
                )

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """Return the settings in a mapping.

        Raises
        ------
        ConfigError
            If a setting is missing, unknown or out of range.
        """
        names = {field.name for field in fields(cls)}
        if set(values) != names:
            raise ConfigError(
                f"graph: expected {', '.join(sorted(names))}, received {', '.join(sorted(values)) or 'none'}"
            )
        return cls(**values)

    def describe(self) -> dict[str, float]:
        """Return the settings as plain values."""
        return {name: float(value) for name, value in asdict(self).items()}

    @property
    def in_words(self) -> str:
        """The settings in words."""
        return f"atoms within {self.cutoff:g} Å; edges up to {self.bond:g} Å, and between atoms within {self.near:g} Å"

    @property
    def hash(self) -> str:
        """The hexadecimal SHA-256 of the canonical JSON of ``describe()``."""
        text = json.dumps(self.describe(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Graphs:
    """The graphs of some sites.

    Attributes
    ----------
    settings
        The settings by which atoms and edges were found.
    offsets : (n_sites + 1,) int64
        The atoms of site i are ``offsets[i]:offsets[i + 1]``.
    numbers : (n_atoms,) uint8
        Atomic numbers.
    distances : (n_atoms,) float32
        Distances from the absorber, Å.
    edge_offsets : (n_sites + 1,) int64
        The edges of site i are ``edge_offsets[i]:edge_offsets[i + 1]``.
    ends : (n_edges, 2) uint16
        The two atoms of each edge.
    lengths : (n_edges,) float32
        Distances between them, Å.
    """

    settings: GraphSettings
    offsets: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.uint8]
    distances: npt.NDArray[np.float32]
    edge_offsets: npt.NDArray[np.int64]
    ends: npt.NDArray[np.uint16]
    lengths: npt.NDArray[np.float32]

    def __len__(self) -> int:
        """Return the number of sites."""
        return self.offsets.size - 1

    def __getitem__(self, rows: slice) -> "Graphs":
        """Return consecutive sites; the arrays are shared."""
        start, stop, step = rows.indices(len(self))
        if step != 1:
            raise ValueError("expected consecutive sites; `take` returns others")
        stop = max(start, stop)
        atoms = slice(int(self.offsets[start]), int(self.offsets[stop]))
        edges = slice(int(self.edge_offsets[start]), int(self.edge_offsets[stop]))
        return Graphs(
            self.settings, self.offsets[start : stop + 1] - atoms.start, self.numbers[atoms], self.distances[atoms],
            self.edge_offsets[start : stop + 1] - edges.start, self.ends[edges], self.lengths[edges],
        )  # fmt: skip

    def __iter__(self) -> Iterator["Graphs"]:
        """Return an iterator over the sites, each as graphs of one site."""
        return (self[i : i + 1] for i in range(len(self)))

    def take(self, rows: npt.NDArray[np.integer]) -> "Graphs":
        """Return the sites at some rows, in their order."""
        return Graphs.joined([self[i : i + 1] for i in rows.tolist()] or [self[:0]])

    @classmethod
    def joined(cls, parts: Sequence["Graphs"]) -> "Graphs":
        """Return the sites of one or more graphs with the same settings, one after another."""

        def offsets(counts: list[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
            return np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int64)

        return cls(
            parts[0].settings,
            offsets([np.diff(part.offsets) for part in parts]),
            np.concatenate([part.numbers for part in parts]),
            np.concatenate([part.distances for part in parts]),
            offsets([np.diff(part.edge_offsets) for part in parts]),
            np.concatenate([part.ends for part in parts]),
            np.concatenate([part.lengths for part in parts]),
        )

    def blocks(self, most_edges: int) -> Iterator["Graphs"]:
        """Yield the sites in order, in blocks with at most ``most_edges`` edges and atoms, or of a single site."""
        ends, start = self.edge_offsets[1:] + self.offsets[1:], 0
        while start < len(self):
            before = int(self.edge_offsets[start] + self.offsets[start])
            stop = max(start + 1, int(np.searchsorted(ends, before + most_edges, side="right")))
            yield self[start:stop]
            start = stop
