"""Lightshow's folders: one per material, with a structure and the calculations of its sites.

    ID/POSCAR
    ID/FEFF-XANES/NNN_El/xmu.dat      NNN the atom of the POSCAR, from 0; El its element

Carbone et al., doi:10.21105/joss.05182.
"""

import os
import re
from pathlib import Path

from ase.data import atomic_numbers

from xanes_hpc.errors import FormatError
from xanes_hpc.formats import unreadable
from xanes_hpc.structures.structure import Structure

LIGHTSHOW = "lightshow"
"""The name of this layout."""
STRUCTURE, SPECTRA = "POSCAR", "FEFF-XANES"
SITE = re.compile(r"(\d+)_([A-Z][a-z]?)")


def structure_files(folder: Path) -> list[Path]:
    """Return the structures of all materials in a folder, or that of the folder itself.

    Those that are missing beside spectra, or in a folder that cannot be read, are among them.
    """
    own = folder / STRUCTURE
    if os.path.isfile(own):
        return [own]
    try:
        materials = sorted(entry.path for entry in os.scandir(folder) if entry.is_dir())
    except OSError as error:
        raise unreadable(folder, error) from None
    return [Path(one, STRUCTURE) for one in materials if _may_be_material(one)]


def _may_be_material(folder: str) -> bool:
    there = any(os.path.exists(os.path.join(folder, name)) for name in (STRUCTURE, SPECTRA))
    return there or not os.access(folder, os.R_OK | os.X_OK)


def spectra_of(path: Path, structure: Structure) -> dict[int, Path]:
    """Return the spectra beside a structure, by atom.

    Raises
    ------
    FormatError
        If a folder of a site names an atom or element that the structure does not have there, or an atom that another
        folder names too, or if the folders cannot be listed.
    """
    found: dict[int, Path] = {}
    parent = path.parent / SPECTRA
    try:
        names = sorted(os.listdir(parent))
    except FileNotFoundError:
        names = []
    except OSError as error:
        raise unreadable(parent, error) from None
    for name in names:
        site, file = SITE.fullmatch(name), parent / name / "xmu.dat"
        if site is None or not (os.path.isfile(file) or not os.access(file.parent, os.X_OK)):
            continue
        atom, element = int(site[1]), atomic_numbers.get(site[2], 0)
        if atom >= structure.numbers.size or int(structure.numbers[atom]) != element:
            raise FormatError(f"{file.parent}: expected atom {atom} of {path} to be {site[2]}; it is not")
        if atom in found:
            raise FormatError(
                f"{file.parent}: expected one folder for atom {atom}, received {found[atom].parent.name} too"
            )
        found[atom] = file
    return found
