"""Readers and writers of foreign files, one module per format.

Structures: ``xyz`` (with the comment lines of ``tmqm`` and ``ipi``), ``cif``, ``pdb``, and ``ase`` for other formats.
Spectra: ``columns``, ``fdmnes``, ``feff``, ``xdi``, ``nexus``, ``athena``. Features with spectra: ``npz``. Tables:
``property_tables``, ``charge_tables``. The modules ``xdi``, ``nexus``, ``athena`` and ``csv_columns`` write predicted
spectra, ``fdmnes_input`` FDMNES's input.
"""

import lzma
import zlib
from collections.abc import Iterator
from pathlib import Path

from xanes_hpc.errors import FormatError
from xanes_hpc.formats import ase, athena, cif, fdmnes, feff, nexus, pdb, xdi, xyz
from xanes_hpc.spectra.spectrum import Spectrum
from xanes_hpc.structures.structure import Structure

__all__ = ["is_structure_file", "read_spectrum", "read_structures"]
READERS = (xyz, cif, pdb, ase)
"""Readers of structure files; the first one that recognises a file reads it."""


def is_structure_file(path: Path) -> bool:
    """Return True if a file's name is that of a structure file."""
    return any(reader.recognises(path) for reader in READERS)


def read_structures(path: Path) -> Iterator[Structure | FormatError]:
    """Yield the structures of a file one at a time, and an error in place of each unusable one.

    Raises
    ------
    FormatError
        If the file, or the rest of it, cannot be read.
    """
    try:
        yield from next((reader for reader in READERS if reader.recognises(path)), ase).read(path)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise FormatError(f"{path}: cannot be read: {reason}") from None


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
    if path.suffix.lower() in (nexus.SUFFIX, ".nexus"):
        return nexus.read(path)
    if path.suffix.lower() == athena.PROJECT:
        return athena.read_project(path)
    if feff.recognises(path):
        return feff.read(path, feff_normalised)
    return xdi.read(path) if xdi.recognises(path) else fdmnes.read(path)
