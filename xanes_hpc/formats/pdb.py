"""PDB files, and structures of mmCIF, read with gemmi.

Both have the asymmetric unit of a crystal and name its space group; a cell of 1 × 1 × 1 Å stands for no crystal, as of
NMR and cryo-EM. Every model is a structure.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gemmi
import numpy as np

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.frames import named
from xanes_hpc.formats.symmetry import PARTIAL, images_of, is_place
from xanes_hpc.formats.text import read_text
from xanes_hpc.structures.structure import Structure

PLACEHOLDER = 2.0
"""Volume, Å³, below which a cell is a placeholder."""


def read(path: Path) -> Iterator[Structure | FormatError]:
    """Yield the models of a file, and an error in place of each unusable one.

    Raises
    ------
    FormatError
        If the file is not PDB, or has no atoms.
    """
    text = read_text(path)
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
    numbers: list[int] = []
    positions = []
    for entry in model.all():
        atom = entry.atom
        if atom.altloc != "\0" or atom.occ < 0.999:
            return FormatError(PARTIAL)
        if not 0 < atom.element.atomic_number < 119:
            return FormatError(f"atom {atom.serial} {atom.name}: unknown element")
        numbers.append(atom.element.atomic_number)
        positions.append(atom.pos.tolist())
    if not numbers:
        return FormatError("no atoms")
    places = np.array(positions)
    if operations is None:
        return Structure("", np.array(numbers, np.uint8), places)
    vectors = np.array(cell.orth.mat.tolist()).T
    fractions = np.linalg.solve(vectors.T, places.T).T
    if not is_place(fractions):
        return FormatError("atoms have no coordinates, or are far outside the cell")
    if len(operations) == 1:  # as the file has them, molecules whole
        return Structure("", np.array(numbers, np.uint8), places, vectors, np.ones(3, np.bool_))
    images = [images_of(fraction, operations, vectors) for fraction in fractions]
    every = np.repeat(np.array(numbers, np.uint8), [len(one) for one in images])
    return Structure("", every, np.concatenate(images) @ vectors, vectors, np.ones(3, np.bool_))
