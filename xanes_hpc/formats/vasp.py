"""Spectra of core-hole calculations by VASP (``CH_LSPEC``): the dielectric function in ``OUTCAR``.

Its imaginary part, averaged over x, y and z, is proportional to the absorption. The energy is a difference of
calculated levels, which lies tens of eV or more from the measured edge: a ``shift`` brings it there.
"""

from pathlib import Path

import numpy as np

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.text import UNREADABLE, open_text, unpacked_name, unreadable
from xanes_hpc.spectra.spectrum import Spectrum, treatment

NAME = "OUTCAR"
TITLE = "IMAGINARY DIELECTRIC FUNCTION"
MOST_POINTS = 1_000_000


def recognises(path: Path) -> bool:
    """Return True if a file is VASP's by its name."""
    return Path(unpacked_name(path)).name == NAME


def read(path: Path) -> Spectrum:
    """Read a spectrum, the first dielectric function of the file.

    Raises
    ------
    FormatError
        If the file has none, or ends within it.
    """
    rows: list[list[float]] = []
    try:
        with open_text(path, "replace") as stream:
            if not any(TITLE in line for line in stream):
                raise FormatError(f"{path}: expected a frequency dependent {TITLE} (CH_LSPEC), found none")
            for line in stream:
                row = _numbers(line)
                if row is None and (rows or "DIELECTRIC FUNCTION" in line):
                    break
                if row is not None:
                    rows.append(row)
                if len(rows) > MOST_POINTS:
                    raise FormatError(f"{path}: expected at most {MOST_POINTS:,} energies")
            else:
                raise FormatError(f"{path}: ends within its dielectric function")
    except UNREADABLE as error:
        raise unreadable(path, error) from None
    if not rows:
        raise FormatError(f"{path}: expected rows of the energy and six elements below {TITLE}, found none")
    values = np.array(rows)
    return Spectrum(
        energies=values[:, 0].copy(),
        intensities=values[:, 1:4].mean(axis=1),
        treatment=treatment("vasp"),
        absolute=True,
        source=f"{path.parent.name}/{path.name}",
    )


def _numbers(line: str) -> list[float] | None:
    """Return the energy and the six elements of the tensor in a line; None if it does not hold them."""
    words = line.split()
    try:
        return [float(word) for word in words] if len(words) == 7 else None
    except ValueError:
        return None
