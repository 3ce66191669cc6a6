"""The order of a measured series: from a table of times, temperatures and the like, or from the files' names."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import FormatError
from xanes_hpc.experiment.measured_files import MeasuredFile, natural
from xanes_hpc.formats.tables import read_rows

FILE = "file"
UNIT = re.compile(r"^(.*?)\s*(?:\((.+)\)|\[(.+)\]|/\s*(\S+))$")
"""A title with a unit: ``T (K)``, ``T [K]``, ``T / K``."""
MOST_NAMED = 3


@dataclass(frozen=True)
class SeriesAxis:
    """What changes along a series.

    Attributes
    ----------
    title, unit
        Such as ``time`` and ``s``; the unit is empty if there is none.
    values : (n_spectra,)
        The value of each spectrum.
    """

    title: str
    unit: str
    values: npt.NDArray[np.float64]

    @property
    def label(self) -> str:
        """The title with its unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    def take(self, chosen: Sequence[int]) -> "SeriesAxis":
        """Return the axis of chosen spectra."""
        return SeriesAxis(self.title, self.unit, self.values[list(chosen)])


def ordered_files(files: Sequence[MeasuredFile], table: Path | None) -> tuple[list[MeasuredFile], SeriesAxis]:
    """Return measured spectra in the order of their series, and what changes along it.

    Parameters
    ----------
    files
        The spectra in any order.
    table
        A table with a column ``file``, with or without the files' endings, and one of numbers, whose title may have a
        unit: ``time (s)``. Rows of other files are ignored. Without a table the order is the natural one of the names.

    Raises
    ------
    FormatError
        If the table cannot be read, or lacks one of the files or its value.
    """
    if table is None:
        found = sorted(files, key=lambda own: natural(Path(own.name)))
        return found, SeriesAxis("number", "", np.arange(1.0, len(found) + 1))
    title, values = _values(table)
    missing = [own.name for own in files if _value(values, own) is None]
    if missing:
        more = ", …" if len(missing) > MOST_NAMED else ""
        raise FormatError(
            f"{table}: expected a row for each of {len(files):,} spectra, lacks {len(missing):,} "
            f"({', '.join(missing[:MOST_NAMED])}{more})"
        )
    keyed = sorted(((float(_value(values, own) or 0.0), own) for own in files), key=lambda pair: pair[0])
    words = UNIT.match(title)
    name, unit = (words[1], next(text for text in words.groups()[1:] if text)) if words else (title, "")
    return [own for _, own in keyed], SeriesAxis(name.strip() or title, unit, np.array([value for value, _ in keyed]))


def _values(table: Path) -> tuple[str, dict[str, float]]:
    """Return the title of a table's numbers, and the number for each file it names."""
    rows = read_rows(table)
    _, titles = next(rows)
    small = [title.lower() for title in titles]
    if FILE not in small or len(titles) < 2:
        listed = ", ".join(titles[:8]) or "nothing"
        raise FormatError(f"{table}: line 1: expected columns file and, for instance, time (s), received {listed}")
    at = small.index(FILE)
    of = next(k for k in range(len(titles)) if k != at)
    values: dict[str, float] = {}
    for line, cells in rows:
        try:
            value = float(cells[of])
        except ValueError:
            value = np.nan
        if not np.isfinite(value):
            raise FormatError(f"{table}: line {line}: expected a number for {titles[of]}, received {cells[of]!r}")
        if cells[at] in values:
            raise FormatError(f"{table}: line {line}: second row of {cells[at]}; expected one")
        values[cells[at]] = value
    return titles[of], values


def _value(values: dict[str, float], own: MeasuredFile) -> float | None:
    names = (own.name, str(own.path), own.path.name, Path(own.name).stem, own.name.rpartition(":")[2])
    return next((values[name] for name in names if name in values), None)
