"""What a network on graphs takes: the atoms of some sites, and their edges in both directions."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from xanes_hpc.models.layers import ATOM, EDGE, GRAPH_INPUTS, OFFSETS, PLACES, RECEIVERS, SENDERS
from xanes_hpc.models.scaling import Array
from xanes_hpc.structures.graphs import Graphs
from xanes_hpc_kernels.graph_edges import direct_edges, fade_atoms

FADING = 0.5
"""Range before a cutoff in which an edge or an atom fades away, Å."""


@dataclass(frozen=True)
class GraphInputs:
    """The inputs of a network on graphs.

    Attributes
    ----------
    values
        The inputs ``layers.GRAPH_INPUTS`` by name, float32, and atomic numbers as int32.
    places
        The inputs ``layers.PLACES`` by name, int32: ``offsets`` (n_sites + 1,) of the sites' atoms, and the atoms that
        are ``receivers`` and ``senders`` (n_directions,) of the edges.
    """

    values: dict[str, Array]
    places: dict[str, npt.NDArray[np.int32]]

    @classmethod
    def of(cls, graphs: Graphs) -> Self:
        """Return the inputs of some sites.

        Every edge is there in both directions, ordered by receiving and then by sending atom. Its strength, equation
        (16) of ``kernels/README.md``, and that of an atom fall to zero at the cutoffs of the graphs.
        """
        n_directions, settings = 2 * len(graphs.ends), graphs.settings
        rows = {ATOM: graphs.numbers.size, EDGE: n_directions}
        values: dict[str, Any] = {
            name: np.empty((rows[axis], *shape), np.float32) for name, (axis, shape) in GRAPH_INPUTS.items()
        }
        values["numbers"] = graphs.numbers.astype(np.int32)
        values["distances"] = graphs.distances[:, None]
        places = {name: np.empty(n_directions, np.int32) for name in (RECEIVERS, SENDERS)}
        places[OFFSETS] = graphs.offsets.astype(np.int32)
        fade_atoms(graphs.distances, settings.cutoff, FADING, values["fades"][:, 0])
        direct_edges(
            graphs.offsets, graphs.distances, graphs.edge_offsets, graphs.ends, graphs.lengths,
            settings.bond, settings.near, FADING, places[RECEIVERS], places[SENDERS],
            values["lengths"][:, 0], values["cosines"], values["strengths"][:, 0],
        )  # fmt: skip
        return cls(values, places)

    def arrays(self) -> tuple[npt.NDArray[Any], ...]:
        """Return all inputs, in the order of ``layers.inputs_of``."""
        return *(self.values[name] for name in GRAPH_INPUTS), *(self.places[name] for name in PLACES)
