"""Crystals in CIF, read with gemmi and held to the cell's metric and to the formula that the file states.

A block has the atoms of its asymmetric unit and the symmetry that makes the whole cell: a list of operations, that of a
magnetic structure, or the name of a space group (Hall, Hermann-Mauguin, number). The composition of the cell that comes
of it is held to the stated formula (``stated_formula``). Occupancies that are unknown (``?``) or not applicable
(``.``) are 1, as the CIF dictionary says. Partial ones, and disorder groups, make a disordered structure.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gemmi

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.cif_atoms import atoms_of
from xanes_hpc.formats.cif_items import check_cell, plain
from xanes_hpc.formats.frames import named
from xanes_hpc.formats.operations import vectors_of
from xanes_hpc.formats.pdb import models_of
from xanes_hpc.formats.space_groups import contradiction, settings_of
from xanes_hpc.formats.stated_formula import judged
from xanes_hpc.formats.stated_symmetry import stated_by
from xanes_hpc.formats.symmetry import atom_images, check_listed_once, is_likely, whole_cell
from xanes_hpc.formats.text import read_text
from xanes_hpc.structures.structure import Structure

FRACTIONS = ("_atom_site_fract_x", "_atom_site.fract_x")
CARTESIAN = "_atom_site.Cartn_x"
OLD_CARTESIAN = "_atom_site_Cartn_x"
NUMBERED = re.compile(r".{0,3}|[IVX]+[a-z]?", re.IGNORECASE)
"""Names of blocks that many files have: short ones, and the Roman numbers of journals."""
MODULATED = "modulated structures: the average structure was taken"
CONFLICT = "block {}: {}; correct one of them, or give `_chemical_formula_sum` and `_cell_formula_units_Z`"
CONTRADICTORY = "statements about a space group contradict; the one that gives the formula was taken"


def read(path: Path) -> Iterator[Structure | FormatError]:
    """Yield the crystals of a file, one for each block with atoms, and an error in place of each unusable one.

    Several blocks with different names name their crystals, unless the names are such as I and II.

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
    blocks = [
        block for block in document if any(block.find_values(tag) for tag in (CARTESIAN, OLD_CARTESIAN, *FRACTIONS))
    ]
    by_block = _have_names(blocks)
    found = ((block.name if by_block else "", one) for block in blocks for one in _structures(block))
    yield from named(path, (replace(one, name=name) if isinstance(one, Structure) else one for name, one in found))


def _have_names(blocks: list[Any]) -> bool:
    """Return whether several blocks have names that tell them apart, also from those of other files."""
    names = {block.name for block in blocks}
    telling = all(name.isprintable() and not NUMBERED.fullmatch(name) for name in names)
    return len(blocks) > 1 and len(names) == len(blocks) and telling


def _structures(block: Any) -> Iterator[Structure | FormatError]:
    try:
        if block.find_values(CARTESIAN):  # mmCIF
            yield from models_of(gemmi.make_structure_from_block(block), block)
        else:
            yield _crystal(plain(block))
    except FormatError as error:
        yield FormatError(str(error) if str(error).startswith("block ") else f"block {block.name}: {error}")
    except (ValueError, RuntimeError) as error:
        yield FormatError(f"block {block.name}: {' '.join(str(error).split())[:120]}")


def _crystal(block: Any) -> Structure:
    """Return the crystal of a block whose items have plain names.

    Raises
    ------
    FormatError
        If it cannot be used.
    """
    if not block.find_values(FRACTIONS[0]):
        raise FormatError(
            "expected coordinates as fractions of the cell, _atom_site_fract_x, received _atom_site_Cartn_x"
        )
    check_cell(block)
    small = gemmi.make_small_structure_from_block(block)
    cell = vectors_of(small.cell)
    atoms, notes = atoms_of(block, small, cell)
    stated = stated_by(block)
    settings = settings_of(stated, cell)
    conflict = contradiction(stated, cell)
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
        if stated.modulated:
            told.append((MODULATED, f"block {block.name}"))
        if conflict:
            told.append((CONTRADICTORY, f"block {block.name}: {conflict}"))
        told += [(what, f"block {block.name}: {detail}") for what, detail in setting.notes]
        possible.append((images, whole_cell(atoms, images, cell, tuple(told))))
    if not possible:
        raise FormatError(wrong)
    structure = next((structure for _, structure in possible if is_likely(structure)), None)
    if structure is None:
        images, structure = possible[0]
        if len(images[0].which) > 1:
            check_listed_once(atoms, images, cell)
    return structure
