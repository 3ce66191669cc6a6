"""Tables with any number of rows for each site, made in parts: columns, and the offsets of each site's rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import StoreError
from xanes_hpc.stores.columns import ATOMS_PER_CHUNK, Column, Columns
from xanes_hpc.stores.part_files import open_part

OFFSETS = "offsets"


@dataclass(frozen=True)
class RaggedColumn:
    """A dataset of a ragged table: its name, the shape of a row, and its type."""

    name: str
    row_shape: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class RaggedTable:
    """A group of datasets: ``offsets``, (n_sites + 1,), and columns in which site i has rows offsets[i]:offsets[i + 1].

    Attributes
    ----------
    name
        Name of the group.
    columns
        The other datasets.
    typical_rows
        Number of rows that a site typically has; parts are sized by it.
    filters
        h5py's filters of the columns.
    """

    name: str
    columns: Sequence[RaggedColumn]
    typical_rows: int
    filters: Mapping[str, Any] = field(default_factory=dict)

    chunk_rows = 1
    in_words = "sites of any number of rows"

    @property
    def row_bytes(self) -> int:
        """Typical size of a site in bytes."""
        return self.typical_rows * sum(prod(column.row_shape) * column.dtype.itemsize for column in self.columns)

    def create(self, file: h5py.File, n_rows: int, extendable: bool = False) -> "RaggedRows":
        """Return what writes the rows of so many sites."""
        return RaggedRows(file, self, n_rows)

    def fits(self, file: h5py.File, n_rows: int) -> bool:
        """Return whether a part has the datasets of so many sites."""
        offsets = file[f"{self.name}/{OFFSETS}"][:]
        if offsets.shape != (n_rows + 1,) or offsets[0] != 0 or (np.diff(offsets) < 0).any():
            return False
        found = [file[f"{self.name}/{column.name}"] for column in self.columns]
        return all(
            rows.shape == (offsets[-1], *column.row_shape) and rows.dtype == column.dtype
            for rows, column in zip(found, self.columns, strict=True)
        )

    def append(self, part: Path, target: "RaggedRows", first_row: int, n_rows: int, plan: str) -> None:
        """Copy the sites of a part to an output, after those of the parts before.

        Raises
        ------
        StoreError
            If the part cannot be read, or belongs to another plan.
        """
        with open_part(part, plan) as file:
            if not self.fits(file, n_rows):
                raise StoreError(f"{part}: was replaced by a part of another output; run again")
            counts = np.diff(file[f"{self.name}/{OFFSETS}"][:])
            columns = [file[f"{self.name}/{column.name}"][:] for column in self.columns]
        target.extend(counts, columns)


class RaggedRows:
    """Writes the rows of sites one after another to new datasets, which are complete with the last site."""

    def __init__(self, file: h5py.File, table: RaggedTable, n_sites: int) -> None:
        self._columns, self._names, self._left = Columns(), [column.name for column in table.columns], n_sites
        self._columns.add(OFFSETS, Column(file, f"{table.name}/{OFFSETS}", np.int64))
        for own in table.columns:
            path = f"{table.name}/{own.name}"
            self._columns.add(own.name, Column(file, path, own.dtype, own.row_shape, ATOMS_PER_CHUNK, table.filters))
        self._n_rows = 0
        self._columns[OFFSETS].extend([0])

    def extend(self, counts: npt.NDArray[np.int64], columns: Sequence[npt.NDArray[Any]]) -> None:
        """Append sites: the number of rows of each, and these rows in each column."""
        self._columns[OFFSETS].extend(self._n_rows + np.cumsum(counts))
        for name, rows in zip(self._names, columns, strict=True):
            self._columns[name].extend(rows)
        self._n_rows += int(counts.sum())
        self._left -= len(counts)
        if not self._left:
            self._columns.finish()
