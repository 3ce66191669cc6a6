"""Crystals in CIF, read with gemmi and held to the formula that the file states.

A block has the atoms of its asymmetric unit and the symmetry that makes the whole cell: a list of operations, that of a
magnetic structure, or the name of a space group (Hall, Hermann-Mauguin, number). The composition of the cell that comes
of it must be ``_cell_formula_units_Z`` times ``_chemical_formula_sum``, where the block gives both. Occupancies that
are unknown (``?``) or not applicable (``.``) are 1, as the CIF dictionary says.
"""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import gemmi
import numpy as np
from ase.data import atomic_numbers

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.frames import named
from xanes_hpc.formats.pdb import models_of
from xanes_hpc.formats.symmetry import PARTIAL, images_of, is_place
from xanes_hpc.formats.text import read_text
from xanes_hpc.structures.structure import Structure

OPERATIONS = ("_space_group_symop_operation_xyz", "_symmetry_equiv_pos_as_xyz", "_space_group_symop.operation_xyz")
MAGNETIC = ("_space_group_symop_magn_operation.xyz", "_space_group_symop_magn_operation_xyz")
CENTRINGS = ("_space_group_symop_magn_centering.xyz", "_space_group_symop_magn_centering_xyz")
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
    except (ValueError, RuntimeError) as error:
        yield FormatError(f"block {block.name}: {' '.join(str(error).split())[:120]}")


def _crystal(block: Any) -> Structure | FormatError:
    small = gemmi.make_small_structure_from_block(block)
    settings = _settings(block, small)
    cell = np.array(small.cell.orth.mat.tolist()).T  # rows are the vectors
    groups = {site.disorder_group for site in small.sites if site.disorder_group}
    if len(groups) > 1 or any(site.occ < 0.999 for site in small.sites):
        return FormatError(PARTIAL)
    for site in small.sites:
        if not 0 < site.element.atomic_number < 119:
            return FormatError(f"unknown element {site.type_symbol or site.label!r} (a dummy atom?)")
        if not is_place(np.array(site.fract.tolist())):
            return FormatError(f"atom {site.label}: has no coordinates, or is far outside the cell")
    wrong = ""
    for operations in settings:
        images = [images_of(np.array(site.fract.tolist()), operations, cell) for site in small.sites]
        numbers = np.repeat([site.element.atomic_number for site in small.sites], [len(one) for one in images])
        reason = _unlike_the_formula(block, Counter(numbers.tolist()))
        if not reason:
            fractions = np.concatenate(images)
            return Structure("", numbers.astype(np.uint8), fractions @ cell, cell, np.ones(3, np.bool_))
        wrong = wrong or reason
    return FormatError(wrong)


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


def _unlike_the_formula(block: Any, found: Counter[int]) -> str:
    """Return why the cell is not that of the stated formula; empty if it is, or the block does not state both."""
    text, z = (block.find_value(tag) for tag in ("_chemical_formula_sum", "_cell_formula_units_Z"))
    if text is None or z is None or gemmi.cif.is_null(text) or gemmi.cif.is_null(z):
        return ""
    formula = gemmi.cif.as_string(text)
    stated = Counter[int]()
    for symbol, count in FORMULA.findall(formula):
        number = atomic_numbers.get("H" if symbol == "D" else symbol)
        if number is None:
            return ""
        stated[number] += float(count or 1)  # type: ignore[assignment]
    units = gemmi.cif.as_number(z)
    heavy = [number for number in stated | found if number != 1]  # hydrogen atoms are often left out
    if not np.isfinite(units) or all(abs(found[n] - units * stated[n]) < 0.5 for n in heavy):
        return ""
    symbols = {number: symbol for symbol, number in atomic_numbers.items()}
    cell = "".join(f"{symbols[n]}{found[n]}" for n in sorted(found))
    return (
        f"block {block.name}: its symmetry gives a cell of {cell}, but it states {units:g} × {formula}; "
        "check the space group, its setting, and the operations"
    )
