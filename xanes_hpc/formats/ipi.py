"""i-PI's comment line in XYZ: the quantity, its unit, and the cell with its unit.

    # CELL(abcABC):  18.9  18.9  18.9  90.0  90.0  90.0  Step: 0  Bead: 0  positions{atomic_unit}  cell{atomic_unit}

Cells are ``abcABC`` (lengths and angles), ``H`` (an upper triangular matrix whose columns are the vectors) or ``GENH``
(any matrix, whose rows are the vectors), in brackets of any kind. Units that are not named are atomic units.
"""

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from ase.geometry import cellpar_to_cell

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.length_units import LENGTHS

CELL = re.compile(
    r"\bCELL\s*(?:[([{]\s*(\w*)\s*[)\]}])?\s*:?((?:\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?=\s|$))*)"
)
CELL_UNIT = re.compile(r"\bcell(?:_units?)?[({[](\w*)[)}\]]")
NAMES = r"positions|velocities|momenta|forces|[xvpf]_centroid|kinetic|r_gyration|extras|isotope|bec|dipole"
QUANTITY = re.compile(rf"\b((?:{NAMES})\w*)([({{[])\s*(\w*)\s*[)}}\]]")
TRAJECTORY = re.compile(r"\bTraj(?:ectory)?\s*[:([{]\s*(\w+)")
UNITS = re.compile(r"(?<![\w])units?[({[](\w*)[)}\]]")
POSITIONS = re.compile(r"positions\w*|x_centroid\w*")
UNIT_NAMES = {
    "": "bohr", "atomic_unit": "bohr", "bohr": "bohr", "angstrom": "angstrom", "ase": "angstrom", "nanometer": "nm",
    "picometer": "pm",
}  # fmt: skip
"""i-PI's names of units of length, and those in ``LENGTHS``."""
ASSUMED = "i-PI comments without units: read in atomic units, which are i-PI's own"


@dataclass(frozen=True)
class Frame:
    """What the comment says: the length unit of the positions in Å, the cell in Å, and its periodic directions."""

    length: float
    cell: npt.NDArray[np.float64]
    pbc: npt.NDArray[np.bool_]
    choices: tuple[tuple[str, str], ...] = ()


def parse_comment(comment: str) -> Frame | FormatError | None:
    """Return the units and the cell in a comment line, an error if it cannot be used, or None if it is not i-PI's.

    Examples
    --------
    >>> text = "# CELL(abcABC): 10 10 10 90 90 90 Step: 0 positions{atomic_unit} cell{angstrom}"
    >>> frame = parse_comment(text)
    >>> round(frame.length, 3), frame.cell[0].tolist()
    (0.529, [10.0, 0.0, 0.0])
    >>> print(parse_comment(text.replace("positions", "forces")))
    expected i-PI's positions, but the comment names 'forces'
    """
    found, quantity = CELL.search(comment), QUANTITY.search(comment)
    if found and not found[1] and len(found[2].split()) < 3:
        found = None  # a word of another program's comment
    if found is None and (quantity is None or quantity[2] != "{"):
        return None
    named = quantity or TRAJECTORY.search(comment)
    if named and (quantity or re.match(NAMES, named[1])) and not POSITIONS.fullmatch(named[1]):
        return FormatError(f"expected i-PI's positions, but the comment names {named[1]!r}")
    general, own_cell = UNITS.search(comment), CELL_UNIT.search(comment)
    words = [quantity[3] if quantity else general[1] if general else "", own_cell[1] if own_cell else ""]
    for word in words:
        if word.lower() not in UNIT_NAMES:
            return FormatError(f"unknown unit {word!r}; expected one of {', '.join(filter(None, UNIT_NAMES))}")
    length, cell_length = (LENGTHS[UNIT_NAMES[word.lower()]] for word in words)
    assumed = [what for what, word in zip(("positions", "cell"), words, strict=True) if not word]
    if found is None:
        assumed = [what for what in assumed if what != "cell"]
    choices = ((ASSUMED, " and ".join(assumed)),) if assumed else ()
    if found is None:
        return Frame(length, np.zeros((3, 3)), np.zeros(3, np.bool_), choices)
    vectors = _vectors(found[1] or "", np.array([float(word) for word in found[2].split()]), cell_length)
    if vectors is None:
        return FormatError(
            "expected CELL(abcABC) with six positive parameters, CELL(H) with an upper triangular matrix or CELL(GENH) "
            f"with nine numbers, received {' '.join(found[0].split())[:80]!r}"
        )
    return Frame(length, vectors, np.ones(3, np.bool_), choices)


def _vectors(kind: str, values: npt.NDArray[np.float64], length: float) -> npt.NDArray[np.float64] | None:
    """Return the vectors of a cell as rows, Å, or None if the values do not make one."""
    if kind == "abcABC" and values.size == 6 and (values > 0).all():
        try:
            return np.asarray(cellpar_to_cell(values * ([length] * 3 + [1.0] * 3)))  # type: ignore[no-untyped-call]
        except (ValueError, AssertionError):
            return None
    if kind not in ("H", "GENH") or values.size != 9:
        return None
    rows = length * (values.reshape(3, 3).T if kind == "H" else values.reshape(3, 3))
    if (kind == "H" and np.triu(rows, 1).any()) or not abs(np.linalg.det(rows)) > 1e-6:
        return None
    return rows
