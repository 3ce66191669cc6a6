"""The feature store: one vector per site, with the full description of its descriptor."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import SourceError, StoreError
from xanes_hpc.runtime.new_file import NewFile
from xanes_hpc.stores import hdf5
from xanes_hpc.stores.graphs import GraphStore, graph_attributes
from xanes_hpc.stores.part_files import Table
from xanes_hpc.stores.sites import SiteTable, copy_sites, counted
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.graphs import GraphSettings

CHUNK_BYTES = 1 << 20
COMPRESSION: dict[str, dict[str, Any]] = {
    "none": {},
    "gzip": {"compression": "gzip", "compression_opts": 1, "shuffle": True},
    "lzf": {"compression": "lzf", "shuffle": True},
}
"""h5py's filters by name; only h5py can read lzf."""
FEATURES = "features"
FORMULAS, WITHOUT = "sites/formula", "without_features"
"""Optional datasets: formulas of sites whose structures are unknown, and which sites have no features."""


def chunk_rows(n_features: int, item_bytes: int) -> int:
    """Return the number of sites per chunk: a power of two, with about 1 MiB of features."""
    rows = max(1, CHUNK_BYTES // (n_features * item_bytes))
    return max(16, 1 << (rows.bit_length() - 1))


@dataclass(frozen=True)
class Layout:
    """How features are divided into chunks; depends only on their number, length and type."""

    n_sites: int
    n_features: int
    dtype: np.dtype[Any]
    compression: str = "none"

    @property
    def chunk_rows(self) -> int:
        """Sites per chunk."""
        return min(chunk_rows(self.n_features, self.dtype.itemsize), max(1, self.n_sites))

    @property
    def filters(self) -> dict[str, Any]:
        """h5py's filters."""
        return COMPRESSION[self.compression]

    @property
    def table(self) -> Table:
        """The dataset of features."""
        return Table(FEATURES, (self.n_features,), self.dtype, self.chunk_rows, self.filters)


def write_descriptor(file: NewFile, description: dict[str, Any], descriptor_hash: str, labels: list[str]) -> None:
    """Write the descriptor's description, hash and feature labels to a new feature store."""
    file.attrs["descriptor_hash"] = descriptor_hash
    text = json.dumps(description).encode()
    file.create_dataset("descriptor", data=text, dtype=h5py.string_dtype("utf-8", len(text)))
    hdf5.write_strings(file, "labels", labels)


@contextmanager
def create_features(
    path: Path | None,
    source: StructureStore,
    description: dict[str, Any],
    descriptor_hash: str,
    labels: list[str],
    overwrite: bool = False,
    temporary: Path | None = None,
    attributes: Mapping[str, str] | None = None,
    without: npt.NDArray[np.bool_] | None = None,
    graph: GraphSettings | None = None,
) -> Iterator[NewFile]:
    """Create a feature store with the sites of a structure store; the caller writes the features.

    ``attributes`` are further ones, such as ``rattle``; ``without`` says which sites have no features, if some have
    none. With settings of graphs, the caller also writes these.

    Raises
    ------
    StoreError
        If the output exists and may not be replaced, or cannot be written.
    """
    with hdf5.create_store(path, "features", overwrite, [source.path], temporary) as file:
        write_descriptor(file, description, descriptor_hash, labels)
        if not source.in_memory:
            own = Path.cwd() if path is None else path.parent
            file.attrs["source_path"] = os.path.relpath(source.path.resolve(), own.resolve())
        file.attrs["source_digest"] = source.attribute("digest_structures")
        file.attrs.update(attributes or {})
        if graph is not None:
            file.attrs.update(graph_attributes(graph))
        with hdf5.reading(source.path):
            copy_sites(source.file, file)
        if without is not None and without.any():
            file.create_dataset(WITHOUT, data=without, fletcher32=True)
        yield file


class FeatureStore(GraphStore):
    """A feature store open for reading.

    Parameters
    ----------
    path
        Path of the store.
    file, source
        Given instead of a path: the finished file of a store in memory, and the structure store of its features.
    """

    kind = "features"

    def __init__(
        self, path: Path | None = None, file: h5py.File | None = None, source: StructureStore | None = None
    ) -> None:
        super().__init__(path, file)
        self._source = source

    def __repr__(self) -> str:
        name = self.description.get("name", "")
        rattled, graphs = ", rattled structures" if self.rattled else "", ", graphs" if self.graph else ""
        return self.described(f"{self.sites.in_words}, {counted(self.n_features, 'feature')} ({name}){graphs}{rattled}")

    @property
    def n_sites(self) -> int:
        """Number of sites."""
        return int(self.file["features"].shape[0])

    @property
    def n_features(self) -> int:
        """Length of a site's feature vector."""
        return int(self.file["features"].shape[1])

    @property
    def chunk_rows(self) -> int:
        """Sites per chunk."""
        features = self.file["features"]
        return int(features.chunks[0]) if features.chunks else chunk_rows(self.n_features, features.dtype.itemsize)

    @property
    def description(self) -> dict[str, Any]:
        """The descriptor's description."""
        with hdf5.reading(self.path):
            text = self.file["descriptor"][()]
        return self._object(text, "dataset descriptor")

    @property
    def labels(self) -> list[str]:
        """Names of the features, in their order."""
        return hdf5.read_strings(self.file, "labels")

    @property
    def rattled(self) -> bool:
        """Whether atoms were displaced at random before their features were computed."""
        return bool(self.attribute("rattle"))

    @property
    def rattle(self) -> dict[str, Any]:
        """Standard deviation (Å) and seed of the atoms' displacements; empty if there were none."""
        return self._object(self.attribute("rattle"), "attribute rattle") if self.rattled else {}

    def _object(self, text: str | bytes, what: str) -> dict[str, Any]:
        try:
            value = json.loads(text)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise StoreError(f"{self.path}: {what}: expected a JSON object")
        return value

    @property
    def sites(self) -> SiteTable:
        """All sites."""
        return SiteTable.read(self.file)

    @property
    def has_spectra(self) -> bool:
        """Whether the store itself has spectra, as those imported without structures do."""
        return "spectra/site" in self.file

    def open_structures(
        self, spectra: Path | None = None
    ) -> tuple["AbstractContextManager[StructureStore | None]", str]:
        """Return a context manager for the features' structure store, or for None, and why there is none.

        Raises
        ------
        StoreError
            If ``spectra`` names a store that cannot be used.
        """
        try:
            source = self.open_source(spectra)
        except SourceError as error:
            if spectra is not None:
                raise
            alone = self.has_spectra or not self.attribute("source_digest")
            return nullcontext(None), "" if alone else str(error)
        return (nullcontext(source) if source is self._source else source), ""

    @property
    def stamp(self) -> str:
        """Text that changes when the store is written again: digest of attributes, size and time."""
        if self.in_memory:
            return self.attribute(hdf5.ATTRIBUTES)
        found = self.path.stat()
        return f"{self.attribute(hdf5.ATTRIBUTES)} {found.st_size} {found.st_mtime_ns}"

    @property
    def without_features(self) -> npt.NDArray[np.bool_]:
        """Which sites have no features, (n_sites,)."""
        if WITHOUT not in self.file:
            return np.zeros(self.n_sites, np.bool_)
        with hdf5.reading(self.path):
            return np.asarray(self.file[WITHOUT][:], np.bool_)

    def site_formulas(self, first: int = 0, last: int | None = None) -> list[str]:
        """Return the formula of each site, all or ``first:last``; empty where only a structure store knows it."""
        last = self.n_sites if last is None else last
        if FORMULAS not in self.file:
            return [""] * (last - first)
        with hdf5.reading(self.path):
            return hdf5.read_strings(self.file, FORMULAS, slice(first, last))

    def read(self, start: int, stop: int) -> npt.NDArray[np.floating[Any]]:
        """Return the features of sites ``start:stop``, (n_rows, n_features).

        Raises
        ------
        StoreError
            If the data are damaged.
        """
        return self.read_rows("features", start, stop)

    def neighbour_counts(self, rows: npt.NDArray[np.integer], radius: float) -> npt.NDArray[np.int64]:
        """Return no numbers of neighbours: features have no structures."""
        return np.empty(0, np.int64)

    def open_source(self, instead: StructureStore | Path | str | None = None) -> StructureStore:
        """Open the structure store that the features were computed from, or another one with the same structures.

        Raises
        ------
        SourceError
            If the store is missing, or its structures are not those of the features.
        StoreError
            If the store cannot be opened.
        """
        if instead is None and self._source is not None:
            return self._source
        recorded = self.attribute("source_path")
        if not self.attribute("source_digest"):
            raise SourceError(
                f"{self.path}: its features came without structures; to use the spectra of a structure store, pair "
                "them with its sites when you import them (`structures`)"
            )
        if instead is None and not recorded:
            raise SourceError(f"{self.path}: does not record its structure store; name it with `spectra`")
        if isinstance(instead, StructureStore):
            return self._checked(instead)
        path = Path(instead) if instead is not None else Path(os.path.normpath(self.path.resolve().parent / recorded))
        if not path.exists():
            raise SourceError(
                f"{path}: no such file; it is the structure store of {self.path}; "
                "move it back, or name it with `spectra`"
            )
        return self._checked(StructureStore(path))

    def _checked(self, source: StructureStore) -> StructureStore:
        digest = source.attribute("digest_structures")
        if digest != self.attribute("source_digest"):
            source.file.close()
            raise SourceError(
                f"{source.path}: its structures (digest {digest[:12]}…) are not those that {self.path} was computed "
                f"from ({self.attribute('source_digest')[:12]}…); featurise it again"
            )
        return source
