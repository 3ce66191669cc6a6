"""Two columns of numbers below any header: CSV, plain columns, XANESNET's repacked files, ORCA's output.

A header may have any number of lines: data begin at the first row of two or more numbers and end with the file.
Separators are commas, semicolons, tabs or blanks. Comments begin with ``#``, ``%`` or ``!``. Exponents may be written
as in Fortran (``1.5D-03``).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import FormatError
from xanes_hpc.spectra.spectrum import Choices

LARGEST = 64 << 20
"""Largest size of a spectrum file, 64 MiB."""
ENERGY_TITLES = (
    "energy", "energies", "e", "ev", "eev", "energyev", "photonenergy", "photonenergyev", "omega",
    "kev", "ekev", "energykev", "photonenergykev",
)  # fmt: skip
"""Titles of the energy column, letters and digits only: ``Energy (eV)`` and ``energy_ev`` both match ``energyev``."""
RELATIVE_TITLE = "energyevrelativetoe0"
"""Title of the energy column if none of ``ENERGY_TITLES`` occurs."""
OTHER_TITLES = (
    "k", "kaa1", "k1", "chi", "chik", "kchi", "k2chi", "k3chi", "chik2", "chik3", "r", "rmag", "chir", "chirmag",
    "q", "angle", "theta", "twotheta", "2theta", "tth", "wavelength", "time", "seconds",
)  # fmt: skip
"""Titles of columns that are neither energies nor spectra."""
SEVERAL_COLUMNS = "files have several columns that may be the spectrum"
FORTRAN_NUMBER = re.compile(r"([-+]?[\d.]+)[dD]([-+]?\d+)")
INTENSITY_TITLES = ("xanes", "xes", "mu", "norm", "intensity", "absorption", "xas", "xmu", "mean")
Columns = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], Choices]
"""Energies (eV), intensities, and what the reader chose, as in ``Spectrum.choices``."""


@dataclass(frozen=True)
class Table:
    """A text table: header lines, column titles (if the last header line has one per column), and numbers."""

    header: list[str]
    titles: list[str]
    values: npt.NDArray[np.float64]


def read_table(path: Path, ends_header: str | None = None) -> Table:
    """Read the header and the numbers, shape (n_rows, n_columns), of a text file.

    Parameters
    ----------
    path
        The file.
    ends_header
        Start of the line that ends the header; from there on, lines are comments or numbers.

    Raises
    ------
    FormatError
        If there are no numbers, or a row has a different number of columns from those before it.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise FormatError(f"{path}: {path.stat().st_size >> 20} MiB, too large for a spectrum")
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from None
    if "\0" in text:
        raise FormatError(f"{path}: expected text, received a binary file")
    header: list[str] = []
    unread: list[tuple[int, str]] = []  # lines above the data that are not comments
    rows: list[list[float]] = []
    ended = False
    for number, line in enumerate(text.splitlines(), 1):
        words = line.strip()
        if not words:
            continue
        row = None if words[0] in "#%!" else _numbers(words)
        ended = ended or (ends_header is not None and words.replace(" ", "").startswith(ends_header))
        if not rows and (row is None or len(row) < 2) and (words[0] in "#%!" or not ended):
            header.append(line.rstrip().lstrip("#%! "))
            if words[0] not in "#%!":
                unread.append((number, words))
        elif row is None:
            if words[0] not in "#%!":
                raise FormatError(f"{path}: line {number}: expected numbers, received {words[:40]!r}")
        elif rows and len(row) != len(rows[0]):
            raise FormatError(f"{path}: line {number}: expected {len(rows[0])} columns, received {len(row)}")
        else:
            rows.append(row)
    if not rows:
        raise FormatError(f"{path}: " + ("no row of two or more numbers" if text else "empty file"))
    if lost := _damaged_row(unread, rows):
        number, words = lost
        raise FormatError(f"{path}: line {number}: expected numbers, received {words[:40]!r}")
    titles = _split(header[-1]) if header else []
    if len(titles) > len(rows[0]):
        titles = _split(re.sub(r"\s*\([^)]*\)", "", header[-1]))  # units in words of their own
    if len(titles) == len(rows[0]) + 1 and not titles[0]:  # indented, or a separator after the comment sign
        titles = titles[1:]
    return Table(header, titles if len(titles) == len(rows[0]) else [], np.array(rows))


def energy_and_intensity(path: Path, table: Table) -> Columns:
    """Return energies (eV), intensities, and what was chosen: the columns with such titles, or the only two columns.

    Raises
    ------
    FormatError
        If the columns hold another quantity, such as chi(k), or it is not clear which columns hold the spectrum.
    """
    n_columns = table.values.shape[1]
    titles = [re.sub("[^a-z0-9]", "", title.lower()) for title in table.titles]
    energy = [i for i, t in enumerate(titles) if t in ENERGY_TITLES] or [
        i for i, t in enumerate(titles) if t == RELATIVE_TITLE
    ]
    intensity = [i for i, t in enumerate(titles) if t in INTENSITY_TITLES]
    other = [table.titles[i] for i, t in enumerate(titles) if t in OTHER_TITLES]
    if other and not energy:
        raise FormatError(
            f"{path}: expected energies and a spectrum, received the columns {', '.join(table.titles)}: "
            f"{other[0]} is no energy"
        )
    if n_columns == 2:
        energy = energy or [1 if intensity == [0] else 0]
        intensity = [1 - energy[0]]
        if titles and titles[intensity[0]] in OTHER_TITLES:
            raise FormatError(f"{path}: expected a spectrum, received the column {table.titles[intensity[0]]}")
    if len(energy) != 1 or not intensity:
        raise FormatError(
            f"{path}: expected two columns, energy and intensity, received {n_columns}"
            + (f" ({', '.join(table.titles)})" if table.titles else "")
        )
    choices: Choices = ()
    if len(intensity) > 1:
        named = ", ".join(table.titles[i] for i in intensity)
        choices = ((SEVERAL_COLUMNS, f"{path.name}: {named}; read {table.titles[intensity[0]]}, the first"),)
    factor = 1000.0 if titles and titles[energy[0]].endswith("kev") else 1.0
    return factor * table.values[:, energy[0]], table.values[:, intensity[0]].copy(), choices


def _damaged_row(lines: Sequence[tuple[int, str]], rows: Sequence[Sequence[float]]) -> tuple[int, str] | None:
    """Return the first line above the data that is one of its rows, with a word that is no number; None if none is.

    Such a line begins with a number that continues the first column, and has as many words as the rows, each with a
    digit or the asterisks of a Fortran overflow.
    """
    if len(rows) < 2:
        return None
    step = rows[1][0] - rows[0][0]
    for number, words in lines:
        parts = _split(words)
        start = _numbers(parts[0]) if parts else None
        if not start or len(parts) != len(rows[0]) or not all(re.search(r"[\d*]", part) for part in parts):
            continue
        if step and 0 < (rows[0][0] - start[0]) / step < len(lines) + 1.5:
            return number, words
    return None


def _split(text: str) -> list[str]:
    for separator in ";,\t":
        if separator in text:
            return [part.strip() for part in text.rstrip(separator + " ").split(separator)]
    return text.split()


def _numbers(text: str) -> list[float] | None:
    parts = _split(text)
    for write in (str, _with_e):
        try:
            return [float(write(part)) for part in parts]
        except ValueError:
            continue
    return None


def _with_e(number: str) -> str:
    """Return a number with Fortran's D exponent written with an E."""
    return FORTRAN_NUMBER.sub(r"\1e\2", number)
