"""PDB files, and structures of mmCIF, read with gemmi.

Both have the asymmetric unit of a crystal and name its space group; a cell of 1 × 1 × 1 Å stands for no crystal, as of
NMR and cryo-EM. Every model is a structure. Alternative locations of a residue exclude one another. A blank occupancy
means 1, and equal shares of alternatives.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gemmi
import numpy as np

from xanes_hpc.errors import FormatError
from xanes_hpc.formats import isotopes
from xanes_hpc.formats.assemblies import SHARED, with_shares
from xanes_hpc.formats.frames import named
from xanes_hpc.formats.symmetry import Atom, atom_images, check_occupancies, is_place, molecule_images, whole_cell
from xanes_hpc.formats.text import read_text
from xanes_hpc.structures.disorder import FULL, ROUNDING
from xanes_hpc.structures.structure import Structure

SPECIAL = "atoms on special positions, whose occupancy is divided among their images, were taken as whole"
BLANK = re.compile(r"^((?:ATOM  |HETATM).{48}) {6}", re.MULTILINE)
UNKNOWN = -9.0
"""Stands for a blank occupancy, which means 1, or equal shares of alternatives."""
BLANK = re.compile(r"^((?:ATOM  |HETATM).{48}) {6}", re.MULTILINE)
UNKNOWN = -9.0
"""Stands for a blank occupancy."""
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
    yield from named(path, models_of(found))


def models_of(found: Any) -> Iterator[Structure | FormatError]:
    """Yield the models of a structure that gemmi has read, with the whole cell of a crystal."""
    crystal = found.cell.is_crystal() and found.cell.volume > PLACEHOLDER
    operations = [gemmi.Op("x,y,z")]
    if crystal and found.spacegroup_hm:
        group = found.find_spacegroup()
        if group is None:
            yield FormatError(f"unknown space group {found.spacegroup_hm!r}")
            return
        operations = list(group.operations())
    for model in found:
        yield _model(model, found.cell, operations if crystal else None)


def _model(model: Any, cell: Any, operations: list[Any] | None) -> Structure | FormatError:
    atoms = []
    entries = list(model.all())
    for entry in entries:
        atom = entry.atom
        if not 0 < atom.element.atomic_number < 119:
            return FormatError(f"atom {atom.serial} {atom.name}: unknown element")
        group = "" if atom.altloc == "\0" else atom.altloc
        assembly = f"{entry.chain.name} {entry.residue.seqid}" if group else ""
        occupancy = 1.0 if atom.occ == UNKNOWN else atom.occ
        place = np.array(atom.pos.tolist())
        atoms.append(Atom(f"{atom.serial} {atom.name}", atom.element.atomic_number, place, occupancy, assembly, group))
    if not atoms:
        return FormatError("no atoms")
    try:
        check_occupancies(atoms)
    except FormatError as error:
        return error
    keys = [(entry.chain.name, str(entry.residue.seqid), entry.atom.name) for entry in entries]
    locations = Counter(keys)
    atoms = [  # the only location of an atom that is always there is no alternative
        replace(atom, assembly="", group="") if atom.occupancy >= FULL and locations[key] == 1 else atom
        for atom, key in zip(atoms, keys, strict=True)
    ]
    atoms, n_shared = with_shares(atoms, [entry.atom.occ == UNKNOWN for entry in entries])
    notes = isotopes.notes(sum(entry.atom.element.name in isotopes.HYDROGEN for entry in entries))
    notes += ((SHARED, f"{n_shared:,} atoms"),) if n_shared else ()
    if operations is None:
        return whole_cell(atoms, [molecule_images(atom.place) for atom in atoms], None, notes)
    vectors = np.array(cell.orth.mat.tolist()).T
    fractions = np.linalg.solve(vectors.T, np.array([atom.place for atom in atoms]).T).T
    if not is_place(fractions):
        return FormatError("atoms have no coordinates, or are far outside the cell")
    atoms = [replace(atom, place=fraction) for atom, fraction in zip(atoms, fractions, strict=True)]
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
