"""Foreign files, one module a format.

Structures: ``xyz`` (with ``tmqm``'s comment line), ``ase`` for all else. Spectra: ``columns``, ``fdmnes``,
``xdi``, ``nexus``, ``athena``. Features with spectra: ``npz``. Predicted spectra are written by ``xdi``, ``nexus``,
``athena`` and ``csv_columns``; FDMNES's input by ``fdmnes_input``.
"""

import zlib
from collections.abc import Iterator
from pathlib import Path

from xanes_hpc.errors import FormatError
from xanes_hpc.formats import ase, athena, fdmnes, nexus, xdi, xyz
from xanes_hpc.spectra.spectrum import Spectrum
from xanes_hpc.structures.structure import Structure

__all__ = ["is_structure_file", "read_spectrum", "read_structures"]


def is_structure_file(path: Path) -> bool:
    """Whether a file found in a folder is taken for structures, by its name."""
    return xyz.recognises(path) or ase.recognises(path)


def read_structures(path: Path) -> Iterator[Structure | FormatError]:
    """The structures of a file, one at a time; an error in place of one that cannot be used.

    Raises
    ------
    FormatError
        If the file, or what is left of it, cannot be read.
    """
    try:
        reader = xyz.read if xyz.recognises(path) and not xyz.is_extended(path) else ase.read
        yield from reader(path)
    except (OSError, EOFError, zlib.error) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise FormatError(f"{path}: cannot be read: {reason}") from None


def read_spectrum(path: Path) -> Spectrum:
    """A spectrum of XDI, NeXus, an Athena project, FDMNES, ORCA or any other two-column text or CSV file.

    Raises
    ------
    FormatError
        If the file cannot be read or holds no two columns of numbers.
    """
    if path.suffix.lower() in (nexus.SUFFIX, ".nexus"):
        return nexus.read(path)
    if path.suffix.lower() == athena.PROJECT:
        return athena.read_project(path)
    return xdi.read(path) if xdi.recognises(path) else fdmnes.read(path)
