"""Sites of a crystal that its symmetry makes equal: one of each, and how often it occurs.

Found by spglib (Togo, Shinohara & Tanaka, doi:10.1080/27660400.2024.2384822).
"""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import ConfigError, FormatError
from xanes_hpc.runtime.optional import need
from xanes_hpc.structures.structure import Structure

SYMPREC = 0.01
"""Å within which atoms count as at symmetric places."""
LEAST_SYMPREC, MOST_SYMPREC = 1e-6, 1.0


def unique_sites(
    structure: Structure, atoms: npt.NDArray[np.int64], symprec: float = SYMPREC
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """One of each kind of sites, and the number of those that are equal to it.

    Parameters
    ----------
    structure
        A crystal; of any other structure every site is a kind of its own.
    atoms
        0-based indices of its absorbers.
    symprec
        Å within which atoms count as at symmetric places.

    Returns
    -------
    tuple
        Indices of atoms, ascending, and their multiplicities among ``atoms``.

    Raises
    ------
    ConfigError
        If spglib is not installed, or the tolerance is none.
    FormatError
        If spglib finds no symmetry.
    """
    if not LEAST_SYMPREC <= symprec <= MOST_SYMPREC:  # beyond them spglib may end the process
        raise ConfigError(f"symprec: expected {LEAST_SYMPREC:g} to {MOST_SYMPREC:g} Å, received {symprec:g}")
    if not structure.pbc.all():
        return atoms, np.ones(atoms.size)
    need("spglib", "crystals", "finding a crystal's unique sites")
    import spglib

    fractional = np.linalg.solve(structure.cell.T, structure.positions.T).T
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # spglib tells of its own future
        try:
            cell: Any = (structure.cell, fractional, structure.numbers)
            found = spglib.get_symmetry_dataset(cell, symprec=symprec)
        except Exception as error:  # its own kinds, by version
            raise FormatError(f"spglib finds no symmetry within {symprec:g} Å: {error}") from None
    if found is None:
        raise FormatError(f"spglib finds no symmetry within {symprec:g} Å; give another --symprec")
    kinds = np.asarray(found.equivalent_atoms)[atoms]
    _, first, counts = np.unique(kinds, return_index=True, return_counts=True)
    order = np.argsort(first)
    return atoms[first[order]], counts[order].astype(np.float64)
