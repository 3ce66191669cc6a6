"""Symmetry-equivalent sites of a crystal, one of each kind with its multiplicity, and the kind of its space group.

Symmetry is found with spglib (Togo, Shinohara & Tanaka, doi:10.1080/27660400.2024.2384822).
"""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import ConfigError, FormatError
from xanes_hpc.structures.structure import Structure

SYMPREC = 0.01
"""Default tolerance of the symmetry search, Å."""
LEAST_SYMPREC, MOST_SYMPREC = 1e-6, 1.0


def unique_sites(
    structure: Structure, atoms: npt.NDArray[np.int64], symprec: float = SYMPREC
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return one site of each symmetry-equivalent set, and the weight of the set: its size, or its atoms' own weights.

    Parameters
    ----------
    structure
        A crystal. In a structure that is not periodic in all directions every site is its own set.
    atoms
        Indices (from 0) of its absorbers.
    symprec
        Tolerance in Å within which atoms count as symmetry-equivalent.

    Returns
    -------
    tuple
        Indices of atoms in the order of ``atoms``, and the summed weights of their sets among ``atoms``.

    Raises
    ------
    ConfigError
        If the tolerance is out of range.
    FormatError
        If spglib finds no symmetry.
    """
    if not LEAST_SYMPREC <= symprec <= MOST_SYMPREC:  # outside this range spglib may crash the process
        raise ConfigError(f"`symprec`: expected {LEAST_SYMPREC:g} to {MOST_SYMPREC:g} Å, received {symprec:g}")
    weights = np.ones(atoms.size) if structure.weights is None else structure.weights[atoms]
    if not structure.pbc.all():
        return atoms, weights
    import spglib

    fractional = np.linalg.solve(structure.cell.T, structure.positions.T).T
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecation warnings of spglib
        try:
            cell: Any = (structure.cell, fractional, structure.numbers)
            found = spglib.get_symmetry_dataset(cell, symprec=symprec)
        except Exception as error:  # types differ between versions of spglib
            raise FormatError(f"spglib found no symmetry within {symprec:g} Å: {error}") from None
    if found is None:
        raise FormatError(f"spglib found no symmetry within {symprec:g} Å; try another `symprec`")
    kinds = np.asarray(found.equivalent_atoms)[atoms]
    _, first, which = np.unique(kinds, return_index=True, return_inverse=True)
    order = np.argsort(first)
    return atoms[first[order]], np.asarray(np.bincount(which, weights)[order], np.float64)


def space_group_number(
    turns: npt.NDArray[np.int64], shifts: npt.NDArray[np.float64], cell: npt.NDArray[np.float64]
) -> int:
    """Return the number of the space group that operations make, with any origin and axes; 0 if it is not found.

    Parameters
    ----------
    turns : (n, 3, 3)
        Matrices of the operations, on fractional coordinates.
    shifts : (n, 3)
        Their translations.
    cell : (3, 3)
        Vectors of the cell in its rows, Å.

    Examples
    --------
    >>> turns = np.array([np.eye(3), -np.eye(3)], int)
    >>> space_group_number(turns, np.array([[0, 0, 0], [0.1, 0, 0]]), 4 * np.eye(3))
    2
    """
    import spglib

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecation warnings of spglib
        try:
            found: Any = spglib.get_spacegroup_type_from_symmetry(turns, shifts, lattice=cell)
            return int(found.number)
        except Exception:  # types differ between versions of spglib
            return 0
