"""The ``sites`` group that every store has."""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from xanes_hpc.errors import StoreError
from xanes_hpc.stores.columns import Column, Columns, StringColumn
from xanes_hpc.stores.hdf5 import read_strings, reading, write_strings
from xanes_hpc.stores.part_files import read_through
from xanes_hpc.structures.listed_sites import ListedSite

MOST_NAMED = 5
MOST_SEARCHED = 20_000
"""Largest number of names that are searched for similar ones."""
DTYPES: dict[str, Any] = {
    "name": str,
    "structure": np.int64,
    "atom": np.int64,
    "element": np.uint8,
    "edge": str,
    "weight": np.float64,
}


@dataclass(frozen=True)
class SiteTable:
    """Rows of the ``sites`` group; every field has one entry per site."""

    name: list[str]
    structure: npt.NDArray[np.int64]
    atom: npt.NDArray[np.int64]
    element: npt.NDArray[np.uint8]
    edge: list[str]
    weight: npt.NDArray[np.float64]

    @classmethod
    def read(cls, file: h5py.File, rows: Any = slice(None)) -> Self:
        """Read the rows of a store, by default all.

        Raises
        ------
        StoreError
            If the data are damaged.
        """
        with reading(Path(file.filename)):
            columns: dict[str, Any] = {
                name: read_strings(file, f"sites/{name}", rows) if dtype is str else file[f"sites/{name}"][rows]
                for name, dtype in DTYPES.items()
            }
        return cls(**columns)

    def find(self, name: str, path: Path) -> int:
        """Return the row of a site, by its name or by a unique beginning of it, up to the first ``_``, ``#`` or ``@``.

        Parameters
        ----------
        path
            The store's path, for errors.

        Raises
        ------
        StoreError
            If no site, or more than one, has that name.
        """
        found = self._names.rows(ListedSite("", name))
        if len(found) == 1:
            return found[0]
        raise StoreError(f"{path}: {self.why_none(name, found)}")

    @cached_property
    def _names(self) -> "SiteNames":
        return SiteNames(self)

    def why_none(self, name: str, found: Sequence[int] = ()) -> str:
        """Return why a name is not that of one site: several have it, or none has; with names that nearly match."""
        some_names = self.name[:MOST_SEARCHED]
        codes = {re.split("[_#@]", own, maxsplit=1)[0].lower(): own for own in reversed(some_names)}
        near = [codes[own] for own in difflib.get_close_matches(name.lower(), codes, MOST_NAMED, 0.6)]
        near = near or difflib.get_close_matches(name, some_names, MOST_NAMED, 0.4)
        some = [self.name[i] for i in found] or near or self.name
        listed = ", ".join(some[:MOST_NAMED]) + (", …" if len(some) > MOST_NAMED else "")
        what = f"{len(found):,} sites match {name!r}" if found else f"no site {name!r}"
        return f"{what}; expected one of {listed}"

    def rows_of(self, listed: Iterable[ListedSite], path: Path) -> npt.NDArray[np.int64]:
        """Return the rows of listed sites, ascending: in the table's order, not the list's.

        Parameters
        ----------
        listed
            The sites, each named as for ``find``, or by its structure and atom. It may be read twice.
        path
            The store's path, for errors.

        Raises
        ------
        StoreError
            If the table has not exactly one site of a name, or a site is listed twice.
        """
        found = np.fromiter((self._names.row(site, path) for site in listed), np.int64)
        rows = np.unique(found)
        if rows.size < found.size:
            seen = set[int]()
            for site, row in zip(listed, found.tolist(), strict=True):
                if row in seen:
                    raise StoreError(f"{site.where}: second row of site {self.name[row]}; expected one")
                seen.add(row)
        return rows

    def write(self, file: h5py.File) -> None:
        """Write the table to a new group."""
        for name, dtype in DTYPES.items():
            values: Sequence[Any] = getattr(self, name)
            if dtype is str:
                write_strings(file, f"sites/{name}", values)
            else:
                file.create_dataset(f"sites/{name}", data=np.asarray(values, dtype), fletcher32=True)

    def take(self, rows: npt.NDArray[np.integer]) -> Self:
        """Return the table with the given rows, in their order."""
        chosen: dict[str, Any] = {}
        for member in fields(self):
            values = getattr(self, member.name)
            chosen[member.name] = [values[i] for i in rows] if isinstance(values, list) else values[rows]
        return type(self)(**chosen)

    def only_edge(self) -> str:
        """Return the edge of all sites; ``K`` without a site.

        Raises
        ------
        ValueError
            If they are at several edges.
        """
        edges = sorted(set(self.edge))
        if len(edges) > 1:
            raise ValueError(f"has sites at several edges ({', '.join(edges)}); take a store for each edge")
        return edges[0] if edges else "K"

    def __len__(self) -> int:
        return len(self.name)

    @property
    def in_words(self) -> str:
        """Number of sites, with their elements and edges."""
        kinds = sorted({(int(z), edge) for z, edge in zip(self.element, self.edge, strict=True)})
        named = ", ".join(f"{chemical_symbols[z]} {edge}" for z, edge in kinds[:MOST_NAMED])
        return counted(len(self), "site") + (f" ({named}{', …' if len(kinds) > MOST_NAMED else ''})" if kinds else "")


class SiteNames:
    """Find rows of a table by the names of their sites."""

    def __init__(self, table: SiteTable) -> None:
        self._table = table

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self._table.name)}

    @cached_property
    def _beginnings(self) -> dict[str, int]:
        """The row of every beginning of names; -1 for one that several sites have."""
        found: dict[str, int] = {}
        for row, name in enumerate(map(_beginning, self._table.name)):
            found[name] = -1 if name in found else row
        return found

    def rows(self, listed: ListedSite) -> list[int]:
        """Return the rows of the sites that a list may mean: one in most cases, none, or several."""
        row = self._rows.get(listed.site)
        if row is not None:
            return [row]
        structure, atom = listed.structure_and_atom
        row = self._rows.get(structure)
        if row is None:
            row = self._beginnings.get(structure)
        if row == -1 and atom is None:
            return [i for i, own in enumerate(self._table.name) if _beginning(own) == structure]
        there = row is not None and row >= 0 and atom in (None, self._table.atom[row])
        return [row] if row is not None and there else []

    def row(self, listed: ListedSite, path: Path) -> int:
        """Return the row of a listed site.

        Raises
        ------
        StoreError
            If there is not exactly one.
        """
        found = self.rows(listed)
        if len(found) != 1:
            raise StoreError(f"{listed.where}: {path}: {self._table.why_none(listed.site, found)}")
        return found[0]


def _beginning(name: str) -> str:
    return re.split("[_#@]", name, maxsplit=1)[0]


def counted(n: int, one: str, several: str | None = None) -> str:
    """Return a number followed by its noun.

    Examples
    --------
    >>> counted(1, "site"), counted(1200, "site"), counted(2, "spectrum", "spectra")
    ('1 site', '1,200 sites', '2 spectra')
    """
    return f"{n:,} {one if n == 1 else several or one + 's'}"


def copy_sites(source: h5py.File, target: h5py.File) -> None:
    """Copy the group from one store to a new one, without decoding its chunks.

    Raises
    ------
    StoreError
        If the group is damaged.
    """
    group = target.create_group("sites")
    for name in DTYPES:
        with reading(Path(source.filename)):
            read_through(source[f"sites/{name}"])
        source.copy(source[f"sites/{name}"], group, name)


def add_site_columns(columns: Columns, file: h5py.File) -> None:
    """Add the columns of a new ``sites`` group."""
    for name, dtype in DTYPES.items():
        path = f"sites/{name}"
        columns.add(path, StringColumn(file, path) if dtype is str else Column(file, path, dtype))
