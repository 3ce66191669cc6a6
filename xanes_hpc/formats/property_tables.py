"""Tables of properties with one row per structure: CSV with a header, such as tmQM's ``tmQM_y.csv``.

The column ``CSD_code`` or ``name`` holds the names of the structures.
"""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.comma_numbers import GROUPED
from xanes_hpc.formats.tables import read_columns
from xanes_hpc.formats.tmqm import NAMES

KEYS = ("csd_code", "name")
"""Titles, in lower case, of the column with the structures' names."""
NUMBERS = ("charge", "spin")
"""Properties that are never text."""
MISSING = ("-", "--", "–", "n/a", "na", "#n/a", "nan", "none", "null")
"""What stands for a missing number."""


class PropertyTable:
    """Properties by structure.

    Attributes
    ----------
    names
        Names of the properties.

    Raises
    ------
    FormatError
        If the file cannot be read, or is not such a table.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        structures, columns = read_columns(path, KEYS)
        self._rows = {name: row for row, name in enumerate(structures)}
        for name, cells in columns.items():
            if in_doubt := _thousands(cells):
                raise FormatError(
                    f"{path}: {name}: expected numbers without commas, received {in_doubt!r}: a separator of thousands "
                    "or a decimal comma?"
                )
        self._columns = {NAMES.get(name, name): _typed(cells) for name, cells in columns.items()}
        self._with_sites = {name.rpartition("#")[0] for name in structures if "#" in name}
        self._used: set[int] = set()
        for name in NUMBERS:
            values: Any = self._columns.get(name, ())
            if len(values) and isinstance(values[0], str):
                self._refuse_text(name, values)
        self.names = list(self._columns)

    def _refuse_text(self, name: str, column: Sequence[str]) -> None:
        row, text = next((k, text) for k, text in enumerate(column) if isinstance(_typed([text])[0], str))
        structure = next(own for own, k in self._rows.items() if k == row)
        raise FormatError(f"{self._path}: {structure}: {name}: expected a number, received {text!r}")

    def of(self, structure: str) -> dict[str, float | str] | None:
        """Return the properties of a structure by its name, that before ``#`` or ``@``, or before ``_``; or None."""
        row = self._rows.get(structure)
        if row is None:
            names = (re.split(ends, structure, maxsplit=1)[0] for ends in ("[#@]", "[_#@]"))
            row = next((self._rows[name] for name in names if name in self._rows), None)
        if row is None:
            return None
        self._used.add(row)
        values = ((name, column[row]) for name, column in self._columns.items())
        return {name: value for name, value in values if value != "" and value == value}

    def of_site(self, site: str) -> dict[str, float | str]:
        """Return the properties of a site by its full name; empty if it has no row."""
        return (self.of(site) or {}) if site in self._rows else {}

    def names_sites_of(self, structure: str) -> bool:
        """Return True if rows are named after sites of a structure, such as ``NAME#7``."""
        return structure in self._with_sites

    @property
    def n_unused(self) -> int:
        """The number of rows that no structure or site has used."""
        return len(self._rows) - len(self._used)


def _thousands(cells: Sequence[str]) -> str:
    """Return the first of numbers whose commas all may separate thousands; empty if there is none."""
    with_commas = [cell for cell in cells if "," in cell]
    return with_commas[0] if with_commas and all(map(GROUPED.fullmatch, with_commas)) else ""


def _typed(cells: Sequence[str]) -> Sequence[float] | Sequence[str]:
    """Return cells as numbers if all are, with NaN for missing ones; a comma in a number is a decimal comma."""
    present = ["" if cell.strip().lower() in MISSING else cell for cell in cells]
    for write in (str, _with_point):
        try:
            found = [float(write(cell) or "nan") for cell in present]
        except ValueError:
            continue
        return cells if any(map(math.isinf, found)) else found
    return cells


def _with_point(number: str) -> str:
    return number.replace(",", ".")
