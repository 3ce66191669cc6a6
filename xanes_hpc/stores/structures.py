"""The structure store, open for reading: atoms, sites and spectra."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import StoreError
from xanes_hpc.stores import hdf5, properties
from xanes_hpc.stores.properties import (
    PROPERTIES,
    SITE_PROPERTIES,
    read_numbers,
    read_properties,
)
from xanes_hpc.stores.sites import SiteTable, counted
from xanes_hpc.structures.absorbers import formula
from xanes_hpc.structures.neighbours import neighbour_list
from xanes_hpc.structures.sites import SiteBatch
from xanes_hpc.structures.structure import Structure

FARTHEST_READ = 16
"""Rows farther apart than this are read separately."""
SITES_AT_ONCE = 512


class StructureStore(hdf5.Store):
    """A structure store open for reading."""

    kind = "structures"
    summary: Any = None
    """Summary of the import that wrote the store; None if the store was opened from a file."""

    def __repr__(self) -> str:
        skipped = getattr(self.summary, "skipped_count", 0)
        spectra = "no spectra" if not self.n_spectra else counted(self.n_spectra, "spectrum", "spectra")
        contents = f"{counted(self.n_structures, 'structure')}, {self.sites.in_words}, {spectra}"
        return self.described(contents + (f"; {skipped:,} skipped" if skipped else ""))

    @property
    def n_structures(self) -> int:
        """Number of structures."""
        return int(self.file["structures/name"].shape[0])

    @property
    def n_sites(self) -> int:
        """Number of sites."""
        return int(self.file["sites/name"].shape[0])

    @property
    def n_crystals(self) -> int:
        """Number of structures that are periodic in all three directions."""
        with hdf5.reading(self.path):
            return int(np.count_nonzero(self.file["structures/pbc"][:].all(axis=1)))

    @property
    def n_spectra(self) -> int:
        """Number of spectra."""
        return int(self.file["spectra/site"].shape[0])

    @property
    def has_spectra(self) -> bool:
        """Whether any site has a spectrum."""
        return self.n_spectra > 0

    def open_structures(
        self, spectra: Path | None = None
    ) -> tuple["AbstractContextManager[StructureStore | None]", str]:
        """Return a context manager for this store, or for the one at ``spectra``, and an empty reason.

        Like ``FeatureStore.open_structures``, where the reason says why there is no structure store.

        Raises
        ------
        StoreError
            If the structures of ``spectra`` differ.
        """
        if spectra is None:
            return nullcontext(self), ""
        other = StructureStore(spectra)
        if other.attribute("digest_structures") != self.attribute("digest_structures"):
            other.close()
            whose = "the files that were read" if self.in_memory else self.path
            fact = f"its structures differ from those of {whose}, so its spectra do not apply"
            raise StoreError(f"{spectra}: {fact}; to predict its own structures, name it as the source")
        return other, ""

    @property
    def stamp(self) -> str:
        """Text that identifies the store's features: empty, since a structure store has none."""
        return ""

    @property
    def sites(self) -> SiteTable:
        """All sites."""
        return SiteTable.read(self.file)

    def site(self, row: int) -> SiteTable:
        """Return one site."""
        return SiteTable.read(self.file, slice(row, row + 1))

    def batch(self, start: int, stop: int, properties: Sequence[str] = ()) -> SiteBatch:
        """Return sites ``start:stop`` with their structures, and the named properties.

        Raises
        ------
        StoreError
            If the data are damaged, or refer to structures or atoms that do not exist.
        """
        file = self.file
        with hdf5.reading(self.path):
            structures = file["sites/structure"][start:stop]
            low, high = (int(structures.min()), int(structures.max()) + 1) if structures.size else (0, 0)
            self._check(low >= 0 and high <= self.n_structures)
            offsets = file["structures/offsets"][low : high + 1]
            self._check(offsets[0] >= 0 and offsets[-1] <= file["atoms/numbers"].size and (np.diff(offsets) >= 0).all())
            atoms = slice(offsets[0], offsets[-1])
            batch = SiteBatch(
                numbers=file["atoms/numbers"][atoms],
                positions=file["atoms/positions"][atoms],
                offsets=offsets - offsets[0],
                cells=file["structures/cell"][low:high],
                pbc=file["structures/pbc"][low:high],
                site_structures=structures - low,
                site_atoms=file["sites/atom"][start:stop],
                first_structure=low,
                properties={name: read_numbers(file, self.path, name, start, structures) for name in properties},
            )
        lengths = np.diff(batch.offsets)[batch.site_structures]
        self._check(((batch.site_atoms >= 0) & (batch.site_atoms < lengths)).all())
        return batch

    def neighbour_counts(self, rows: npt.NDArray[np.integer], radius: float) -> npt.NDArray[np.int64]:
        """Return the number of atoms within ``radius`` (Å) of the sites at ascending rows, (n_rows,).

        Raises
        ------
        StoreError
            If the data are damaged.
        """
        counts = [np.empty(0, np.int64)]
        for run in np.split(rows, np.flatnonzero(np.diff(rows) > FARTHEST_READ) + 1) if rows.size else []:
            batch = self.batch(int(run[0]), int(run[-1]) + 1)
            counts.append(np.diff(neighbour_list(batch, radius).offsets)[run - run[0]])
        return np.concatenate(counts)

    def digest_of_properties(self, names: Sequence[str]) -> str:
        """Return the digest of the named properties of structures and sites."""
        with hdf5.reading(self.path):
            return properties.digest(self.file, names)

    @property
    def property_names(self) -> list[str]:
        """Names of the properties of structures and of sites."""
        return sorted({name for group in (PROPERTIES, SITE_PROPERTIES) for name in self.file.get(group, ())})

    def count_missing(self, name: str) -> tuple[int, int]:
        """Return the number of sites for which neither site nor structure has the property, and the first such row."""
        with hdf5.reading(self.path):
            return properties.count_missing(self.file, self.path, name)

    def structures_at(self, rows: npt.NDArray[np.integer]) -> Iterator[tuple[Structure, int]]:
        """Yield the structure, without its properties, and the absorber's index of each site at ``rows``.

        Sites are read in runs; this is fastest if rows ascend.

        Raises
        ------
        StoreError
            As ``batch`` does.
        """
        for begin in range(0, rows.size, SITES_AT_ONCE):
            wanted = rows[begin : begin + SITES_AT_ONCE]
            together = np.ptp(wanted) <= 4 * SITES_AT_ONCE  # scattered rows: read one by one
            for some in [wanted] if together else wanted[:, None]:
                first, last = int(some.min()), int(some.max())
                batch = self.batch(first, last + 1)
                with hdf5.reading(self.path):
                    low = batch.first_structure
                    names = hdf5.read_strings(self.file, "structures/name", slice(low, low + batch.offsets.size - 1))
                for row in some - first:
                    own = batch.site_structures[row]
                    atoms = slice(batch.offsets[own], batch.offsets[own + 1])
                    numbers, positions = batch.numbers[atoms], batch.positions[atoms]
                    structure = Structure(names[own], numbers, positions, batch.cells[own], batch.pbc[own])
                    yield structure, int(batch.site_atoms[row])

    def structures(self, rows_at_once: int = SITES_AT_ONCE) -> Iterator[tuple[Structure, SiteTable]]:
        """Yield every structure with its properties, and its sites.

        Raises
        ------
        StoreError
            As ``batch`` does.
        """
        sites = self.sites
        order = np.argsort(sites.structure, kind="stable")
        ends = np.searchsorted(sites.structure[order], np.arange(self.n_structures + 1))
        for start in range(0, self.n_structures, rows_at_once):
            stop = min(start + rows_at_once, self.n_structures)
            with hdf5.reading(self.path):
                offsets = self.file["structures/offsets"][start : stop + 1]
                self._check(offsets[0] >= 0 and (np.diff(offsets) >= 0).all())
                atoms = slice(offsets[0], offsets[-1])
                numbers, positions = self.file["atoms/numbers"][atoms], self.file["atoms/positions"][atoms]
                cells, pbc = (self.file[f"structures/{name}"][start:stop] for name in ("cell", "pbc"))
                names = hdf5.read_strings(self.file, "structures/name", slice(start, stop))
                known = read_properties(self.file, start, stop)
            for k in range(stop - start):
                own = slice(offsets[k] - offsets[0], offsets[k + 1] - offsets[0])
                structure = Structure(names[k], numbers[own], positions[own], cells[k], pbc[k], known[k])
                yield structure, sites.take(order[ends[start + k] : ends[start + k + 1]])

    def cuts(self, start: int, stop: int, n_atoms: int) -> list[int]:
        """Return the sites at which to divide ``start:stop`` into pieces whose structures have few atoms.

        The structures of a piece have at most ``n_atoms`` together, unless it has only one structure.
        """
        with hdf5.reading(self.path):
            structures = self.file["sites/structure"][start:stop]
            low, high = int(structures.min(initial=0)), int(structures.max(initial=0)) + 1
            self._check(low >= 0 and high <= self.n_structures)
            offsets = self.file["structures/offsets"][low : high + 1]
        firsts, ends = offsets[structures - low], offsets[structures - low + 1]
        cuts, begin = [], 0
        if (np.diff(structures) >= 0).all():
            while begin < structures.size:
                end = int(np.searchsorted(ends, max(firsts[begin] + n_atoms, ends[begin]), side="right"))
                cuts.append(start + end)
                begin = end
            return cuts[:-1]
        for site in np.flatnonzero(np.diff(structures)) + 1:
            if ends[begin : site + 1].max() - firsts[begin : site + 1].min() > n_atoms:
                cuts.append(start + int(site))
                begin = int(site)
        return cuts

    def _check(self, in_range: bool | np.bool_) -> None:
        if not in_range:
            raise StoreError(
                f"{self.path}: a site or structure refers to atoms or structures that do not exist; create the file "
                "again"
            )

    def site_formulas(self, first: int = 0, last: int | None = None, rows_at_once: int = 8192) -> list[str]:
        """Return the formula of each site's structure in Hill order, for all sites or ``first:last``."""
        formulas: list[str] = []
        last = self.n_sites if last is None else last
        for start in range(first, last, rows_at_once):
            batch = self.batch(start, min(start + rows_at_once, last))
            known = [formula(batch.numbers[a:b]) for a, b in zip(batch.offsets, batch.offsets[1:], strict=False)]
            formulas += [known[s] for s in batch.site_structures]
        return formulas
