"""The atoms of the asymmetric unit of a block of CIF."""

import re
from typing import Any

import gemmi
import numpy as np
import numpy.typing as npt
from ase.data import atomic_numbers

from xanes_hpc.errors import FormatError
from xanes_hpc.formats import isotopes
from xanes_hpc.formats.assemblies import SHARED, provisional, with_assemblies, with_shares
from xanes_hpc.formats.stated_formula import elements_of
from xanes_hpc.formats.symmetry import DUMMIES, Atom, check_occupancies, is_place

ORGANIC = "CHNOPS"
"""Elements whose symbols begin names of atoms such as CD1, CO, HG2, NE2, OS1."""
Notes = tuple[tuple[str, str], ...]


def atoms_of(block: Any, small: Any, cell: npt.NDArray[np.float64]) -> tuple[list[Atom], Notes]:
    """Return the atoms of the asymmetric unit without dummies, and what to note about them.

    Parameters
    ----------
    block, small
        The block, and the structure that gemmi made of it.
    cell : (3, 3)
        Vectors of the cell in its rows, Å.

    Raises
    ------
    FormatError
        If an element, an occupancy or a place cannot be used, or there are no atoms.
    """
    n = len(small.sites)
    kept = [k for k, flag in enumerate(_column(block, "_atom_site_calc_flag", n)) if flag.lower() != "dum"]
    if not kept:
        raise FormatError("no atoms")
    types, assemblies, groups, occupancies = (
        _column(block, f"_atom_site_{name}", n)
        for name in ("type_symbol", "disorder_assembly", "disorder_group", "occupancy")
    )
    known = elements_of(block)
    sites = [small.sites[k] for k in kept]
    for site in sites:
        if not is_place(np.array(site.fract.tolist())):
            raise FormatError(f"atom {site.label}: has no coordinates, or is far outside the cell")
    atoms = [
        Atom(
            site.label,
            _element(site, types[k], known),
            np.array(site.fract.tolist()),
            site.occ,
            assemblies[k],
            groups[k],
        )
        for k, site in zip(kept, sites, strict=True)
    ]
    check_occupancies(atoms)
    unknown = [not occupancies[k] for k in kept]
    atoms, shared = with_shares(with_assemblies(provisional(atoms, unknown), cell), unknown)
    notes = isotopes.notes(sum(site.element.name in isotopes.HYDROGEN for site in sites))
    notes += ((SHARED, f"block {block.name}: {shared:,} atoms"),) if shared else ()
    notes += ((DUMMIES, f"block {block.name}: {n - len(kept):,}"),) if len(kept) < n else ()
    return atoms, notes


def _element(site: Any, stated: str, known: frozenset[int]) -> int:
    """Return the atomic number of an atom; a label such as ``CD1`` alone may be Cd or C, as the formula says.

    Raises
    ------
    FormatError
        If it is unknown.
    """
    two, one = (re.match("[A-Za-z]*", site.label)[0][:n] for n in (2, 1))  # type: ignore[index]
    if not stated and two != two.capitalize() and one.upper() in ORGANIC and two.capitalize() in atomic_numbers:
        possible = {atomic_numbers[symbol] for symbol in (two.capitalize(), one.upper())} & known
        if len(possible) == 1:
            return int(possible.pop())
        raise FormatError(
            f"atom {site.label}: may be {two.capitalize()} or {one.upper()} by its label; give `_atom_site_type_symbol`"
        )
    if not 0 < site.element.atomic_number < 119:
        raise FormatError(f"unknown element {site.type_symbol or site.label!r} (a dummy atom?)")
    return int(site.element.atomic_number)


def _column(block: Any, tag: str, n: int) -> list[str]:
    """Return the texts of a column of the atoms, empty where they are null or the column is missing."""
    values = list(block.find_values(tag))
    if len(values) != n:
        return [""] * n
    return ["" if gemmi.cif.is_null(value) else gemmi.cif.as_string(value) for value in values]
