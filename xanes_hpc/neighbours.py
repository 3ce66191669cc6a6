"""Neighbour lists of absorption sites, in compressed rows by site."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import FormatError
from xanes_hpc.records import Structure
from xanes_hpc.sites import SiteBatch
from xanes_hpc_kernels.neighbours import find_pairs, first_pair

COINCIDENT = 0.1
"""Two atoms closer than this (Å) stand on one spot."""


@dataclass(frozen=True)
class NeighbourList:
    """Pairs (site, neighbour) with 0 < distance < cutoff.

    The pairs of site i are the rows ``offsets[i]:offsets[i + 1]``, ordered by atom, then by image. Vectors
    point from the site to the neighbour: position of the atom + shift . cell - position of the site.

    Attributes
    ----------
    offsets : (n_sites + 1,) int64
    atoms : (n_pairs,) int64, counted over the atoms of the batch
    shifts : (n_pairs, 3) int64, in cell vectors
    vectors : (n_pairs, 3) float64, Å
    distances : (n_pairs,) float64, Å
    """

    offsets: npt.NDArray[np.int64]
    atoms: npt.NDArray[np.int64]
    shifts: npt.NDArray[np.int64]
    vectors: npt.NDArray[np.float64]
    distances: npt.NDArray[np.float64]


def neighbour_list(batch: SiteBatch, cutoff: float) -> NeighbourList:
    """Neighbours of every site of ``batch`` closer than ``cutoff`` (Å), periodic images included.

    Raises
    ------
    FormatError
        If a structure is periodic along a direction without a cell vector, or its cell has no volume or is not finite.
    """
    cells, inverses = _completed_cells(batch)
    atoms_i = batch.offsets[batch.site_structures] + batch.site_atoms
    counts = np.empty(batch.n_sites, np.int64)

    def scan(starts: npt.NDArray[np.int64], n_pairs: int) -> tuple[npt.NDArray[Any], ...]:
        pairs = (
            np.empty(n_pairs, np.int64),
            np.empty((n_pairs, 3), np.int64),
            np.empty((n_pairs, 3)),
            np.empty(n_pairs),
        )
        find_pairs(
            atoms_i, batch.site_structures, batch.offsets, batch.positions, cells, inverses, batch.pbc, float(cutoff),
            starts, counts, *pairs,
        )  # fmt: skip
        return pairs

    scan(np.full(batch.n_sites, -1, np.int64), 0)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    return NeighbourList(offsets, *scan(offsets[:-1].copy(), int(offsets[-1])))


def coincident_atoms(structure: Structure) -> tuple[int, int, float] | None:
    """Two atoms of a structure (or an atom and an image) on one spot, and their distance in Å; None if all stand apart.

    Raises
    ------
    FormatError
        As ``neighbour_list``.
    """
    batch = SiteBatch(
        structure.numbers,
        structure.positions,
        np.array([0, structure.numbers.size]),
        structure.cell[None],
        structure.pbc[None],
        np.empty(0, np.int64),
        np.empty(0, np.int64),
    )
    cells, inverses = _completed_cells(batch)
    first, second, distance = first_pair(structure.positions, cells[0], inverses[0], structure.pbc, COINCIDENT)
    return None if first < 0 else (first, second, distance)


def _completed_cells(batch: SiteBatch) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Cells with unit vectors put in along aperiodic directions, and their inverses."""
    cells = batch.cells.copy()
    inverses = np.zeros_like(cells)
    for s in np.flatnonzero(batch.pbc.any(axis=1)):
        if not np.isfinite(cells[s]).all():
            raise FormatError(f"structure {s} of the batch has a cell with NaN or infinity")
        missing = np.linalg.norm(cells[s], axis=1) < 1e-12
        if (missing & batch.pbc[s]).any():
            raise FormatError(f"structure {s} of the batch is periodic along a direction without a cell vector")
        # Along an aperiodic direction only the spacing of the others' planes matters: complete with their normals.
        aperiodic = ~batch.pbc[s]
        basis = cells[s][~aperiodic]
        _, _, rows = np.linalg.svd(basis)
        cells[s][aperiodic] = rows[len(basis) :]
        if abs(np.linalg.det(cells[s])) < 1e-9:
            raise FormatError(f"structure {s} of the batch has a cell without volume")
        inverses[s] = np.linalg.inv(cells[s])
    return cells, inverses
