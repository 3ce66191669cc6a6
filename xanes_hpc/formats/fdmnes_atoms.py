"""The atoms of FDMNES's input: ``Molecule`` or ``Crystal``, a line with the cell, and a line for each atom."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ase import cell as ase_cell
from ase.data import chemical_symbols

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.fdmnes_keywords import floats, numbers
from xanes_hpc.structures.structure import Structure

Cell: Any = ase_cell.Cell
UNIT_CELL = (1.0, 1.0, 1.0, 90.0, 90.0, 90.0)
ATOMS = ("molecule", "crystal")


def lines_of(structure: Structure) -> list[str]:
    """Return the lines of a structure: its keyword, its cell and its atoms.

    Raises
    ------
    FormatError
        If it is periodic in some directions only, or its cell has no volume.
    """
    if structure.pbc.all():
        volume = np.linalg.det(structure.cell)
        cell = structure.cell if volume > 0 else structure.cell[[1, 0, 2]]  # two vectors swapped: the same lattice
        parameters = np.asarray(Cell(cell).cellpar())
        if not (np.isfinite(parameters).all() and volume):
            raise FormatError(f"{structure.name}: expected a cell with a volume, received {structure.cell.tolist()}")
        keyword, positions = "Crystal", np.linalg.solve(cell.T, structure.positions.T).T
    elif structure.pbc.any():
        raise FormatError(
            f"{structure.name}: periodic in {int(structure.pbc.sum())} of three directions; FDMNES accepts "
            "molecules and crystals only: give a slab a cell with vacuum, periodic in all three"
        )
    else:
        keyword, positions, parameters = "Molecule", structure.positions, np.array(UNIT_CELL)
    rows = [f"{z} {numbers(xyz)}" for z, xyz in zip(structure.numbers.tolist(), positions.tolist(), strict=True)]
    return [keyword, numbers(parameters), *rows]


def structure_of(path: Path, found: dict[str, tuple[str, ...]]) -> Structure:
    """Return the structure, without a name, of an input's lines by keyword.

    Raises
    ------
    FormatError
        If there is not exactly one structure, or its lines are invalid.
    """
    kinds = [keyword for keyword in ATOMS if keyword in found]
    if len(kinds) != 1:
        raise FormatError(f"{path}: expected one Molecule or Crystal, received {len(kinds)}")
    rows = found[kinds[0]]
    cell = floats(path, "cell", rows[:1])
    if len(cell) not in (3, 6) or len(rows) < 2:
        raise FormatError(f"{path}: {kinds[0].capitalize()}: expected a line with the cell, then atoms")
    atoms = np.array([_atom(path, row) for row in rows[1:]])
    parameters = np.array([*cell, *UNIT_CELL[len(cell) :]])
    try:
        vectors = np.asarray(Cell.fromcellpar(parameters))
        possible = (parameters > 0).all() and (parameters[3:] < 180).all() and np.isfinite(vectors).all()
    except (AssertionError, ValueError):
        possible = False
    if not possible:
        raise FormatError(f"{path}: cell: no cell has these lengths and angles: {numbers(parameters)}")
    plain = tuple(parameters) == UNIT_CELL
    periodic = kinds[0] == "crystal"
    return Structure(
        name="",
        numbers=atoms[:, 0].astype(np.uint8),
        positions=atoms[:, 1:] if plain else atoms[:, 1:] @ vectors,
        cell=vectors if periodic else np.zeros((3, 3)),
        pbc=np.full(3, periodic),
    )


def _atom(path: Path, row: str) -> npt.NDArray[np.float64]:
    values = floats(path, "atom", [row])
    if len(values) > 4:
        raise FormatError(f"{path}: atom {row!r}: expected atomic number and x y z; occupancies are not supported")
    if len(values) != 4 or not values[0].is_integer() or not 0 < values[0] < len(chemical_symbols):
        raise FormatError(f"{path}: atom {row!r}: expected atomic number and x y z")
    return np.array(values)
