"""Tables of structures' properties, one row a structure: CSV with a header, such as tmQM's ``tmQM_y.csv``.

Columns are separated by ``;``, ``,`` or tabs. The column ``CSD_code``, or ``name``, has the structures' names.
"""

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.text import open_text
from xanes_hpc.formats.tmqm import NAMES

KEYS = ("csd_code", "name")
"""Names of the column with the structures' names, in small letters."""
NUMBERS = ("charge", "spin")
"""Properties that are never text."""
SEPARATORS = ";,\t"


class PropertyTable:
    """Properties by structure.

    Attributes
    ----------
    names
        Of the properties.

    Raises
    ------
    FormatError
        If the file cannot be read, or is no such table.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with open_text(path, newline="") as stream:
                self._read(stream)
        except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
            raise FormatError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
        self._used: set[int] = set()

    def _read(self, stream: TextIO) -> None:
        head = stream.readline()
        separator = max(SEPARATORS, key=head.count)
        names = [name.strip() for name in next(csv.reader([head], delimiter=separator), [])]
        found = [i for i, name in enumerate(names) if name.lower() in KEYS]
        if not found:
            listed = ", ".join(names[:8]) or "nothing"
            raise FormatError(f"{self._path}: expected a column CSD_code or name in its first line, received {listed}")
        twice = [name for k, name in enumerate(names) if name in names[:k]]
        if twice:
            raise FormatError(f"{self._path}: expected every column once, received {twice[0]!r} again")
        key = found[0]
        self._rows: dict[str, int] = {}
        columns: list[list[str]] = [[] for _ in names]
        for line, cells in enumerate(csv.reader(stream, delimiter=separator), 2):
            if not cells:
                continue
            if len(cells) != len(names):
                raise FormatError(f"{self._path}: line {line}: expected {len(names)} columns, received {len(cells)}")
            name = cells[key].strip()
            if name in self._rows:
                raise FormatError(f"{self._path}: line {line}: {name} has a row already")
            self._rows[name] = len(self._rows)
            for column, cell in zip(columns, cells, strict=True):
                column.append(cell.strip())
        self._columns = {
            NAMES.get(n, n): _typed(c) for i, (n, c) in enumerate(zip(names, columns, strict=True)) if i != key
        }
        for name in NUMBERS:
            values: Any = self._columns.get(name, ())
            if len(values) and isinstance(values[0], str):
                self._refuse_text(name, values)
        self.names = list(self._columns)

    def _refuse_text(self, name: str, column: Sequence[str]) -> None:
        row, text = next((k, text) for k, text in enumerate(column) if isinstance(_typed([text]), list))
        structure = next(own for own, k in self._rows.items() if k == row)
        raise FormatError(f"{self._path}: {structure}: {name}: expected a number, received {text!r}")

    def of(self, structure: str) -> dict[str, float | str] | None:
        """The properties of a structure, by its name or what is before the first ``_``; None without a row."""
        row = self._rows.get(structure)
        if row is None:
            row = self._rows.get(re.split("[_#@]", structure, maxsplit=1)[0])
        if row is None:
            return None
        self._used.add(row)
        values = {name: column[row] for name, column in self._columns.items()}
        return {n: v if isinstance(v, str) else float(v) for n, v in values.items() if v != "" and v == v}

    def of_site(self, site: str) -> dict[str, float | str]:
        """The properties of a site, by its whole name; empty where it has no row."""
        return (self.of(site) or {}) if site in self._rows else {}

    @property
    def n_unused(self) -> int:
        """Rows that no structure has asked for."""
        return len(self._rows) - len(self._used)


def _typed(cells: Sequence[str]) -> npt.NDArray[np.float64] | Sequence[str]:
    """Numbers where all cells are, NaN for empty ones."""
    try:
        return np.array([float(cell or "nan") for cell in cells])
    except ValueError:
        return cells
