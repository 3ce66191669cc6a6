"""Structures read with ASE: POSCAR and other texts, trajectories, databases. Cells are kept."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from xanes_hpc.errors import FormatError
from xanes_hpc.formats import ase_texts, sdf
from xanes_hpc.formats.ase_atoms import structure_of
from xanes_hpc.formats.frames import named
from xanes_hpc.formats.text import open_text, plain_suffix, unpacked_name
from xanes_hpc.structures.structure import Structure

SUFFIXES = {*ase_texts.NAMES, *sdf.SUFFIXES, ".traj", ".db"}
RECOGNISED = ("vasp-xml", "vasp-out", "turbomole", "res")
"""ASE's names of formats that a file may have whose name does not tell, and in which elements are symbols."""


def recognises(path: Path) -> bool:
    """Return True if the file's name is that of a structure file for ASE."""
    return plain_suffix(path) in SUFFIXES or ase_texts.VASP.match(unpacked_name(path)) is not None


def read(path: Path) -> Iterator[Structure | FormatError]:
    """Yield the structures of a file, and an error in place of each unusable one.

    Raises
    ------
    FormatError
        If ASE cannot read the file, or the rest of it.
    """
    if not path.stat().st_size:
        raise FormatError(f"{path}: empty file")
    kind = plain_suffix(path)
    if kind in sdf.SUFFIXES:
        yield from sdf.read(path)
    else:
        yield from named(path, (_database if kind == ".db" else _frames)(path))


def _frames(path: Path) -> Iterator[Structure | FormatError]:
    from ase.io import iread
    from ase.io.formats import UnknownFileTypeError, filetype

    kind = ase_texts.format_of(path)
    try:
        if kind is None:
            known = None if plain_suffix(path) in SUFFIXES else _recognised(path, filetype(str(path)))
            yield from (structure_of(atoms, "", {}) for atoms in iread(path, index=":", format=known))
            return
        first, n_lines = _lines(path, kind)
        notes = ase_texts.check(path, kind, first, n_lines)
        with open_text(path, "replace") as source:
            for atoms in iread(source, index=":", format=kind):
                found = structure_of(atoms, "", {})
                if isinstance(found, Structure):
                    found = ase_texts.completed(kind, first, replace(found, choices=notes))
                yield found
    except FormatError:
        raise
    except UnknownFileTypeError:
        raise FormatError(f"{path}: ASE recognises no structure format in its name or content") from None
    except Exception as error:  # ASE's readers raise many types of exception
        reason = " ".join(str(error).split()) or type(error).__name__
        raise FormatError(f"{path}: ASE cannot read it: {reason[:120]}") from None


def _recognised(path: Path, guess: str) -> str:
    """Return what ASE takes a file for whose name does not tell its format."""
    from ase.io.formats import ioformats

    if guess in RECOGNISED:
        return guess
    if guess not in ioformats:
        raise FormatError(f"{path}: ASE recognises no structure format in its name or content")
    raise FormatError(f"{path}: files of this format ({guess}) are not read; convert it, for instance to extended XYZ")


def _lines(path: Path, kind: str) -> tuple[list[str], int]:
    """Return the first lines of a file, and the number of its lines, as far as it announces atoms."""
    with open_text(path, "replace") as stream:
        first = list(islice(stream, ase_texts.HEADER))
        n_atoms = ase_texts.announced(kind, first)
        return first, len(first) + sum(1 for _ in islice(stream, min(n_atoms, sys.maxsize)))


def _database(path: Path) -> Iterator[Structure | FormatError]:
    from ase.db import connect

    try:
        for row in connect(path).select():  # type: ignore[no-untyped-call]
            yield structure_of(row.toatoms(), "", {**row.data, **row.key_value_pairs})
    except FormatError:
        raise
    except Exception as error:  # as above: errors of sqlite3, JSON, missing keys and others
        raise FormatError(f"{path}: not an ASE database: {' '.join(str(error).split())[:120]}") from None
