"""PDB files, and structures of mmCIF, read with gemmi.

Both have the asymmetric unit of a crystal and name its space group; a cell of 1 × 1 × 1 Å stands for no crystal, as of
NMR and cryo-EM. Every model is a structure. Alternative locations of a residue exclude one another. A blank occupancy
means 1, and equal shares of alternatives.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gemmi
import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import FormatError
from xanes_hpc.formats import isotopes
from xanes_hpc.formats.assemblies import SHARED, with_shares
from xanes_hpc.formats.cif_items import LENGTHS, check_cell, plain
from xanes_hpc.formats.frames import named
from xanes_hpc.formats.operations import is_same_cell, vectors_of, written
from xanes_hpc.formats.space_groups import Setting, contradiction, settings_of
from xanes_hpc.formats.stated_symmetry import Stated, stated_by
from xanes_hpc.formats.symmetry import (
    DUMMIES,
    Atom,
    atom_images,
    check_occupancies,
    is_likely,
    is_place,
    molecule_images,
    whole_cell,
)  # fmt: skip
from xanes_hpc.formats.text import read_text
from xanes_hpc.structures.disorder import FULL, ROUNDING
from xanes_hpc.structures.structure import Structure

SPECIAL = "atoms on special positions, whose occupancy is divided among their images, were taken as whole"
COPIED = "atoms were copied by the non-crystallographic symmetry that the file gives"
BLANK = re.compile(r"^((?:ATOM  |HETATM).{48}) {6}", re.MULTILINE)
ALL_ZERO = "occupancies that are 0 for every atom were taken as not stated"
UNKNOWN = -9.0
"""Stands for a blank occupancy, which means 1, or equal shares of alternatives."""
Notes = tuple[tuple[str, str], ...]
PLACEHOLDER = 2.0
"""Volume, Å³, below which a cell is a placeholder."""


def read(path: Path) -> Iterator[Structure | FormatError]:
    """Yield the models of a file, and an error in place of each unusable one.

    Raises
    ------
    FormatError
        If the file is not PDB, or has no atoms.
    """
    text = BLANK.sub(rf"\g<1>{UNKNOWN:6.2f}", read_text(path))
    try:
        found = gemmi.read_pdb_string(text.encode("ascii", "replace").decode())  # columns are counted in bytes
    except (ValueError, RuntimeError) as error:
        raise FormatError(f"{path}: not PDB: {' '.join(str(error).split())[:120]}") from None
    yield from named(path, _models(found))


def _models(found: Any) -> Iterator[Structure | FormatError]:
    try:
        yield from models_of(found)
    except FormatError as error:
        yield error


def models_of(found: Any, block: Any = None) -> Iterator[Structure | FormatError]:
    """Yield the models of a structure that gemmi has read, with the whole cell of a crystal.

    Parameters
    ----------
    found
        The structure.
    block
        The block of mmCIF that it was made of; None for PDB.

    Raises
    ------
    FormatError
        If its cell or its symmetry cannot be used.
    """
    settings: list[Setting] = []
    if _is_crystal(found, block):
        vectors = vectors_of(found.cell)
        _check_scale(found.cell, vectors)
        stated = (
            stated_by(block) if block is not None else Stated((found.spacegroup_hm,) if found.spacegroup_hm else ())
        )
        settings = settings_of(stated, vectors)
        if conflict := contradiction(stated, vectors):
            raise FormatError(f"{conflict}; correct one of them")
    copies = [operator for operator in found.ncs if not (operator.given or operator.tr.is_identity())]
    for model in found:
        try:
            atoms, notes = _atoms(model, copies)
            yield _crystal(atoms, notes, found.cell, settings) if settings else _molecule(atoms, notes)
        except FormatError as error:
            yield error


def _is_crystal(found: Any, block: Any) -> bool:
    """Return whether a structure has a cell that is no placeholder.

    Raises
    ------
    FormatError
        If a block of mmCIF states only a part of a cell.
    """
    if block is not None and any(block.find_value(tag.replace("_length", ".length")) for tag in LENGTHS):
        check_cell(plain(block))
    return bool(found.cell.is_crystal() and found.cell.volume > PLACEHOLDER)


def _check_scale(cell: Any, vectors: npt.NDArray[np.float64]) -> None:
    """Raise an error if the matrix of PDB's SCALE records, or mmCIF's, is not that of the cell."""
    expected = vectors_of(gemmi.UnitCell(*cell.parameters))
    if not is_same_cell(vectors, expected):
        raise FormatError(
            f"SCALE1 to SCALE3 (`fract_transf_matrix`) are those of a cell {written(vectors)}, but it states "
            f"{written(expected)}; correct one of them"
        )


def _atoms(model: Any, copies: list[Any]) -> tuple[list[Atom], Notes]:
    """Return the atoms of a model, places in Å, with the copies by non-crystallographic symmetry after them.

    Raises
    ------
    FormatError
        If an element or an occupancy cannot be used, or there are no atoms.
    """
    atoms = []
    everything = list(model.all())
    entries = [entry for entry in everything if entry.atom.calc_flag != gemmi.CalcFlag.Dummy]
    none_stated = not any(entry.atom.occ for entry in entries)
    for entry in entries:
        atom = entry.atom
        if not 0 < atom.element.atomic_number < 119:
            raise FormatError(f"atom {atom.serial} {atom.name}: unknown element")
        group = "" if atom.altloc == "\0" else atom.altloc
        assembly = f"{entry.chain.name} {entry.residue.seqid}" if group else ""
        occupancy = 1.0 if none_stated or atom.occ == UNKNOWN else atom.occ
        place = np.array(atom.pos.tolist())
        atoms.append(Atom(f"{atom.serial} {atom.name}", atom.element.atomic_number, place, occupancy, assembly, group))
    if not atoms:
        raise FormatError("no atoms")
    check_occupancies(atoms)
    keys = [(entry.chain.name, str(entry.residue.seqid), entry.atom.name) for entry in entries]
    locations = Counter(keys)
    atoms = [  # the only location of an atom that is always there is no alternative
        replace(atom, assembly="", group="") if atom.occupancy >= FULL and locations[key] == 1 else atom
        for atom, key in zip(atoms, keys, strict=True)
    ]
    atoms, n_shared = with_shares(atoms, [entry.atom.occ == UNKNOWN for entry in entries])
    notes = isotopes.notes(sum(entry.atom.element.name in isotopes.HYDROGEN for entry in entries))
    notes += ((ALL_ZERO, f"{len(atoms):,} atoms"),) if none_stated else ()
    notes += ((SHARED, f"{n_shared:,} atoms"),) if n_shared else ()
    if len(entries) < len(everything):
        notes += ((DUMMIES, f"{len(everything) - len(entries):,}"),)
    if copies:
        times = "once" if len(copies) == 1 else f"{len(copies):,} times"
        notes += ((COPIED, f"{len(atoms):,} atoms {times}"),)
        atoms += [_copied(atom, operator) for operator in copies for atom in atoms]
    return atoms, notes


def _copied(atom: Atom, operator: Any) -> Atom:
    place = np.array(operator.tr.mat.tolist()) @ atom.place + np.array(operator.tr.vec.tolist())
    own = f"{atom.assembly} {operator.id}" if atom.group else ""
    return replace(atom, label=f"{atom.label} ({operator.id})", place=place, assembly=own)


def _molecule(atoms: list[Atom], notes: Notes) -> Structure:
    return whole_cell(atoms, [molecule_images(atom.place) for atom in atoms], None, notes)


def _crystal(atoms: list[Atom], notes: Notes, cell: Any, settings: list[Setting]) -> Structure:
    vectors = vectors_of(cell)
    shift = np.array(cell.frac.vec.tolist())  # of the origin of the coordinates, by PDB's SCALE records
    fractions = np.linalg.solve(vectors.T, np.array([atom.place for atom in atoms]).T).T + shift
    if not is_place(fractions):
        raise FormatError("atoms have no coordinates, or are far outside the cell")
    atoms = [replace(atom, place=fraction) for atom, fraction in zip(atoms, fractions, strict=True)]
    found = [_whole(atoms, (*notes, *setting.notes), vectors, setting.operations) for setting in settings]
    return found[0] if len(found) == 1 else next(filter(is_likely, found), found[0])


def _whole(atoms: list[Atom], notes: Notes, vectors: npt.NDArray[np.float64], operations: Sequence[Any]) -> Structure:
    if len(operations) == 1:  # as the file has them, molecules whole
        return whole_cell(atoms, [molecule_images(atom.place) for atom in atoms], vectors, notes)
    images = [atom_images(atom, operations, vectors) for atom in atoms]
    shared = [len(operations) // len(own.places) for own in images]
    special = [
        not atom.group and n > 1 and abs(atom.occupancy * n - 1) < ROUNDING
        for atom, n in zip(atoms, shared, strict=True)
    ]
    atoms = [replace(atom, occupancy=1.0) if whole else atom for atom, whole in zip(atoms, special, strict=True)]
    notes += ((SPECIAL, f"{sum(special):,}"),) if any(special) else ()
    return whole_cell(atoms, images, vectors, notes)
