"""Structures read with ASE: SDF, POSCAR, trajectories, databases. Cells are kept."""

import re
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from xanes_hpc.errors import FormatError
from xanes_hpc.formats import isotopes, tmqm
from xanes_hpc.formats.frames import COMPRESSED, named
from xanes_hpc.formats.text import open_text
from xanes_hpc.structures.structure import Structure

TEXTS = {".vasp": "vasp", ".gen": "gen", ".cfg": "cfg", ".xsf": "xsf", ".cube": "cube"}
"""ASE's names of the text formats that it reads for us, by ending."""
SUFFIXES = {*TEXTS, ".mol", ".sdf", ".traj", ".db"}
HEAVY_HYDROGEN = re.compile(rf"^((?:\s*[-+]?\d+\.\d+){{3}} )({'|'.join(isotopes.HYDROGEN)})(?=\s)", re.MULTILINE)
"""A line of an atom in an SDF, up to the end of its symbol."""
CHARGES = re.compile(r"^M  CHG\s+\d+((?:\s+\d+\s+[-+]?\d+)+)\s*$", re.MULTILINE)
PARTICLES = re.compile(r"^\s*Number of particles\s*=\s*(\d+)")
VASP = re.compile(r"^(POSCAR|CONTCAR)([._-].*)?$")


def recognises(path: Path) -> bool:
    """Return True if the file's name is that of a structure file for ASE."""
    plain = _plain_path(path)
    return plain.suffix.lower() in SUFFIXES or VASP.match(plain.name) is not None


def _plain_path(path: Path) -> Path:
    return path.with_suffix("") if path.suffix.lower() in COMPRESSED else path


def read(path: Path) -> Iterator[Structure | FormatError]:
    """Yield the structures of a file, and an error in place of each unusable one.

    Raises
    ------
    FormatError
        If ASE cannot read the file, or the rest of it.
    """
    if not path.stat().st_size:
        raise FormatError(f"{path}: empty file")
    kind = _plain_path(path).suffix.lower()
    if kind in (".sdf", ".mol"):
        blocks = _blocks(path)
        titles = Counter(map(_title, blocks))
        yield from named(path, _molecules(blocks), {title for title, n in titles.items() if n > 1})
    else:
        yield from named(path, (_database if kind == ".db" else _frames)(path))


def _frames(path: Path) -> Iterator[Structure | FormatError]:
    from ase.io import iread
    from ase.io.formats import UnknownFileTypeError

    plain = _plain_path(path)
    kind = "vasp" if VASP.match(plain.name) else TEXTS.get(plain.suffix.lower())
    try:
        if kind:
            _check_count(path, kind)
        with open_text(path, "replace") if kind else nullcontext(path) as source:
            for atoms in iread(source, index=":", format=kind):
                yield structure_of(atoms, "", {})
    except FormatError:
        raise
    except UnknownFileTypeError:
        raise FormatError(f"{path}: ASE recognises no structure format in its name or content") from None
    except Exception as error:  # ASE's readers raise many types of exception
        reason = " ".join(str(error).split()) or type(error).__name__
        raise FormatError(f"{path}: ASE cannot read it: {reason[:120]}") from None


def _check_count(path: Path, kind: str) -> None:
    """Check that a file has a line for every atom that it announces; ASE makes room for all of them first."""
    with open_text(path, "replace") as stream:
        first = list(islice(stream, 7))
        n_atoms = _announced(kind, first)
        n_lines = len(first) + sum(1 for _ in islice(stream, min(n_atoms, sys.maxsize)))
    if n_atoms > n_lines:
        raise FormatError(f"{path}: truncated: announces {n_atoms} atoms, the file has {n_lines} lines")


def _announced(kind: str, first: list[str]) -> int:
    """Return the number of atoms that the first lines of a file announce; 0 if they do not."""
    if kind == "cfg":
        return next((int(found[1]) for line in first if (found := PARTICLES.search(line))), 0)
    if kind == "cube":
        count = re.match(r"\s*-?(\d+)", first[2]) if len(first) > 2 else None
        return int(count[1]) if count else 0
    rows = [line.partition("!")[0].split() for line in first[5:]] if kind == "vasp" else []
    return next((sum(map(int, row)) for row in rows if row and all(map(str.isdecimal, row))), 0)


def _blocks(path: Path) -> list[str]:
    """Return the molecules of an SDF or MOL file, which end with ``$$$$``."""
    with open_text(path, "replace") as stream:
        blocks = re.split(r"^\$\$\$\$.*\n?", stream.read(), flags=re.MULTILINE)
    return [block for block in blocks if block.strip()]


def _title(block: str) -> str:
    title = block.partition("\n")[0].strip()
    return title if title.isprintable() else ""


def _molecules(blocks: list[str]) -> Iterator[Structure | FormatError]:
    """Yield molecules with their charges. If there are several, those with a title line are named by it."""
    from ase.io import read as read_ase

    for number, block in enumerate(blocks, 1):
        if any("V3000" in line for line in block.split("\n", 4)[:4]):
            yield FormatError(f"molecule {number}: expected an SDF of version V2000, received V3000")
            continue
        charges = [int(word) for listed in CHARGES.findall(block) for word in listed.split()[1::2]]
        own: dict[str, Any] = {"charge": sum(charges)} if charges else {}
        block, heavy = HEAVY_HYDROGEN.subn(r"\1H", block)
        try:
            atoms = read_ase(StringIO(block), format="sdf")
            found = structure_of(atoms, _title(block) if len(blocks) > 1 else "", own)
            yield found if isinstance(found, FormatError) else replace(found, choices=isotopes.notes(heavy))
        except Exception as error:  # ASE's readers raise many types of exception
            reason = " ".join(str(error).split()) or type(error).__name__
            yield FormatError(f"molecule {number}: ASE cannot read it: {reason[:120]}")


def _database(path: Path) -> Iterator[Structure | FormatError]:
    from ase.db import connect

    try:
        for row in connect(path).select():  # type: ignore[no-untyped-call]
            yield structure_of(row.toatoms(), "", {**row.data, **row.key_value_pairs})
    except FormatError:
        raise
    except Exception as error:  # as above: errors of sqlite3, JSON, missing keys and others
        raise FormatError(f"{path}: not an ASE database: {' '.join(str(error).split())[:120]}") from None


def structure_of(atoms: Any, name: str, properties: dict[str, Any]) -> Structure | FormatError:
    """Return the structure that an ``ase.Atoms`` holds, or why it cannot be used.

    Numbers and text of ``atoms.info`` and of its calculator's results become properties, then ``properties``.
    """
    occupancy = atoms.info.get("occupancy", {})
    if any(len(kinds) > 1 or min(kinds.values()) < 0.999 for kinds in occupancy.values()):
        return FormatError(
            "partial occupancies: ASE keeps one atom of a site; give a CIF file, or make an ordered supercell"
        )
    numbers = atoms.get_atomic_numbers()
    if numbers.size and not ((numbers > 0) & (numbers < 119)).all():
        return FormatError("unknown element (a dummy atom X?)")
    properties = _plain(atoms.info) | _plain(getattr(atoms.calc, "results", {})) | _plain(properties)
    own, properties = tmqm.renamed(properties)
    return Structure(
        name=name or own,
        numbers=numbers.astype(np.uint8),
        positions=np.asarray(atoms.get_positions(), np.float64),
        cell=np.asarray(atoms.cell, np.float64),
        pbc=np.asarray(atoms.pbc, np.bool_),
        properties=properties,
    )


def _plain(info: dict[str, Any]) -> dict[str, float | str]:
    """Return the scalar entries, without names that cannot be stored, such as those with a slash."""
    kept: dict[str, float | str] = {}
    for key, value in info.items():
        if not isinstance(key, str) or "/" in key or key.startswith("."):
            continue
        if isinstance(value, (bool, int, float, np.integer, np.floating, np.bool_)):
            kept[key] = float(value)
        elif isinstance(value, str):
            kept[key] = value
    return kept
