"""Readers and writers of foreign files, one module per format.

Structures: ``xyz`` (with the comment lines of ``tmqm`` and ``ipi``), ``cif``, ``pdb``, and ``ase`` for other formats.
Spectra: ``columns``, ``fdmnes``, ``feff``, ``xdi``, ``nexus``, ``athena``. Features with spectra: ``npz``. Tables:
``property_tables``, ``charge_tables``. The modules ``xdi``, ``nexus``, ``athena`` and ``csv_columns`` write predicted
spectra, ``fdmnes_input`` FDMNES's input.
"""

import lzma
import stat
import zlib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from xanes_hpc.errors import FormatError, XanesHpcError
from xanes_hpc.formats import ase, athena, fdmnes, feff, nexus, xdi, xyz
from xanes_hpc.formats.frames import COMPRESSED
from xanes_hpc.spectra.spectrum import Spectrum
from xanes_hpc.structures.structure import Structure

__all__ = ["is_structure_file", "read_spectrum", "read_structures", "unreadable"]
UNREADABLE = (OSError, EOFError, zlib.error, lzma.LZMAError)
"""Errors of files that are missing, forbidden or damaged."""
BY_GEMMI = {".cif": "cif", ".mcif": "cif", ".mmcif": "cif", ".pdb": "pdb", ".ent": "pdb"}
"""Modules, imported when needed, that read files with these endings."""


def is_structure_file(path: Path) -> bool:
    """Return True if a file's name is that of a structure file."""
    return _read_by_gemmi(path) is not None or xyz.recognises(path) or ase.recognises(path)


def _read_by_gemmi(path: Path) -> str | None:
    plain = path.with_suffix("") if path.suffix.lower() in COMPRESSED else path
    return BY_GEMMI.get(plain.suffix.lower())


def read_structures(path: Path) -> Iterator[Structure | FormatError]:
    """Yield the structures of a file one at a time, and an error in place of each unusable one.

    Raises
    ------
    FormatError
        If the file, or the rest of it, cannot be read.
    """
    try:
        if not stat.S_ISREG(mode := path.stat().st_mode):
            found = "folder" if stat.S_ISDIR(mode) else "pipe or device"
            raise FormatError(f"{path}: expected a file, received a {found}")
        module = _read_by_gemmi(path)
        reader = import_module(f"{__name__}.{module}") if module else xyz if xyz.recognises(path) else ase
        yield from reader.read(path)
    except XanesHpcError:
        raise
    except UNREADABLE as error:
        raise unreadable(path, error) from None


def unreadable(path: Path, error: Exception) -> FormatError:
    """Return the error that says why a file or folder cannot be read."""
    return FormatError(f"{path}: cannot be read: {(getattr(error, 'strerror', None) or str(error)).lower()}")


def read_spectrum(path: Path, feff_normalised: bool = False) -> Spectrum:
    """Read a spectrum from XDI, NeXus, an Athena project, FEFF, FDMNES, ORCA or any two-column text or CSV file.

    Parameters
    ----------
    path
        The file.
    feff_normalised
        Whether to keep the normalisation of FEFF's spectra instead of their absorption in Å².

    Raises
    ------
    FormatError
        If the file cannot be read or does not have two columns of numbers.
    """
    try:
        return _spectrum(path, feff_normalised)
    except XanesHpcError:
        raise
    except UNREADABLE as error:
        raise unreadable(path, error) from None


def _spectrum(path: Path, feff_normalised: bool) -> Spectrum:
    if path.suffix.lower() in (nexus.SUFFIX, ".nexus"):
        return nexus.read(path)
    if athena.is_project(path):
        return athena.read_project(path)
    if feff.recognises(path):
        return feff.read(path, feff_normalised)
    return xdi.read(path) if xdi.recognises(path) else fdmnes.read(path)
