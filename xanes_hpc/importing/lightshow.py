"""Lightshow's folders: one per material, with a structure and the calculations of its sites.

    ID/POSCAR
    ID/FEFF-XANES/NNN_El/xmu.dat              NNN the atom of the POSCAR, from 0; El its element
    ID/VASP/NNN_El/OUTCAR
    ID/EXCITING/NNN_El/EPSILON/EPSILON_*_OC11.OUT, …_OC22.OUT, …_OC33.OUT
    ID/XSpectra/NNN_El/dipoleP/xanes.dat      P the direction of polarisation
    ID/OCEAN/CNBSE/absspct_El.NNNN_1s_PP      NNNN counts the atoms of the element, from 1

Carbone et al., doi:10.21105/joss.05182.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_numbers, chemical_symbols

from xanes_hpc.errors import ConfigError, FormatError
from xanes_hpc.formats import exciting, feff, ocean, read_spectrum, unreadable, vasp, xspectra
from xanes_hpc.formats.read_options import ReadOptions
from xanes_hpc.importing import excited_atoms
from xanes_hpc.spectra.spectrum import Spectrum
from xanes_hpc.structures.structure import Structure

LIGHTSHOW = "lightshow"
"""The name of this layout."""
STRUCTURE = "POSCAR"
SITE = re.compile(r"(\d+)_([A-Z][a-z]?)")
TAKEN = "of several calculations one was taken"


@dataclass(frozen=True)
class Calculation:
    """Where a program's calculations are.

    Attributes
    ----------
    folder
        Their folder in that of a material.
    reader
        The module that reads their spectra.
    files
        The spectra of a site in its folder, as patterns, one for each direction of polarisation or for all.
    """

    folder: str
    reader: Any
    files: tuple[str, ...] = ()


CALCULATIONS = {
    "feff": Calculation("FEFF-XANES", feff, ("xmu.dat",)),
    "vasp": Calculation("VASP", vasp, ("OUTCAR",)),
    "ocean": Calculation("OCEAN", ocean),
    "exciting": Calculation("EXCITING", exciting, tuple(f"**/EPSILON_*_OC{k}{k}.OUT" for k in (1, 2, 3))),
    "xspectra": Calculation("XSpectra", xspectra, tuple(f"dipole{k}/xanes.dat" for k in (1, 2, 3))),
}


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
    names = (STRUCTURE, *(calculation.folder for calculation in CALCULATIONS.values()))
    there = any(os.path.exists(os.path.join(folder, name)) for name in names)
    return there or not os.access(folder, os.R_OK | os.X_OK)


def choose(files: Sequence[Path], wanted: str | None) -> tuple[str, list[str]]:
    """Return which calculations to take of the materials with these structures, and which others there are.

    Raises
    ------
    ConfigError
        If the wanted ones are unknown, or none is wanted and several are there without FEFF's.
    """
    if wanted is not None and wanted not in CALCULATIONS:
        raise ConfigError(f"`calculation` {wanted!r}: expected {', '.join(CALCULATIONS)}")
    there = [
        name
        for name, calculation in CALCULATIONS.items()
        if any(os.path.isdir(path.parent / calculation.folder) for path in files)
    ]
    if wanted is None and len(there) > 1 and "feff" not in there:
        raise ConfigError(f"`calculation`: expected one of {', '.join(there)}, which are all there, received none")
    taken = wanted or ("feff" if "feff" in there or not there else there[0])
    return taken, [name for name in there if name != taken]


def spectra_of(path: Path, structure: Structure, name: str = "feff") -> tuple[dict[int, list[Path]], list[FormatError]]:
    """Return the spectra beside a structure, by atom, and an error for each site that is left out.

    A site has a spectrum for each direction of polarisation, or one in all. A site is left out if its folder names an
    atom or element that the structure does not have there, or an atom that another folder names too.

    Raises
    ------
    FormatError
        If the folders cannot be listed.
    """
    calculation = CALCULATIONS[name]
    parent = path.parent / calculation.folder
    if name == "ocean":
        return _of_elements(path, parent, structure)
    found: dict[int, list[Path]] = {}
    wrong: list[FormatError] = []
    twice: set[int] = set()
    for folder in _listed(parent):
        site, own = SITE.fullmatch(folder), parent / folder
        if site is None:
            continue
        files = [sorted(own.glob(pattern)) for pattern in calculation.files]
        if not any(files):
            if os.access(own, os.X_OK):
                continue
            files = [[own / pattern] for pattern in calculation.files]
        atom, element = int(site[1]), atomic_numbers.get(site[2], 0)
        if atom >= structure.numbers.size or int(structure.numbers[atom]) != element:
            has = f"it has atoms 0 to {structure.numbers.size - 1}"
            if atom < structure.numbers.size:
                has = f"it is {chemical_symbols[structure.numbers[atom]]}"
            wrong.append(FormatError(f"{own}: expected atom {atom} of {path} to be {site[2]}; {has}"))
        elif atom in found:
            known = found[atom][0].relative_to(parent).parts[0]
            wrong.append(FormatError(f"{own}: expected one folder for atom {atom}, received {known} too"))
            twice.add(atom)
        else:
            found[atom] = [file for those in files for file in those]
    return {atom: files for atom, files in found.items() if atom not in twice}, wrong


def _listed(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise unreadable(folder, error) from None


def _of_elements(path: Path, parent: Path, structure: Structure) -> tuple[dict[int, list[Path]], list[FormatError]]:
    """Return OCEAN's spectra by atom, and an error for each that is of no atom."""
    found: dict[int, list[Path]] = {}
    wrong: list[FormatError] = []
    for file in sorted([*parent.glob("absspct_*"), *parent.glob("CNBSE*/absspct_*")]):
        name = ocean.NAME.fullmatch(file.name)
        if name is None:
            continue
        atoms = (structure.numbers == atomic_numbers.get(name[1], 0)).nonzero()[0]
        if not 0 < int(name[2]) <= atoms.size:
            what = f"an atom {int(name[2])} of {name[1]} in {path}"
            wrong.append(FormatError(f"{file}: expected {what}; it has {atoms.size}"))
            continue
        found.setdefault(int(atoms[int(name[2]) - 1]), []).append(file)
    return found, wrong


def read(paths: Sequence[Path], structure: Structure, atom: int, name: str, options: ReadOptions) -> Spectrum:
    """Return the spectrum of a site, the mean of its directions of polarisation.

    Raises
    ------
    FormatError
        If a direction is missing, a file cannot be read, energies differ, or the calculation is of another atom.
    """
    _check_directions(paths, name)
    excited_atoms.check(paths[0], structure, atom, name)
    for path in paths:
        if path.is_file() and not CALCULATIONS[name].reader.recognises(path):
            raise FormatError(f"{path}: expected a spectrum of {name}, received something else")
    spectra = [read_spectrum(path, options) for path in paths]
    first = spectra[0]
    for path, other in zip(paths, spectra, strict=True):
        same = other.energies.shape == first.energies.shape
        if not (same and np.allclose(other.energies, first.energies, rtol=0, atol=1e-6)):
            raise FormatError(f"{path}: expected the energies of {paths[0]}, received others")
    material = next(one for one in paths[0].parents if one.name == CALCULATIONS[name].folder).parent
    source = paths[0].relative_to(material.parent).as_posix()
    return replace(first, intensities=np.mean([one.intensities for one in spectra], axis=0), source=source)


def _check_directions(paths: Sequence[Path], name: str) -> None:
    """Check that a site has one file for each direction of polarisation, and of one core level."""
    expected = len(CALCULATIONS[name].files)
    if name == "ocean":
        folder = next(one for one in paths[0].parents if one.name == CALCULATIONS[name].folder)
        expected = sum(re.fullmatch(r"photon\d+", file) is not None for file in _listed(folder)) or len(paths)
    different = {path.name if name == "ocean" else str(path) for path in paths}
    levels = {path.name.split("_")[-2] for path in paths} if name == "ocean" else {""}
    if len(paths) != expected or len(different) < len(paths) or len(levels) > 1:
        received = ", ".join(f"{path.parent.name}/{path.name}" for path in paths)
        raise FormatError(
            f"{paths[0].parent}: expected one spectrum for each of {expected} directions of polarisation, "
            f"received {received}"
        )
