"""Read structures and measured spectra from untrusted uploads."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from xanes_hpc.errors import FormatError, XanesHpcError
from xanes_hpc.experiment.measured import read_experiment
from xanes_hpc.formats import read_structures
from xanes_hpc.pages.isolated_reading import read_apart
from xanes_hpc.spectra.spectrum import Spectrum
from xanes_hpc.structures.neighbours import check_distances
from xanes_hpc.structures.structure import Structure

STRUCTURES = (".xyz", ".extxyz", ".cif", ".vasp", ".poscar")
"""Accepted endings of structure files, all of them text formats."""
SPECTRA = (".txt", ".dat", ".csv", ".xmu", ".nor", ".xdi", ".nxs")
"""Accepted endings of files of measured spectra."""


@dataclass(frozen=True)
class Limits:
    """Limits of uploads: bytes per file, atoms per structure, structures per file, and files per request."""

    bytes: int = 10 << 20
    atoms: int = 5000
    structures: int = 100
    files: int = 20


def read_structure_file(name: str, data: bytes, limits: Limits) -> Iterator[Structure | FormatError]:
    """Yield the structures of a file, with an error in place of each that cannot be used.

    The file's name determines its format and the name of its structures, but is never opened as a path.

    Raises
    ------
    FormatError
        If the format is not accepted, or the file is too large or cannot be read.
    """
    with _Stored(name, data, STRUCTURES, limits) as path:
        try:
            for structure in islice(read_structures(path), limits.structures + 1):
                yield _checked(structure, limits)
        except FormatError as error:
            raise FormatError(_named(error, path, name)) from None


def _checked(structure: Structure | FormatError, limits: Limits) -> Structure | FormatError:
    if isinstance(structure, FormatError):
        return FormatError(str(structure).rpartition("/")[2])
    if structure.numbers.size > limits.atoms:
        return FormatError(
            f"{structure.name}: expected at most {limits.atoms:,} atoms, received {structure.numbers.size:,}"
        )
    try:
        check_distances(structure)
    except FormatError as error:
        return error
    return structure


def read_spectrum_file(name: str, data: bytes, limits: Limits) -> Spectrum:
    """Read a measured spectrum from an upload.

    Raises
    ------
    FormatError
        If the format is not accepted, or the file is too large or cannot be read.
    SpectrumError
        If the spectrum is invalid.
    """
    with _Stored(name, data, SPECTRA, limits) as path:
        try:
            return read_apart(path) if path.suffix == ".nxs" else read_experiment(path)
        except XanesHpcError as error:
            raise type(error)(_named(error, path, name)) from None


class _Stored:
    """An upload stored in its own temporary folder, under a sanitised name with the upload's ending."""

    def __init__(self, name: str, data: bytes, endings: tuple[str, ...], limits: Limits) -> None:
        stem, ending = _parts(name)
        if ending not in endings:
            raise FormatError(f"{name[:80]}: expected a file ending in {', '.join(endings)}")
        if len(data) > limits.bytes:
            raise FormatError(f"{name[:80]}: expected at most {limits.bytes >> 20} MiB, received more")
        if not data.strip():
            raise FormatError(f"{name[:80]}: empty file")
        self._folder = tempfile.TemporaryDirectory(prefix="xanes-hpc-")
        self._path = Path(self._folder.name) / f"{stem}{'.vasp' if ending == '.poscar' else ending}"
        self._path.write_bytes(data)

    def __enter__(self) -> Path:
        return self._path

    def __exit__(self, *error: object) -> None:
        self._folder.cleanup()


def _parts(name: str) -> tuple[str, str]:
    """Return a sanitised stem and the ending in lower case; POSCAR and CONTCAR count as ``.poscar``."""
    last = name.replace("\\", "/").rpartition("/")[2]
    if last.upper().startswith(("POSCAR", "CONTCAR")):
        return last[:60].replace(".", "_") or "structure", ".poscar"
    stem, dot, ending = last.rpartition(".")
    plain = "".join(c if c.isalnum() or c in "+-()_" else "_" for c in stem)[:60]
    return plain or "structure", f"{dot}{ending}".lower()


def _named(error: XanesHpcError, path: Path, name: str) -> str:
    """Return an error's text with the upload's own name in place of the stored path."""
    return str(error).replace(str(path), name[:80]).replace(str(path.parent) + "/", "").replace(path.name, name[:80])
