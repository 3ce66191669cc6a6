"""Readers and writers of foreign files, one module per format.

Structures: ``xyz`` (with the comment lines of ``tmqm`` and ``ipi``, and ``length_units``), ``cif`` (with
``cif_items``, ``cif_atoms`` and the ``stated_formula``) and ``pdb``, both with ``stated_symmetry``, ``space_groups``,
``space_group_names``, ``operations``, ``symmetry`` and ``assemblies``, and ``ase`` for other formats; ``isotopes`` of
hydrogen.
Spectra: ``columns`` (``energy_columns`` and ``spectrum_columns``) of a ``text_table`` (``number_rows``,
``comma_numbers``, ``doubtful_rows``, ``table_titles``, ``scan_headers``), by ``column_titles`` and ``channel_titles``,
with detector ``channels`` and the ``absorber`` that a file states;
``fdmnes``, ``feff``, ``vasp``, ``ocean``, ``exciting``, ``xspectra``, ``xdi``, ``nexus``, ``athena``.
Features with spectra: ``npz``. Tables: ``property_tables``,
``charge_tables``. The modules ``xdi``, ``nexus``, ``athena`` and ``csv_columns`` write predicted spectra,
``fdmnes_input`` FDMNES's input.
"""

import stat
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from xanes_hpc.errors import FormatError, SpectrumError, XanesHpcError
from xanes_hpc.formats import ase, athena, exciting, fdmnes, feff, nexus, ocean, vasp, xdi, xspectra, xyz
from xanes_hpc.formats.frames import stem
from xanes_hpc.formats.read_options import AS_FOUND, ReadOptions
from xanes_hpc.formats.text import OPENERS, UNREADABLE, plain_suffix, unreadable
from xanes_hpc.spectra.order import in_order
from xanes_hpc.spectra.spectrum import Spectrum
from xanes_hpc.structures.disorder import Disordered
from xanes_hpc.structures.ordering import NO_DISORDER, Disorder, ordered
from xanes_hpc.structures.structure import Structure

__all__ = [
    "is_named_by_program",
    "is_spectrum_file",
    "is_structure_file",
    "read_spectrum",
    "read_structures",
    "unreadable",
]
PROGRAMS = {"VASP": vasp, "OCEAN": ocean, "exciting": exciting, "XSpectra": xspectra}
"""Programs whose files of spectra are known by their names."""
BY_GEMMI = {".cif": "cif", ".mcif": "cif", ".mmcif": "cif", ".pdb": "pdb", ".ent": "pdb"}
"""Modules, imported when needed, that read files with these endings."""
TEXT_SUFFIXES = (".txt", ".csv", ".dat", ".xmu", ".nor", ".spectrum", ".xdi", ".fio")
SUFFIXES = (*TEXT_SUFFIXES, ".nxs", ".prj")
"""Endings of the files of spectra that are looked for in folders."""


def is_spectrum_file(path: Path) -> bool:
    """Return True if a file's name is that of a spectrum: an ending in ``SUFFIXES``, or a scan's number (``a.003``)."""
    packed = path.suffix.lower() in OPENERS
    suffix = plain_suffix(path)
    return suffix in (TEXT_SUFFIXES if packed else SUFFIXES) or (len(suffix) > 2 and suffix[1:].isdecimal())


def is_named_by_program(path: Path) -> bool:
    """Return True if a program gives its spectra always this name, such as ``xmu.dat``."""
    return path.name.lower() == feff.NAME or bool(_program(path))


def is_structure_file(path: Path) -> bool:
    """Return True if a file's name is that of a structure file."""
    return _read_by_gemmi(path) is not None or xyz.recognises(path) or ase.recognises(path)


def _read_by_gemmi(path: Path) -> str | None:
    return BY_GEMMI.get(plain_suffix(path))


def read_structures(path: Path, disorder: Disorder = NO_DISORDER) -> Iterator[Structure | FormatError]:
    """Yield the structures of a file one at a time, and an error in place of each unusable one.

    Parameters
    ----------
    path
        The file.
    disorder
        What to do with structures that have partial occupancies or disorder groups.

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
        for found in reader.read(path):
            yield from _ordered(path, found, disorder) if isinstance(found, Disordered) else (found,)
    except XanesHpcError:
        raise
    except UNREADABLE as error:
        raise unreadable(path, error) from None


def _ordered(path: Path, found: Disordered, disorder: Disorder) -> Iterator[Structure | FormatError]:
    try:
        yield from ordered(found, disorder)
    except FormatError as error:
        where = path if found.name == stem(path) else f"{path}: {found.name}"
        yield FormatError(f"{where}: {error}")


def read_spectrum(path: Path, options: ReadOptions = AS_FOUND) -> Spectrum:
    """Read a spectrum from XDI, NeXus, an Athena project, FEFF, FDMNES, ORCA or any text of titled columns.

    Energies ascend, except where they are not finite; what was done to sort them is in the spectrum's ``choices``.

    Parameters
    ----------
    path
        The file; text files may be compressed.
    options
        How to read it, where there is a choice.

    Raises
    ------
    FormatError
        If the file cannot be read, does not say which columns hold the spectrum, or holds several scans.
    """
    try:
        found = _spectrum(path, options)
    except XanesHpcError:
        raise
    except UNREADABLE as error:
        raise unreadable(path, error) from None
    try:
        return in_order(found)
    except SpectrumError as error:
        raise FormatError(f"{path}: {str(error).removeprefix(f'{found.source}: ')}") from None


def _spectrum(path: Path, options: ReadOptions) -> Spectrum:
    if chosen := options.chosen():
        _check_choices(path, chosen)
    if nexus.recognises(path):
        return nexus.read(path, options)
    if athena.is_project(path):
        return athena.read_project(path)
    if not options.columns and feff.recognises(path):
        return feff.read(path, options.feff_mu)
    if program := _program(path):
        found: Spectrum = PROGRAMS[program].read(path)
        return found
    if xdi.recognises(path):
        return xdi.read(path, options)
    try:
        return fdmnes.read(path, options)
    except FormatError:
        if options.chosen() or not feff.holds_spectrum(path):
            raise
        return feff.read(path, options.feff_mu)


def _check_choices(path: Path, chosen: list[str]) -> None:
    """Raise an error if one of the chosen options does not apply to a file."""
    if not (reader := _fixed_format(path)) or (reader == "FEFF" and "columns" in chosen):
        return
    wrong = [name for name in chosen if reader != "NeXus" or name == "d_spacing"]
    if wrong:
        raise FormatError(f"{path}: `{wrong[0]}` does not apply to {reader}")


def _fixed_format(path: Path) -> str:
    """Return the name of a format whose columns are not chosen; empty for text of titled columns."""
    if nexus.recognises(path):
        return "NeXus"
    return "Athena projects" if athena.is_project(path) else "FEFF" if feff.recognises(path) else _program(path)


def _program(path: Path) -> str:
    """Return which of ``PROGRAMS`` names its files like this one; empty if none does."""
    return next((name for name, module in PROGRAMS.items() if module.recognises(path)), "")
