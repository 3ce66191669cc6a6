"""i-PI's comment line in XYZ: units of positions and cell, and the cell.

    # CELL(abcABC):  18.9  18.9  18.9  90.0  90.0  90.0  Step: 0  Bead: 0  positions{atomic_unit}  cell{atomic_unit}

i-PI writes atomic units unless told otherwise. Comments of other programs that name such units are refused, because
coordinates would be taken for Å.
"""

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from ase.geometry import cellpar_to_cell
from ase.units import Bohr

from xanes_hpc.errors import FormatError

CELL = re.compile(r"CELL\(abcABC\):((?:\s+[-+\d.eE]+){6})")
UNIT = r"{}\{{(\w+)\}}"
LENGTHS = {"atomic_unit": Bohr, "bohr": Bohr, "angstrom": 1.0, "nanometer": 10.0}
"""Lengths in Å, by i-PI's names of units."""
OTHER_UNITS = re.compile(r"\bbohrs?\b|\bunits?\s*[=:]\s*\"?(au|a\.u\.|atomic)", re.IGNORECASE)


@dataclass(frozen=True)
class Frame:
    """What the comment says: the length unit of the positions in Å, the cell in Å, and its periodic directions."""

    length: float
    cell: npt.NDArray[np.float64]
    pbc: npt.NDArray[np.bool_]


def parse_comment(comment: str) -> Frame | FormatError | None:
    """Return the units and the cell in a comment line, an error if they cannot be used, or None if it has none.

    Examples
    --------
    >>> text = "# CELL(abcABC): 10 10 10 90 90 90 Step: 0 positions{atomic_unit} cell{angstrom}"
    >>> frame = parse_comment(text)
    >>> round(frame.length, 3), frame.cell[0].tolist()
    (0.529, [10.0, 0.0, 0.0])
    """
    positions, cell = (re.search(UNIT.format(name), comment) for name in ("positions", "cell"))
    found = CELL.search(comment)
    if positions is None and found is None:
        if OTHER_UNITS.search(comment):
            return FormatError(f"expected coordinates in Å, but the comment names other units: {comment[:60]!r}")
        return None
    lengths = [LENGTHS.get(unit[1].lower()) if unit is not None else Bohr for unit in (positions, cell)]
    if None in lengths:
        unknown = next(unit[1] for unit, length in zip((positions, cell), lengths, strict=True) if unit and not length)
        return FormatError(f"unknown unit {unknown!r}; expected one of {', '.join(LENGTHS)}")
    length, cell_length = (float(one) for one in lengths if one is not None)
    if found is None:
        return Frame(length, np.zeros((3, 3)), np.zeros(3, np.bool_))
    try:
        parameters = np.array([float(word) for word in found[1].split()])
        vectors = np.asarray(cellpar_to_cell(parameters * ([cell_length] * 3 + [1.0] * 3)))  # type: ignore[no-untyped-call]
    except (ValueError, AssertionError):
        return FormatError(f"expected six cell parameters, received {found[1].strip()!r}")
    return Frame(length, vectors, np.ones(3, np.bool_))
