"""Neighbour lists of absorption sites, in compressed rows by site."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols, covalent_radii

from xanes_hpc.errors import FormatError
from xanes_hpc.runtime import threads
from xanes_hpc.structures.sites import SiteBatch
from xanes_hpc.structures.structure import Structure
from xanes_hpc_kernels import cell_lists
from xanes_hpc_kernels import neighbours as kernels
from xanes_hpc_kernels.compaction import LANES

LARGEST = 1e6
"""Largest allowed coordinate of an atom or a cell vector, Å."""
WITHOUT_CELL = np.eye(3)
"""Cell and inverse of a structure that is not periodic."""
COINCIDENT = 0.1
"""Atoms closer than this (Å) coincide."""
FLATTEST = 0.05
"""Smallest allowed spacing of lattice planes along a periodic direction, Å."""
NEAREST = 0.5
"""Fraction of the sum of two covalent radii below which atoms are too near."""
WORTH_SORTING = 200_000
"""A structure with at least this many pairs (site, atom of the structure) has its atoms sorted into bins."""
Columns = tuple[
    npt.NDArray[np.int64],
    npt.NDArray[np.uint8],
    npt.NDArray[np.int32],
    npt.NDArray[np.float64],
    npt.NDArray[np.float64],
]
"""The arrays of ``NeighbourList`` with one row per pair."""
MOST_BINS = 64
"""Maximum number of bins along one direction; more would only cost memory."""
FARTHEST = 1e5
"""Distance from the origin, in cutoffs, beyond which wrapping atoms into the cell loses digits that bins need."""
Rows = npt.NDArray[np.int64]
ShareOut = Callable[[int, int, Callable[[int, int], None]], None]
"""The type of ``threads.share_out``."""
ROWS_AT_ONCE = 512


def _on_this_thread(n_rows: int, at_once: int, work: Callable[[int, int], None]) -> None:
    if n_rows:
        work(0, n_rows)


@dataclass(frozen=True)
class NeighbourList:
    """Pairs of a site and an atom, or image of an atom, closer than the cutoff.

    The pairs of site i are the rows ``offsets[i]:offsets[i + 1]``, ordered by atom, then by image. Vectors point
    from the site to the neighbour: position of the atom + shift . cell - position of the site.

    Attributes
    ----------
    offsets : (n_sites + 1,) int64
    atoms : (n_pairs,) int64, indices into the atoms of the batch
    numbers : (n_pairs,) uint8, atomic numbers of the neighbours
    shifts : (n_pairs, 3) int32, in cell vectors
    vectors : (n_pairs, 3) float64, Å
    distances : (n_pairs,) float64, Å
    """

    offsets: npt.NDArray[np.int64]
    atoms: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.uint8]
    shifts: npt.NDArray[np.int32]
    vectors: npt.NDArray[np.float64]
    distances: npt.NDArray[np.float64]

    def within(self, cutoff: float) -> "NeighbourList":
        """Return the pairs closer than ``cutoff`` (Å), in the same order."""
        rows = np.flatnonzero(self.distances < cutoff)
        offsets = np.searchsorted(rows, self.offsets)
        return NeighbourList(
            offsets, self.atoms[rows], self.numbers[rows], self.shifts[rows], self.vectors[rows], self.distances[rows]
        )


class NeighbourSearch:
    """A search for the neighbours of a batch's sites within ``cutoff`` (Å), periodic images included.

    Cells are inverted once, and the atoms of large structures with many sites are sorted into bins once. Sites can then
    be searched a range at a time. Pairs and their order are the same, bit for bit, with and without bins.

    Raises
    ------
    FormatError
        If a structure is periodic along a direction without a cell vector, or its cell is not finite or has no volume.
    """

    def __init__(self, batch: SiteBatch, cutoff: float) -> None:
        self._batch, self._cutoff = batch, float(cutoff)
        self._cells, self._inverses = _completed_cells(batch)
        self._atoms_i = batch.offsets[batch.site_structures] + batch.site_atoms
        n_sites_s = np.bincount(batch.site_structures, minlength=batch.offsets.size - 1)
        self._bins = {
            s: _Bins(batch, s, self._cells[s], self._inverses[s], self._cutoff)
            for s in np.flatnonzero(n_sites_s * np.diff(batch.offsets) >= WORTH_SORTING).tolist()
            if self._farthest(s) < FARTHEST * self._cutoff
        }

    def counts(self, start: int, stop: int, share_out: ShareOut = _on_this_thread) -> npt.NDArray[np.int64]:
        """Return the number of pairs of each site in ``start:stop``; ``share_out`` divides the sites among threads."""
        counts = np.empty(stop - start, np.int64)
        self._scan(start, stop, np.full(counts.size, -1, np.int64), counts, 0, share_out)
        return counts

    def pairs(
        self,
        start: int = 0,
        stop: int | None = None,
        counts: npt.NDArray[np.int64] | None = None,
        share_out: ShareOut = _on_this_thread,
    ) -> NeighbourList:
        """Return the neighbours of sites ``start:stop``, by default all; pass ``counts`` if they are known already."""
        stop = self._batch.n_sites if stop is None else min(stop, self._batch.n_sites)
        counts = self.counts(start, stop, share_out) if counts is None else counts
        offsets = np.concatenate([[0], np.cumsum(counts)])
        columns = self._scan(start, stop, offsets[:-1].copy(), counts.copy(), int(offsets[-1]), share_out)
        return NeighbourList(offsets, *columns)

    def _scan(self, start: int, stop: int, starts: Rows, counts: Rows, n_pairs: int, share_out: ShareOut) -> Columns:
        """Count the pairs of each site, and write them where ``starts`` is not negative."""
        batch = self._batch
        structures, atoms_i = batch.site_structures[start:stop], self._atoms_i[start:stop]
        binned = np.isin(structures, list(self._bins)) if self._bins else np.zeros(atoms_i.size, np.bool_)
        rows = np.flatnonzero(~binned)
        columns = (
            np.empty(n_pairs, np.int64),
            np.empty(n_pairs, np.uint8),
            np.empty((n_pairs, 3), np.int32),
            np.empty((n_pairs, 3)),
            np.empty(n_pairs),
        )

        def scan_rows(first: int, last: int) -> None:
            kernels.find_pairs(
                rows[first:last], atoms_i, structures, batch.offsets, batch.numbers, batch.positions, self._cells,
                self._inverses, batch.pbc, self._cutoff, starts, counts, *columns,
            )  # fmt: skip

        share_out(rows.size, ROWS_AT_ONCE, scan_rows)
        for s in np.unique(structures[binned]).tolist():
            its_rows = np.flatnonzero(structures == s)

            def scan_binned(first: int, last: int, bins: _Bins = self._bins[s], r: Rows = its_rows) -> None:
                bins.find_pairs(r[first:last], atoms_i, starts, counts, columns)

            share_out(its_rows.size, ROWS_AT_ONCE, scan_binned)
        return columns

    def _farthest(self, s: int) -> float:
        """Return a bound (Å) on the numbers that occur when a structure's atoms are wrapped into its cell."""
        positions = self._batch.positions[self._batch.offsets[s] : self._batch.offsets[s + 1]]
        lengths, skew = np.linalg.norm(self._cells[s], axis=1), np.linalg.norm(self._inverses[s], axis=0)
        return float(max(np.abs(positions).max(), lengths.max()) * (lengths * skew).max())


class _Bins:
    """The atoms of one structure in bins at least as thick as the cutoff, unless the structure is too small."""

    def __init__(
        self,
        batch: SiteBatch,
        structure: int,
        cell: npt.NDArray[np.float64],
        inverse: npt.NDArray[np.float64],
        cutoff: float,
    ) -> None:
        self._first, last = (int(a) for a in batch.offsets[structure : structure + 2])
        self._numbers, self._positions = batch.numbers[self._first : last], batch.positions[self._first : last]
        self._cell, self._pbc, self._cutoff = cell, batch.pbc[structure], cutoff
        n_atoms = len(self._positions)
        thickness = 1.0 / np.linalg.norm(inverse, axis=0)
        fractions = self._positions @ inverse
        low = np.where(self._pbc, 0.0, fractions.min(axis=0))
        extent = np.where(self._pbc, 1.0, fractions.max(axis=0) - low)
        room = extent * thickness / (cutoff * (1.0 + 1e-9))
        room = np.clip(room, 1, MOST_BINS)
        self._n_bins = np.maximum(room * min(1.0, (2.0 * n_atoms / room.prod()) ** (1 / 3)), 1).astype(np.int64)
        width = np.maximum(extent, 1e-9) / self._n_bins
        self._reach = np.ceil(cutoff * (1.0 + 1e-9) / (width * thickness)).astype(np.int64)
        self._reach[~self._pbc] = np.minimum(self._reach, self._n_bins)[~self._pbc]
        self._wraps, self._bins = np.empty((n_atoms, 3), np.int64), np.empty((n_atoms, 3), np.int64)
        self._starts, self._order = np.empty(int(self._n_bins.prod()) + 1, np.int64), np.empty(n_atoms, np.int64)
        self._wrapped = np.zeros((3, n_atoms + LANES))
        cell_lists.sort_into_bins(
            self._positions, cell, inverse, self._pbc, low, width, self._n_bins,
            self._wraps, self._bins, self._starts, self._order, self._wrapped,
        )  # fmt: skip

    def find_pairs(
        self,
        rows: npt.NDArray[np.int64],
        atoms_i: npt.NDArray[np.int64],
        starts: npt.NDArray[np.int64],
        counts: npt.NDArray[np.int64],
        columns: Columns,
    ) -> None:
        cell_lists.find_pairs(
            rows, atoms_i, self._first, self._numbers, self._positions, self._cell, self._pbc, self._cutoff,
            self._reach, self._n_bins, self._wraps, self._bins, self._starts, self._order, self._wrapped,
            starts, counts, *columns,
        )  # fmt: skip


def neighbour_list(batch: SiteBatch, cutoff: float) -> NeighbourList:
    """Return the neighbours of every site of ``batch`` within ``cutoff`` (Å), periodic images included.

    Raises
    ------
    FormatError
        As ``NeighbourSearch``.
    """
    return NeighbourSearch(batch, cutoff).pairs(share_out=threads.share_out)


def nearest_allowed(numbers: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Return radii, Å, (n_atoms,): two atoms closer than the sum of theirs are impossibly near."""
    return np.asarray(np.maximum(NEAREST * covalent_radii[numbers], 0.5 * COINCIDENT))


def check_distances(structure: Structure) -> None:
    """Raise an error if atoms (or an atom and an image) are impossibly near, or coordinates or the cell are unusable.

    Atoms are too near below ``NEAREST`` of the sum of their covalent radii (Cordero et al., doi:10.1039/b801115j): no
    bond is that short, but alternative positions of a disordered structure can be.

    Raises
    ------
    FormatError
        If so; the message names the structure, and the two atoms or the fault of the cell.
    """
    largest = max(float(np.abs(values).max(initial=0.0)) for values in (structure.positions, structure.cell))
    if not largest <= LARGEST:
        raise FormatError(f"{structure.name}: expected coordinates within ±{LARGEST:,.0f} Å, received {largest:g}")
    cell, inverse = (WITHOUT_CELL, WITHOUT_CELL) if not structure.pbc.any() else _completed_cell(structure)
    radii = nearest_allowed(structure.numbers)
    first, second, apart = kernels.first_pair(structure.positions, cell, inverse, structure.pbc, radii)
    if first >= 0:
        if apart < COINCIDENT:
            raise FormatError(f"{structure.name}: atoms {first} and {second} coincide: they are {apart:.3f} Å apart")
        elements = " and ".join(chemical_symbols[structure.numbers[a]] for a in (first, second))
        raise FormatError(
            f"{structure.name}: atoms {first} and {second} ({elements}) are {apart:.3f} Å apart, closer than any bond; "
            f"expected {radii[[first, second]].sum():.2f} Å or more: is it disordered, or in another unit?"
        )


def _completed_cell(structure: Structure) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return what ``_completed_cells`` does, for one structure."""
    none, offsets = np.empty(0, np.int64), np.array([0, structure.numbers.size])
    batch = SiteBatch(
        structure.numbers, structure.positions, offsets, structure.cell[None], structure.pbc[None], none, none
    )
    try:
        cells, inverses = _completed_cells(batch)
    except FormatError as error:
        raise FormatError(str(error).replace("structure 0 of the batch", structure.name)) from None
    return cells[0], inverses[0]


def _completed_cells(batch: SiteBatch) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return cells whose vectors along aperiodic directions are unit vectors, and the inverses of these cells."""
    cells = batch.cells.copy()
    cells[~batch.pbc.any(axis=1)] = np.eye(3)
    inverses = cells.copy()
    for s in np.flatnonzero(batch.pbc.any(axis=1)):
        if not np.isfinite(cells[s]).all():
            raise FormatError(f"structure {s} of the batch: expected a finite cell, received NaN or infinity")
        missing = np.linalg.norm(cells[s], axis=1) < 1e-12
        if (missing & batch.pbc[s]).any():
            raise FormatError(f"structure {s} of the batch: periodic along a direction without a cell vector")
        # Only the spacing of lattice planes along periodic directions matters: complete the cell with their normals.
        aperiodic = ~batch.pbc[s]
        basis = cells[s][~aperiodic]
        _, _, rows = np.linalg.svd(basis)
        cells[s][aperiodic] = rows[len(basis) :]
        if abs(np.linalg.det(cells[s])) < 1e-9:
            raise FormatError(f"structure {s} of the batch: the cell has no volume")
        inverses[s] = np.linalg.inv(cells[s])
        spacing = float(1.0 / np.linalg.norm(inverses[s], axis=0).max())
        if spacing < FLATTEST:  # a search would go through more images than it can
            raise FormatError(
                f"structure {s} of the batch: planes of its lattice are {spacing:.2g} Å apart; expected {FLATTEST:g} Å "
                "or more: is the cell in another unit, or far from reduced?"
            )
    return cells, inverses
