"""Crystals in CIF, read with gemmi and held to the formula that the file states.

A block has the atoms of its asymmetric unit and the symmetry that makes the whole cell: a list of operations, that of a
magnetic structure, or the name of a space group (Hall, Hermann-Mauguin, number). The composition of the cell that comes
of it must be ``_cell_formula_units_Z`` times ``_chemical_formula_sum``, where the block gives both; where solvent was
masked in the refinement (SQUEEZE), its atoms may be missing. Occupancies that are unknown (``?``) or not applicable
(``.``) are 1, as the CIF dictionary says. Partial ones, and disorder groups, make a disordered structure.
"""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import gemmi
import numpy as np
import numpy.typing as npt
from ase.data import atomic_numbers

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.assemblies import with_assemblies
from xanes_hpc.formats.frames import named
from xanes_hpc.formats.pdb import models_of
from xanes_hpc.formats.symmetry import Atom, atom_images, check_occupancies, is_place, whole_cell
from xanes_hpc.formats.text import read_text
from xanes_hpc.structures.disorder import ROUNDING
from xanes_hpc.structures.structure import Structure

OPERATIONS = ("_space_group_symop_operation_xyz", "_symmetry_equiv_pos_as_xyz", "_space_group_symop.operation_xyz")
MAGNETIC = ("_space_group_symop_magn_operation.xyz", "_space_group_symop_magn_operation_xyz")
CENTRINGS = ("_space_group_symop_magn_centering.xyz", "_space_group_symop_magn_centering_xyz")
ASSEMBLY_AND_GROUP = ("_atom_site_disorder_assembly", "_atom_site_disorder_group")
MASKS = ("_platon_squeeze", "_smtbx_masks", "_olex2_masks", "_shelx_fab_", "_iucr_refine_fab_")
"""Beginnings of the items that PLATON's SQUEEZE, Olex2's solvent mask and SHELXL's .fab file leave."""
MASKED = "diffuse solvent was masked in the refinement (SQUEEZE), so its atoms are missing"
FORMULA = re.compile(r"([A-Z][a-z]?)(\d*\.?\d*)")


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
    settings = _settings(block, small)
    cell = np.array(small.cell.orth.mat.tolist()).T  # rows are the vectors
    for site in small.sites:
        if not 0 < site.element.atomic_number < 119:
            return FormatError(f"unknown element {site.type_symbol or site.label!r} (a dummy atom?)")
        if not is_place(np.array(site.fract.tolist())):
            return FormatError(f"atom {site.label}: has no coordinates, or is far outside the cell")
    atoms = _atoms(block, small, cell)
    wrong = ""
    for operations in settings:
        images = [atom_images(atom, operations, cell) for atom in atoms]
        found = Counter[int]()
        for atom, own in zip(atoms, images, strict=True):
            found[atom.number] += atom.occupancy * len(own.places)  # type: ignore[assignment]
        reason, choices = _unlike_the_formula(block, found, all(atom.certain for atom in atoms))
        if not reason:
            return whole_cell(atoms, images, cell, choices)
        wrong = wrong or reason
    return FormatError(wrong)


def _atoms(block: Any, small: Any, cell: npt.NDArray[np.float64]) -> list[Atom]:
    """Return the atoms of the asymmetric unit.

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
    return with_assemblies(atoms, cell)


def _column(block: Any, tag: str, n: int) -> list[str]:
    """Return the texts of a column of the atoms, empty where they are null or the column is missing."""
    values = list(block.find_values(tag)) or list(block.find_values(tag.replace("site_", "site.", 1)))
    if len(values) != n:
        return [""] * n
    return ["" if gemmi.cif.is_null(value) else gemmi.cif.as_string(value) for value in values]


def _settings(block: Any, small: Any) -> Iterator[list[Any]]:
    """Yield the lists of symmetry operations that a block may mean: its own, or those of a space group's settings.

    Raises
    ------
    ValueError
        If the space group is unknown.
    """
    listed, number = _values(block, OPERATIONS), small.spacegroup_number
    if not listed and (magnetic := _values(block, MAGNETIC)):
        centrings = [gemmi.Op(_without_time(text)) for text in _values(block, CENTRINGS)] or [gemmi.Op("x,y,z")]
        yield [centring * gemmi.Op(_without_time(text)) for centring in centrings for text in magnetic]
    elif listed:
        yield [gemmi.Op(text) for text in listed]
    elif group := small.spacegroup or (number > 0 and gemmi.find_spacegroup_by_number(number)):
        yield list(group.operations())
        for other in gemmi.spacegroup_table():
            if (other.number, other.hm) == (group.number, group.hm) and other != group:
                yield list(other.operations())
    elif small.spacegroup_hall:
        yield list(gemmi.symops_from_hall(small.spacegroup_hall))
    elif small.spacegroup_hm:
        raise ValueError(f"unknown space group {small.spacegroup_hm!r}; give its operations")
    else:
        yield [gemmi.Op("x,y,z")]


def _values(block: Any, tags: tuple[str, ...]) -> list[str]:
    for tag in tags:
        if found := [gemmi.cif.as_string(value) for value in block.find_values(tag)]:
            return found
    return []


def _without_time(text: str) -> str:
    """Return an operation of a magnetic group without its sign of time reversal."""
    return ",".join(text.split(",")[:3])


def _unlike_the_formula(block: Any, found: Counter[int], certain: bool) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return why the cell is not that of the stated formula, and what to note.

    The reason is empty if the cell is that of the formula, or the block does not state both formula and Z.
    """
    masked = _is_masked(block)
    text, z = (block.find_value(tag) for tag in ("_chemical_formula_sum", "_cell_formula_units_Z"))
    notes = ((MASKED, f"block {block.name}"),) if masked else ()
    if text is None or z is None or gemmi.cif.is_null(text) or gemmi.cif.is_null(z):
        return "", notes
    formula = gemmi.cif.as_string(text)
    stated = Counter[int]()
    for symbol, count in FORMULA.findall(formula):
        number = atomic_numbers.get("H" if symbol == "D" else symbol)
        if number is None:
            return "", notes
        stated[number] += float(count or 1)  # type: ignore[assignment]
    units = gemmi.cif.as_number(z)
    heavy = [number for number in stated | found if number != 1]  # hydrogen atoms are often left out
    excess = [found[n] - units * stated[n] for n in heavy]
    allowed = [0.5 if certain else max(0.5, ROUNDING * units * stated[n]) for n in heavy]
    if not np.isfinite(units) or all(abs(e) < most for e, most in zip(excess, allowed, strict=True)):
        return "", notes
    symbols = {number: symbol for symbol, number in atomic_numbers.items()}
    cell = "".join(f"{symbols[n]}{round(found[n], 2):g}" for n in sorted(found))
    if masked and all(e < most for e, most in zip(excess, allowed, strict=True)):
        return "", ((MASKED, f"block {block.name}: {cell} of {units:g} × {formula}"),)
    return (
        f"block {block.name}: its symmetry gives a cell of {cell}, but it states {units:g} × {formula}; "
        "check the space group, its setting, and the operations"
    ), notes


def _is_masked(block: Any) -> bool:
    """Return True if the block tells that diffuse solvent was masked in the refinement."""
    for item in block:
        if item.pair is not None:
            tag, value = item.pair
            known = not gemmi.cif.is_null(value)
        elif item.loop is not None:
            tag, known = item.loop.tags[0], item.loop.length() > 0
        else:
            continue
        if known and tag.lower().startswith(MASKS):
            return True
    return False
