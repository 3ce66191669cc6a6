"""Which atom of a material a calculation excites, as its own input says.

Some calculations are made in another cell than the material's, in which atoms have other numbers: VASP's in a supercell
whose POSCAR begins with the excited atom, exciting's in the cell of its ``input.xml``.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from ase.units import Bohr

from xanes_hpc.errors import FormatError
from xanes_hpc.formats import exciting, read_structures
from xanes_hpc.structures.structure import Structure

SAME_PLACE = 0.05
"""Distance, Å, within which two places are one."""


def check(path: Path, structure: Structure, atom: int, name: str) -> None:
    """Check that a calculation excites an atom of a material, or one that is a lattice vector away from it.

    Parameters
    ----------
    path
        A file of the calculation.
    structure, atom
        The material, and the atom from 0.
    name
        ``vasp`` or ``exciting``; others name the atom themselves.

    Raises
    ------
    FormatError
        If it excites another atom, or its input does not tell.
    """
    if name not in ("vasp", "exciting"):
        return
    place = _of_vasp(path) if name == "vasp" else _of_exciting(path)
    apart = np.linalg.solve(structure.cell.T, place - structure.positions[atom])
    distance = float(np.linalg.norm((apart - np.round(apart)) @ structure.cell))
    if not distance < SAME_PLACE:
        raise FormatError(
            f"{path}: expected a calculation of atom {atom} of {structure.name}; its input excites an atom that is "
            "neither there nor a lattice vector away"
        )


def _of_vasp(path: Path) -> npt.NDArray[np.float64]:
    poscar = path.parent / "POSCAR"
    if not poscar.is_file():
        raise FormatError(f"{path}: expected the POSCAR of the core hole beside it, found none")
    found = next(read_structures(poscar))
    if isinstance(found, FormatError):
        raise found
    if found.numbers.size == 0:
        raise FormatError(f"{poscar}: no atoms")
    return np.asarray(found.positions[0])


def _of_exciting(path: Path) -> npt.NDArray[np.float64]:
    root = exciting.read_input(path)
    try:
        structure, crystal, bse = root.find("structure"), root.find("structure/crystal"), root.find("xs/BSE")
        if structure is None or crystal is None or bse is None or structure.get("cartesian", "false") != "false":
            raise ValueError
        vectors = np.array([[float(x) for x in (one.text or "").split()] for one in crystal.findall("basevect")])
        stretch = np.array([float(x) for x in crystal.get("stretch", "1 1 1").split()])
        cell = vectors * stretch[:, None] * float(crystal.get("scale", "1")) * Bohr
        species = root.findall("structure/species")[int(bse.get("xasspecies", "1")) - 1]
        excited = species.findall("atom")[int(bse.get("xasatom", "1")) - 1]
        fraction = np.array([float(x) for x in excited.get("coord", "").split()])
        if cell.shape != (3, 3) or fraction.shape != (3,):
            raise ValueError
    except (ValueError, IndexError):
        raise FormatError(f"{path}: its input.xml does not tell the excited atom's place") from None
    return np.asarray(fraction @ cell)
