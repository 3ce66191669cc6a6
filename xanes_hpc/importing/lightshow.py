"""Lightshow's folders: one per material, with a structure and the calculations of its sites.

    ID/POSCAR
    ID/FEFF-XANES/NNN_El/xmu.dat      NNN the atom of the POSCAR, from 0; El its element

Carbone et al., doi:10.21105/joss.05182.
"""

import re
from pathlib import Path

from ase.data import atomic_numbers

from xanes_hpc.errors import FormatError
from xanes_hpc.structures.structure import Structure

LIGHTSHOW = "lightshow"
"""The name of this layout."""
STRUCTURE = "POSCAR"
SITE = re.compile(r"(\d+)_([A-Z][a-z]?)")


def structure_files(folder: Path) -> list[Path]:
    """Return the structures of all materials in a folder, or that of the folder itself."""
    own = folder / STRUCTURE
    return [own] if own.is_file() else sorted(path for path in folder.glob(f"*/{STRUCTURE}") if path.is_file())


def spectra_of(path: Path, structure: Structure) -> dict[int, Path]:
    """Return the spectra beside a structure, by atom.

    Raises
    ------
    FormatError
        If a folder of a site names an atom or element that the structure does not have there.
    """
    found = {}
    for file in sorted(path.parent.glob("FEFF-XANES/*/xmu.dat")):
        site = SITE.fullmatch(file.parent.name)
        if site is None:
            continue
        atom, element = int(site[1]), atomic_numbers.get(site[2], 0)
        if atom >= structure.numbers.size or int(structure.numbers[atom]) != element:
            raise FormatError(f"{file.parent}: expected atom {atom} of {path} to be {site[2]}; it is not")
        found[atom] = file
    return found
