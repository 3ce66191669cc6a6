"""Two columns of numbers below any header: CSV, plain columns, XANESNET's repacked files, ORCA's output.

A header may have any number of lines: data begin at the first row of two or more numbers and end with the file.
Separators are commas, semicolons, tabs or blanks. Comments begin with ``#``, ``%`` or ``!``. Exponents may be written
as in Fortran (``1.5D-03``).
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import FormatError

LARGEST = 64 << 20
"""Largest size of a spectrum file, 64 MiB."""
ENERGY_TITLES = (
    "energy", "energies", "e", "ev", "eev", "energyev", "photonenergy", "photonenergyev",
)  # fmt: skip
"""Titles of the energy column, letters and digits only: ``Energy (eV)`` and ``energy_ev`` both match ``energyev``."""
RELATIVE_TITLE = "energy_ev_relative_to_e0"
"""Title of the energy column if none of ``ENERGY_TITLES`` occurs."""
FORTRAN_NUMBER = re.compile(r"([-+]?[\d.]+)[dD]([-+]?\d+)")
INTENSITY_TITLES = ("xanes", "xes", "mu", "norm", "intensity", "absorption", "xas", "xmu", "mean")


@dataclass(frozen=True)
class Table:
    """A text table: header lines, column titles (if the last header line has one per column), and numbers."""

    header: list[str]
    titles: list[str]
    values: npt.NDArray[np.float64]


def read_table(path: Path) -> Table:
    """Read the header and the numbers, shape (n_rows, n_columns), of a text file.

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
    rows: list[list[float]] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.strip()
        if not words:
            continue
        row = None if words[0] in "#%!" else _numbers(words)
        if not rows and (row is None or len(row) < 2):
            header.append(line.rstrip().lstrip("#%! "))
        elif row is None:
            if words[0] not in "#%!":
                raise FormatError(f"{path}: line {number}: expected numbers, received {words[:40]!r}")
        elif rows and len(row) != len(rows[0]):
            raise FormatError(f"{path}: line {number}: expected {len(rows[0])} columns, received {len(row)}")
        else:
            rows.append(row)
    if not rows:
        raise FormatError(f"{path}: " + ("no row of two or more numbers" if text else "empty file"))
    titles = _split(header[-1]) if header else []
    if len(titles) == len(rows[0]) + 1 and not titles[0]:  # indented, or a separator after the comment sign
        titles = titles[1:]
    return Table(header, titles if len(titles) == len(rows[0]) else [], np.array(rows))


def energy_and_intensity(path: Path, table: Table) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return energies and intensities: the two columns of a table, or of more columns those with such titles.

    Raises
    ------
    FormatError
        If there are not two columns, and not exactly one title for the energy and one for the intensity.
    """
    n_columns = table.values.shape[1]
    energy, intensity = [0], [1]
    if n_columns != 2:
        titles = [t.strip("<>\"' ").lower() for t in table.titles]
        energy = [i for i, t in enumerate(titles) if re.sub("[^a-z0-9]", "", t) in ENERGY_TITLES]
        energy = energy or [i for i, t in enumerate(titles) if t == RELATIVE_TITLE]
        intensity = [i for i, t in enumerate(titles) if t in INTENSITY_TITLES]
        if len(energy) != 1 or len(intensity) != 1:
            raise FormatError(
                f"{path}: expected two columns, energy and intensity, received {n_columns}"
                + (f" ({', '.join(table.titles)})" if table.titles else "")
            )
    return table.values[:, energy[0]].copy(), table.values[:, intensity[0]].copy()


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
