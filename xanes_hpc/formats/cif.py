"""Crystals in CIF, read with gemmi and held to the formula that the file states.

A block has the atoms of its asymmetric unit and the symmetry that makes the whole cell: a list of operations, that of a
magnetic structure, or the name of a space group (Hall, Hermann-Mauguin, number). The composition of the cell that comes
of it is held to the stated formula (``stated_formula``). Occupancies that are unknown (``?``) or not applicable
(``.``) are 1, as the CIF dictionary says. Partial ones, and disorder groups, make a disordered structure.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import gemmi
import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import FormatError, XanesHpcError
from xanes_hpc.formats import isotopes
from xanes_hpc.formats.assemblies import SHARED, provisional, with_assemblies, with_shares
from xanes_hpc.formats.frames import named
from xanes_hpc.formats.pdb import models_of
from xanes_hpc.formats.space_groups import ORIGIN, contradiction, settings_of
from xanes_hpc.formats.stated_formula import judged
from xanes_hpc.formats.symmetry import Atom, atom_images, check_occupancies, is_place, whole_cell
from xanes_hpc.formats.text import read_text
from xanes_hpc.structures.disorder import Disordered
from xanes_hpc.structures.neighbours import check_distances
from xanes_hpc.structures.structure import Structure

ASSEMBLY_AND_GROUP = ("_atom_site_disorder_assembly", "_atom_site_disorder_group")
CONFLICT = "block {}: {}; correct one of them, or give `_chemical_formula_sum` and `_cell_formula_units_Z`"
CONTRADICTORY = "statements about a space group contradict; the one that gives the formula was taken"


def read(path: Path) -> Iterator[Structure | FormatError]:
    """Yield the crystals of a file, one for each block with atoms, and an error in place of each unusable one.

    Raises
    ------
    FormatError
        If the file is not CIF, or has no atoms.
    """
    text = read_text(path)
    try:
        document = gemmi.cif.read_string(text)
    except (ValueError, RuntimeError) as error:
        raise FormatError(f"{path}: not CIF: {' '.join(str(error).split())[:120]}") from None
    yield from named(path, chain.from_iterable(_structures(block) for block in document))


def _structures(block: Any) -> Iterator[Structure | FormatError]:
    try:
        if block.find_values("_atom_site.Cartn_x"):  # mmCIF
            yield from models_of(gemmi.make_structure_from_block(block))
        elif block.find_values("_atom_site_fract_x") or block.find_values("_atom_site.fract_x"):
            yield _crystal(block)
    except FormatError as error:
        yield FormatError(f"block {block.name}: {error}")
    except (ValueError, RuntimeError) as error:
        yield FormatError(f"block {block.name}: {' '.join(str(error).split())[:120]}")


def _crystal(block: Any) -> Structure | FormatError:
    small = gemmi.make_small_structure_from_block(block)
    settings = list(settings_of(block, small))
    cell = np.array(small.cell.orth.mat.tolist()).T  # rows are the vectors
    for site in small.sites:
        if not 0 < site.element.atomic_number < 119:
            return FormatError(f"unknown element {site.type_symbol or site.label!r} (a dummy atom?)")
        if not is_place(np.array(site.fract.tolist())):
            return FormatError(f"atom {site.label}: has no coordinates, or is far outside the cell")
    atoms, notes = _atoms(block, small, cell)
    conflict = contradiction(block, small)
    wrong, possible = "", []
    for setting in settings:
        images = [atom_images(atom, setting.operations, cell) for atom in atoms]
        found = Counter[int]()
        for atom, own in zip(atoms, images, strict=True):
            found[atom.number] += atom.occupancy * len(own.places)  # type: ignore[assignment]
        verdict = judged(block, found, all(atom.certain for atom in atoms))
        if verdict.reason or (conflict and not verdict.counted):
            wrong = wrong or verdict.reason or CONFLICT.format(block.name, conflict)
            continue
        told = list(notes + verdict.notes)
        if conflict:
            told.append((CONTRADICTORY, f"block {block.name}: {conflict}"))
        if setting.chosen:
            told.append((ORIGIN, f"block {block.name}: {setting.chosen}"))
        possible.append(whole_cell(atoms, images, cell, tuple(told)))
    if not possible:
        return FormatError(wrong)
    return possible[0] if len(possible) == 1 else next(filter(_is_likely, possible), possible[0])


def _is_likely(structure: Structure) -> bool:
    """Return whether no two atoms are impossibly near; of disordered structures that is not known."""
    try:
        if not isinstance(structure, Disordered):
            check_distances(structure)
    except XanesHpcError:
        return False
    return True


def _atoms(block: Any, small: Any, cell: npt.NDArray[np.float64]) -> tuple[list[Atom], tuple[tuple[str, str], ...]]:
    """Return the atoms of the asymmetric unit, and what to note about them.

    Raises
    ------
    FormatError
        If an occupancy is impossible.
    """
    n = len(small.sites)
    assemblies, groups = (_column(block, tag, n) for tag in ASSEMBLY_AND_GROUP)
    atoms = [
        Atom(site.label, site.element.atomic_number, np.array(site.fract.tolist()), site.occ, assembly, group)
        for site, assembly, group in zip(small.sites, assemblies, groups, strict=True)
    ]
    check_occupancies(atoms)
    unknown = [not occupancy for occupancy in _column(block, "_atom_site_occupancy", n)]
    atoms, shared = with_shares(with_assemblies(provisional(atoms, unknown), cell), unknown)
    notes = isotopes.notes(sum(site.element.name in isotopes.HYDROGEN for site in small.sites))
    notes += ((SHARED, f"block {block.name}: {shared:,} atoms"),) if shared else ()
    return atoms, notes


def _column(block: Any, tag: str, n: int) -> list[str]:
    """Return the texts of a column of the atoms, empty where they are null or the column is missing."""
    values = list(block.find_values(tag)) or list(block.find_values(tag.replace("site_", "site.", 1)))
    if len(values) != n:
        return [""] * n
    return ["" if gemmi.cif.is_null(value) else gemmi.cif.as_string(value) for value in values]
