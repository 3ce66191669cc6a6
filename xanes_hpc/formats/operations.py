"""Symmetry operations: read from triplets, held to be a group, and held to the metric of a cell."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import gemmi
import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import FormatError

IDENTITY = "x,y,z"
TRIPLET = re.compile(r"[-+*/.,xyzXYZ0-9\s]+")
MOST_OPERATIONS = 4608
"""Most operations of a group: the 192 of the largest space groups, with 24 centrings of a magnetic cell."""
LENGTH, ANGLE = 0.01, 0.5
"""Relative difference of lengths, and difference of angles (°), within which a cell has a symmetry."""


@lru_cache(maxsize=64)
def group_of(triplets: tuple[str, ...], centrings: tuple[str, ...] = ()) -> tuple[Any, ...]:
    """Return the operations that triplets say, each once and the identity first.

    Parameters
    ----------
    triplets
        Operations such as ``-x,y+1/2,-z``; a sign of time reversal after a third comma is left out.
    centrings
        Translations, written alike, by which each of them is repeated.

    Raises
    ------
    FormatError
        If one cannot be read, or they are no group.

    Examples
    --------
    >>> [operation.triplet() for operation in group_of(("-x,-y,-z", "x,y,z"))]
    ['x,y,z', '-x,-y,-z']
    """
    every = [(c * op).wrap() for c in map(_operation, centrings or (IDENTITY,)) for op in map(_operation, triplets)]
    found = {op.triplet(): op for op in every}
    if IDENTITY not in found:
        raise FormatError(
            f"expected the identity {IDENTITY!r} among its {_counted(len(found))}; list all of a space group"
        )
    if len(found) > MOST_OPERATIONS:
        raise FormatError(f"expected at most {MOST_OPERATIONS:,} symmetry operations, received {len(found):,}")
    operations = (found.pop(IDENTITY), *found.values())
    _check_closed(operations)
    return operations


def _operation(text: str) -> Any:
    plain = ",".join(text.split(",")[:3])
    try:
        if not TRIPLET.fullmatch(plain):
            raise ValueError
        operation = gemmi.Op(plain)
    except (ValueError, RuntimeError):
        raise FormatError(f"symmetry operation {text[:60]!r}: expected three sums of x, y, z and fractions") from None
    if (np.array(operation.rot) % operation.DEN).any():
        raise FormatError(f"symmetry operation {text[:60]!r}: expected whole multiples of x, y and z")
    return operation


def _check_closed(operations: tuple[Any, ...]) -> None:
    turns, shifts = turns_of(operations), np.array([op.tran for op in operations], np.int64)
    one = gemmi.Op(IDENTITY).DEN
    known = {row.tobytes() for row in np.column_stack([turns.reshape(-1, 9), shifts % one])}
    for turn, shift, first in zip(turns, shifts, operations, strict=True):
        products = np.column_stack([(turn @ turns).reshape(-1, 9), (shifts @ turn.T + shift) % one])
        for second, row in zip(operations, products, strict=True):
            if row.tobytes() not in known:
                missing = (first * second).wrap().triplet()
                raise FormatError(
                    f"its {_counted(len(operations))} are no group: {first.triplet()} after {second.triplet()} is "
                    f"{missing}, which is not among them; list all of a space group"
                )


def vectors_of(cell: Any) -> npt.NDArray[np.float64]:
    """Return the vectors of a cell of gemmi in rows, (3, 3), Å."""
    return np.array(cell.orth.mat.tolist()).T


def turns_of(operations: Iterable[Any]) -> npt.NDArray[np.int64]:
    """Return the matrices of operations, (n, 3, 3), without their translations."""
    return np.array([operation.rot for operation in operations], np.int64) // gemmi.Op(IDENTITY).DEN


def keep_metric(operations: Iterable[Any], cell: npt.NDArray[np.float64]) -> bool:
    """Return whether operations leave the lengths and angles of a cell as they are.

    Parameters
    ----------
    operations
        Operations of gemmi.
    cell : (3, 3)
        Vectors of the cell in its rows, Å.

    Examples
    --------
    >>> quarter = [gemmi.Op("-y,x,z")]
    >>> keep_metric(quarter, np.diag([4.0, 4.0, 7.0])), keep_metric(quarter, np.diag([4.0, 5.0, 7.0]))
    (True, False)
    """
    return is_same_cell(np.swapaxes(turns_of(operations), 1, 2) @ cell, cell)


def is_same_cell(cells: npt.NDArray[np.float64], cell: npt.NDArray[np.float64]) -> bool:
    """Return whether cells, (…, 3, 3), have the lengths and angles of another, (3, 3)."""
    lengths, angles = _lengths_and_angles(cells)
    expected, expected_angles = _lengths_and_angles(cell)
    return bool((np.abs(lengths / expected - 1) <= LENGTH).all() and (np.abs(angles - expected_angles) <= ANGLE).all())


def _lengths_and_angles(cells: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    first, second = [1, 0, 0], [2, 2, 1]
    with np.errstate(all="ignore"):  # such as SCALE records without end
        lengths = np.linalg.norm(cells, axis=-1)
        cosines = (cells[..., first, :] * cells[..., second, :]).sum(axis=-1) / (
            lengths[..., first] * lengths[..., second]
        )
    return lengths, np.degrees(np.arccos(np.clip(cosines, -1, 1)))


def written(cell: npt.NDArray[np.float64]) -> str:
    """Return a cell in words, such as ``4 × 5 × 7 Å, 90, 95, 90°``."""
    lengths, angles = (values.round(3).tolist() for values in _lengths_and_angles(cell))
    return f"{' × '.join(f'{v:g}' for v in lengths)} Å, {', '.join(f'{v:g}' for v in angles)}°"


def _counted(n: int) -> str:
    return f"{n:,} symmetry operation{'s' * (n != 1)}"
