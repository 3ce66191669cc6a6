"""Write structure stores: atoms, sites and spectra, in a single pass."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from xanes_hpc.spectra.spectrum import PlacedSpectrum
from xanes_hpc.stores import hdf5, spectra
from xanes_hpc.stores.columns import ATOMS_PER_CHUNK, Column, Columns, StringColumn
from xanes_hpc.stores.properties import (
    PROPERTIES,
    SITE_PROPERTIES,
    Properties,
    PropertyColumns,
)
from xanes_hpc.stores.sites import DTYPES, add_site_columns
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.structure import Structure

STRUCTURE_NAMES = [
    "atoms/numbers",
    "atoms/positions",
    *(f"structures/{name}" for name in ("name", "offsets", "cell", "pbc")),
    *(f"sites/{name}" for name in DTYPES),
]
"""Datasets that ``digest_structures`` covers."""
STRUCTURES_AT_ONCE = 512
"""Largest number of structures that are appended to the columns together."""


def site_names(structure: str, atoms: Sequence[int] | npt.NDArray[np.integer]) -> list[str]:
    """Return the names of a structure's sites: the structure's name, plus ``#index`` if it has several sites."""
    return [structure] if len(atoms) == 1 else [f"{structure}#{a}" for a in atoms]


@dataclass(frozen=True)
class _Appended:
    """A structure to write, with its absorbers, and the weights and properties of its sites."""

    structure: Structure
    atoms: npt.NDArray[np.int64]
    edge: str
    weights: npt.NDArray[np.float64]
    site_properties: Sequence[Properties]


class StructureWriter:
    """Appends structures with their sites and spectra to a new store."""

    def __init__(self, file: h5py.File) -> None:
        self.file = file
        self._columns = columns = Columns()
        columns.add("atoms/numbers", Column(file, "atoms/numbers", np.uint8, per_chunk=ATOMS_PER_CHUNK))
        columns.add("atoms/positions", Column(file, "atoms/positions", np.float64, (3,), ATOMS_PER_CHUNK))
        columns.add("structures/name", StringColumn(file, "structures/name"))
        columns.add("structures/offsets", Column(file, "structures/offsets", np.int64))
        columns.add("structures/cell", Column(file, "structures/cell", np.float64, (3, 3)))
        columns.add("structures/pbc", Column(file, "structures/pbc", np.bool_, (3,)))
        columns["structures/offsets"].extend([0])
        add_site_columns(columns, file)
        spectra.add_spectrum_columns(columns, file)
        file.create_group(PROPERTIES)
        self.left_out: Counter[str] = Counter()
        """Number of values that could not be stored, by property: text among numbers, or an invalid name."""
        self._of_structures = PropertyColumns(file, columns, PROPERTIES, self.left_out)
        self._of_sites = PropertyColumns(file, columns, SITE_PROPERTIES, self.left_out)
        self._pending: list[_Appended] = []
        self._n_pending_atoms = self._n_sites = 0

    def append(
        self,
        structure: Structure,
        atoms: npt.NDArray[np.int64],
        edge: str,
        spectra_by_site: Sequence[Sequence[PlacedSpectrum]],
        weights: npt.NDArray[np.float64] | None = None,
        site_properties: Sequence[Properties] | None = None,
    ) -> None:
        """Append a structure, its absorbers at one edge, and the spectra of each absorber.

        Parameters
        ----------
        atoms
            Indices of the absorbers, from 0.
        spectra_by_site
            Spectra of each absorber.
        weights
            Weights of the sites; by default 1.
        site_properties
            Properties of each site, in addition to those of the structure.
        """
        weights = np.ones(len(atoms)) if weights is None else weights
        self._pending.append(_Appended(structure, atoms, edge, weights, site_properties or [{}] * len(atoms)))
        for site, placed in enumerate(spectra_by_site, self._n_sites):
            for spectrum in placed:
                spectra.append_spectrum(self._columns, site, spectrum)
        self._n_sites += len(atoms)
        self._n_pending_atoms += structure.numbers.size
        if len(self._pending) == STRUCTURES_AT_ONCE or self._n_pending_atoms >= ATOMS_PER_CHUNK:
            self._extend_columns()

    def _extend_columns(self) -> None:
        """Append the pending structures and their sites to the columns."""
        pending, self._pending, self._n_pending_atoms = self._pending, [], 0
        if not pending:
            return
        columns, structures = self._columns, [one.structure for one in pending]
        row, first_site = columns["structures/name"].n_rows, columns["sites/name"].n_rows
        ends = np.cumsum([structure.numbers.size for structure in structures])
        counts = [len(one.atoms) for one in pending]
        columns["structures/name"].extend([structure.name for structure in structures])
        columns["structures/cell"].extend(np.array([structure.cell for structure in structures]))
        columns["structures/pbc"].extend(np.array([structure.pbc for structure in structures]))
        columns["structures/offsets"].extend(columns["atoms/numbers"].n_rows + ends)
        columns["atoms/numbers"].extend(np.concatenate([structure.numbers for structure in structures]))
        columns["atoms/positions"].extend(np.concatenate([structure.positions for structure in structures]))
        self._of_structures.append(row, [structure.properties for structure in structures])
        names = [name for one in pending for name in site_names(one.structure.name, one.atoms)]
        columns["sites/name"].extend(names)
        columns["sites/structure"].extend(np.repeat(np.arange(row, row + len(pending)), counts))
        columns["sites/atom"].extend(np.concatenate([one.atoms for one in pending]))
        columns["sites/element"].extend(np.concatenate([one.structure.numbers[one.atoms] for one in pending]))
        columns["sites/edge"].extend([one.edge for one in pending for _ in range(len(one.atoms))])
        columns["sites/weight"].extend(np.concatenate([one.weights for one in pending]))
        self._of_sites.append(first_site, [properties for one in pending for properties in one.site_properties])

    def finish(self) -> None:
        """Write pending rows and the digests."""
        self._extend_columns()
        self._columns.finish()
        self.file.attrs["digest_structures"] = hdf5.digest(self.file, STRUCTURE_NAMES)
        self.file.attrs["digest_spectra"] = hdf5.digest(self.file, spectra.spectrum_names(self.file))


@contextmanager
def create_structures(
    path: Path | None, overwrite: bool = False, sources: Iterable[Path] = ()
) -> Iterator[StructureWriter]:
    """Create a structure store; it is renamed to ``path`` when the block ends without an error.

    Without a path the store lives in memory: see ``structures_in_memory``.

    Raises
    ------
    StoreError
        If the output exists and may not be replaced, or cannot be written.
    """
    with hdf5.create_store(path, "structures", overwrite, sources) as file:
        writer = StructureWriter(file)
        yield writer
        writer.finish()


def structures_in_memory(writer: StructureWriter) -> StructureStore:
    """Return the store that ``create_structures`` wrote in memory; call it after the block."""
    return StructureStore(file=writer.file)
