"""Write datasets that grow by rows, one chunk at a time."""

from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from xanes_hpc.stores.hdf5 import encoded

ROWS_PER_CHUNK = 4096
"""Rows of a chunk; a column with fewer rows has a single chunk of that many."""
ATOMS_PER_CHUNK = 32768
"""The same for columns of atoms, which have many rows and are read in long runs."""


class Column:
    """A dataset that grows by rows; it is created when its first chunk is full, or by ``finish``."""

    def __init__(
        self, file: h5py.File, name: str, dtype: Any, row_shape: tuple[int, ...] = (), per_chunk: int = 0,
        filters: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self._file, self._name, self._dtype, self._row_shape = file, name, dtype, row_shape
        self._per_chunk, self._filters = per_chunk or ROWS_PER_CHUNK, filters or {}
        self._dataset: h5py.Dataset | None = None
        self._pending: list[Any] = []
        self._n_pending = 0
        self.n_rows = 0

    def extend(self, rows: Sequence[Any] | npt.NDArray[Any]) -> None:
        """Append rows."""
        self._pending.append(rows)
        self._n_pending += len(rows)
        self.n_rows += len(rows)
        if self._n_pending >= self._per_chunk:
            self._write(self._joined(), self._per_chunk)

    def finish(self) -> None:
        """Write the pending rows."""
        if self._n_pending or self._dataset is None:
            n_rows = max(1, self._n_pending)
            self._write(self._joined(), n_rows)

    def _joined(self) -> npt.NDArray[Any]:
        empty = np.empty((0, *self._row_shape), self._dtype)
        rows = np.concatenate([empty, *(self._array(rows) for rows in self._pending)])
        self._pending, self._n_pending = [], 0
        return rows

    def _array(self, rows: Any) -> npt.NDArray[Any]:
        return np.asarray(rows, self._dtype).reshape(-1, *self._row_shape)

    def _write(self, rows: npt.NDArray[Any], chunk_rows: int) -> None:
        if self._dataset is None:
            self._dataset = self._create(self._name, rows.dtype, chunk_rows)
        start = self._dataset.shape[0]
        self._dataset.resize(start + len(rows), axis=0)
        self._dataset[start:] = rows.astype(self._dataset.dtype)  # HDF5 does not convert between character sets

    def _create(self, name: str, dtype: Any, chunk_rows: int) -> h5py.Dataset:
        return self._file.create_dataset(
            name,
            shape=(0, *self._row_shape),
            maxshape=(None, *self._row_shape),
            chunks=(chunk_rows, *self._row_shape),
            dtype=dtype,
            fletcher32=True,
            **self._filters,
        )


class StringColumn(Column):
    """A growing column of fixed-width UTF-8 strings, widened when a longer string arrives."""

    def __init__(self, file: h5py.File, name: str) -> None:
        super().__init__(file, name, np.dtype("S1"))

    def _array(self, rows: Any) -> npt.NDArray[Any]:
        return encoded(rows)

    def _write(self, rows: npt.NDArray[Any], chunk_rows: int) -> None:
        if self._dataset is not None and rows.dtype.itemsize > self._dataset.dtype.itemsize:
            self._dataset = self._widened(self._dataset, 2 * rows.dtype.itemsize)
        super()._write(rows, chunk_rows)

    def _create(self, name: str, dtype: Any, chunk_rows: int) -> h5py.Dataset:
        return super()._create(name, h5py.string_dtype("utf-8", dtype.itemsize), chunk_rows)

    def _widened(self, narrow: h5py.Dataset, width: int) -> h5py.Dataset:
        wide = self._create(f"{self._name}.wider", np.dtype(f"S{width}"), ROWS_PER_CHUNK)
        wide.resize(narrow.shape[0], axis=0)
        for start in range(0, narrow.shape[0], ROWS_PER_CHUNK):
            wide[start : start + ROWS_PER_CHUNK] = narrow[start : start + ROWS_PER_CHUNK].astype(wide.dtype)
        del self._file[self._name]
        self._file.move(f"{self._name}.wider", self._name)
        return wide


class Columns:
    """The columns of a file by name, finished together."""

    def __init__(self) -> None:
        self._columns: dict[str, Column] = {}

    def add(self, name: str, column: Column) -> None:
        """Add a column."""
        self._columns[name] = column

    def __getitem__(self, name: str) -> Column:
        return self._columns[name]

    def __contains__(self, name: str) -> bool:
        return name in self._columns

    def finish(self) -> None:
        """Write the pending rows of all columns."""
        for column in self._columns.values():
            column.finish()
