"""Properties of structures and sites in a structure store, one column per property."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import StoreError
from xanes_hpc.stores import hdf5
from xanes_hpc.stores.columns import ROWS_PER_CHUNK, Column, Columns, StringColumn

PROPERTIES, SITE_PROPERTIES = "structures/properties", "sites/properties"
Properties = dict[str, float | str]
SITES_AT_ONCE = 1 << 20


class PropertyColumns:
    """One column per property, created when the first structure or site has it.

    Parameters
    ----------
    file, group
        File and group for the columns.
    columns
        Receives the new columns.
    left_out
        Counts the values that cannot be stored, by property: text among numbers, or a name that HDF5 cannot store.
    """

    def __init__(self, file: h5py.File, columns: Columns, group: str, left_out: Counter[str]) -> None:
        self._file, self._columns, self._group, self._left_out = file, columns, group, left_out
        self._texts: dict[str, bool] = {}

    def append(self, first: int, every: Sequence[Properties]) -> None:
        """Append the properties of consecutive rows that start with row ``first``."""
        rows: list[Properties] = []
        for properties in every:
            stored: Properties = {}
            rows.append(stored)
            for name, value in properties.items():
                if not name or "/" in name or name.startswith(".") or not name.isprintable():
                    self._left_out[name] += 1
                    continue
                if name not in self._texts:
                    self._begin(name, isinstance(value, str), first)
                if self._texts[name]:
                    stored[name] = value if isinstance(value, str) else f"{value:g}"
                elif isinstance(value, str):
                    self._left_out[name] += 1
                else:
                    stored[name] = value
        for name, text in self._texts.items():
            missing = _missing(text)
            self._columns[f"{self._group}/{name}"].extend([stored.get(name, missing) for stored in rows])

    def _begin(self, name: str, text: bool, n_before: int) -> None:
        self._texts[name] = text
        path = f"{self._group}/{name}"
        column = StringColumn(self._file, path) if text else Column(self._file, path, np.float64)
        self._columns.add(path, column)
        for start in range(0, n_before, ROWS_PER_CHUNK):
            column.extend([_missing(text)] * min(ROWS_PER_CHUNK, n_before - start))


def _missing(text: bool) -> float | str:
    return "" if text else float("nan")


def read_numbers(
    file: h5py.File, path: Path, name: str, start: int, structures: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Return a property of consecutive sites: their own value, else their structure's, else NaN.

    Parameters
    ----------
    path
        The store's path, for errors.
    start, structures
        Row of the first site, and rows of the sites' structures.

    Raises
    ------
    StoreError
        If the property is text.
    """
    values = np.full(structures.size, np.nan)
    for group in (PROPERTIES, SITE_PROPERTIES):
        dataset = file.get(f"{group}/{name}")
        if dataset is None or not structures.size:
            continue
        if dataset.dtype.kind != "f":
            raise StoreError(f"{path}: {group}/{name}: expected numbers, received text")
        if group == PROPERTIES:
            low = int(structures.min())
            own = dataset[low : int(structures.max()) + 1][structures - low]
        else:
            own = dataset[start : start + structures.size]
        values = np.where(np.isfinite(own), own, values)
    return values


def count_missing(file: h5py.File, path: Path, name: str) -> tuple[int, int]:
    """Return the number of sites that lack a property, and the row of the first such site (0 if there is none).

    Raises
    ------
    StoreError
        If the property is text.
    """
    missing, first = 0, 0
    rows = file["sites/structure"]
    for start in range(0, rows.shape[0], SITES_AT_ONCE):
        lacks = ~np.isfinite(read_numbers(file, path, name, start, rows[start : start + SITES_AT_ONCE]))
        if lacks.any() and not missing:
            first = start + int(np.argmax(lacks))
        missing += int(lacks.sum())
    return missing, first


def read_properties(file: h5py.File, start: int, stop: int) -> list[Properties]:
    """Return the properties of structures ``start:stop``, by name."""
    found: list[Properties] = [{} for _ in range(stop - start)]
    for name, dataset in file.get(PROPERTIES, {}).items():
        text = h5py.check_string_dtype(dataset.dtype) is not None
        path = f"{PROPERTIES}/{name}"
        values = hdf5.read_strings(file, path, slice(start, stop)) if text else dataset[start:stop].tolist()
        for own, value in zip(found, values, strict=True):
            if value != "" and value == value:
                own[name] = value
    return found


def digest(file: h5py.File, names: Sequence[str]) -> str:
    """Return the digest of the named properties of structures and sites."""
    paths = [f"{group}/{name}" for group in (PROPERTIES, SITE_PROPERTIES) for name in names]
    return hdf5.digest(file, [path for path in paths if path in file])
