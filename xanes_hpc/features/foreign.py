"""Features that another program made, read from an ``.npz`` file or a store of them.

Arrays of a file: ``x`` (n_sites, n_features), any real numbers; and, all optional, ``source`` (or ``model``), the name
of what made them; ``labels`` (n_features,); ``names``, ``formulas``, ``elements`` (symbols or atomic numbers) and
``edges``, one per site or one for all.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from xanes_hpc.descriptors import Descriptor, from_description
from xanes_hpc.descriptors.foreign import Foreign
from xanes_hpc.errors import FormatError, ModelError, StoreError
from xanes_hpc.formats import npz
from xanes_hpc.spectra.edges import EDGES
from xanes_hpc.stores import hdf5
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.standalone import Rows
from xanes_hpc.structures.absorbers import element_number


@dataclass(frozen=True)
class ForeignFeatures:
    """Features that another program made.

    Attributes
    ----------
    path
        Their file.
    descriptor
        Their descriptor: source, number and labels.
    source_given
        Whether the file or the user names the source; otherwise it is the file's own name.
    values : (n_sites, n_features)
        The features, read row by row.
    names, formulas, elements, edges : (n_sites,)
        What the file says about its sites; None where it says nothing.
    arrays
        The file's other arrays; None for a store.
    """

    path: Path
    descriptor: Foreign
    source_given: bool
    values: Rows
    names: list[str] | None = None
    formulas: list[str] | None = None
    elements: npt.NDArray[np.uint8] | None = None
    edges: list[str] | None = None
    arrays: npz.Arrays | None = None

    @property
    def n_sites(self) -> int:
        """Number of sites."""
        return len(self.values)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the file."""
        with self.path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    @property
    def attributes(self) -> dict[str, str]:
        """The file's name and digest, as a feature store records them."""
        return {"foreign_file": self.path.name, "foreign_digest": self.digest}


class _StoredRows:
    """Rows of a feature store, in any order."""

    def __init__(self, store: FeatureStore) -> None:
        self._store, self.dtype = store, store.file["features"].dtype

    def __len__(self) -> int:
        return self._store.n_sites

    def __getitem__(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        wanted, order = np.unique(rows, return_inverse=True)
        runs = np.split(wanted, np.flatnonzero(np.diff(wanted) > 1) + 1)
        return np.concatenate([self._store.read(int(run[0]), int(run[-1]) + 1) for run in runs])[order]


def read_foreign(path: Path, source: str | None = None) -> ForeignFeatures:
    """Open features that another program made; the numbers stay in the file.

    Parameters
    ----------
    path
        An ``.npz`` file, or a feature store that was imported from one.
    source
        Name of what made the features; by default the file's own, or else the file's name.

    Raises
    ------
    FormatError
        If an array is missing, invalid or of another length, or a site has two rows.
    StoreError
        If a store holds other features.
    """
    if hdf5.is_kind(path, "features"):
        return _from_store(path, source)
    if other := hdf5.store_in_words(path):
        raise StoreError(f"{path}: expected an .npz file of features, or a store imported from one, received a {other}")
    arrays, float32 = npz.Arrays(path), np.dtype(np.float32)
    if "x" not in arrays:
        raise FormatError(f"{path}: expected an array x (features), received {arrays.in_words}")
    values = arrays.numbers("x", ("n_sites", "n_features"), float32, any_type=True)
    n_sites, width = values.shape
    stated = next((arrays.texts(name, 1)[0] for name in ("source", "model") if name in arrays), None)
    if source is not None and stated not in (None, source):
        raise FormatError(f"{path}: is of the source {stated!r}, but `source` is {source!r}")
    names, formulas, site_edges, labels = (
        arrays.texts(name, n, one_for_all) if name in arrays else None
        for name, n, one_for_all in (
            ("names", n_sites, False), ("formulas", n_sites, True), ("edges", n_sites, True), ("labels", width, False),
        )
    )  # fmt: skip
    _check_once(path, "names", names)
    _check_once(path, "labels", labels)
    description = {"name": "foreign", "source": source or stated or path.stem, "features": width}
    return ForeignFeatures(
        path, Foreign(description | ({"labels": labels} if labels else {})), bool(source or stated), values, names,
        formulas, _elements(arrays, n_sites), _edges(path, site_edges), arrays,
    )  # fmt: skip


def _from_store(path: Path, source: str | None) -> ForeignFeatures:
    store = FeatureStore(path)
    found = from_description(store.description)
    if not isinstance(found, Foreign) or found.inner is not None or source is not None:
        raise StoreError(
            f"{path}: expected an .npz file, or a store of foreign features alone, received a store with "
            + (found.in_words if isinstance(found, Foreign) else f"features of {found.name}")
        )
    sites, formulas = store.sites, store.site_formulas()
    return ForeignFeatures(
        path,
        found,
        True,
        _StoredRows(store),
        sites.name,
        formulas if any(formulas) else None,
        sites.element,
        sites.edge,
    )


def _check_once(path: Path, name: str, values: list[str] | None) -> None:
    first: dict[str, int] = {}
    for row, value in enumerate(values or ()):
        if value in first:
            raise FormatError(
                f"{path}: array {name}: expected every one once, received {value!r} in rows {first[value]} and {row}"
            )
        first[value] = row


def _edges(path: Path, names: list[str] | None) -> list[str] | None:
    if names is None:
        return None
    for row, name in enumerate(names):
        if name.upper() not in EDGES:
            raise FormatError(f"{path}: array edges, row {row}: expected one of {', '.join(EDGES)}, received {name!r}")
    return [name.upper() for name in names]


def _elements(arrays: npz.Arrays, n_sites: int) -> npt.NDArray[np.uint8] | None:
    if "elements" not in arrays:
        return None
    where, values = f"{arrays.path}: array elements", arrays.plain("elements")
    if values.dtype.kind in "iu":
        if values.shape != (n_sites,) and values.size != 1:
            raise FormatError(f"{where}: expected {n_sites:,} numbers, or one for all, received shape {values.shape}")
        wrong = values[(values < 1) | (values >= len(chemical_symbols))]
        if wrong.size:
            raise FormatError(f"{where}: expected 1 to {len(chemical_symbols) - 1}, received {wrong.ravel()[0]}")
        return np.full(n_sites, values.ravel(), np.uint8)
    symbols = arrays.texts("elements", n_sites, one_for_all=True)
    known = {symbol: element_number(symbol) for symbol in dict.fromkeys(symbols)}
    if unknown := [symbol for symbol, number in known.items() if not number]:
        raise FormatError(f"{where}: expected symbols or atomic numbers of elements, received {unknown[0]!r}")
    return np.array([known[symbol] for symbol in symbols], np.uint8)


def check_same(path: Path, foreign: Foreign, wanted: Descriptor, model: Path) -> None:
    """Check that features are those that a model was trained on.

    Raises
    ------
    ModelError
        If the model was trained without foreign features, or their source, number or labels differ.
    """
    if not isinstance(wanted, Foreign):
        raise ModelError(f"{path}: {model} was trained on {wanted.name} features alone; omit `foreign`")
    plain = Foreign({k: v for k, v in wanted.describe().items() if k != "descriptor"})
    if foreign.hash == plain.hash:
        return
    if (foreign.source, foreign.width) == (plain.source, plain.width):
        k = next((k for k, (a, b) in enumerate(zip(foreign.labels, plain.labels, strict=True)) if a != b), 0)
        raise ModelError(
            f"{path}: expected the labels of {model}'s features, received others (the first: {foreign.labels[k]!r} "
            f"instead of {plain.labels[k]!r})"
        )
    advice = (
        "; if the same program made them, import them again with that name as `source`, or save it as array source"
        if foreign.width == plain.width
        else ""
    )
    raise ModelError(f"{path}: expected {plain.in_words} (of {model}), received {foreign.in_words}{advice}")
