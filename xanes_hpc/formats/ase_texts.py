"""Text formats that ASE reads for us: checks that it does not make, and what its readers leave out.

A file that announces more atoms than it has lines is refused, because ASE makes room for them first. AtomEye's
length scale is applied. A POSCAR of VASP 4 names its elements in the comment only. A cube file does not say whether it
is periodic: it is if atoms are bonded across its box.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from ase.data import atomic_numbers

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.text import plain_suffix, unpacked_name
from xanes_hpc.structures.structure import Structure

NAMES = {".vasp": "vasp", ".gen": "gen", ".cfg": "cfg", ".xsf": "xsf", ".cube": "cube"}
"""ASE's names of the formats, by ending."""
VASP = re.compile(r"^(POSCAR|CONTCAR)([._-].*)?$|^.+[._-](POSCAR|CONTCAR)$", re.IGNORECASE)
HEADER = 30
"""Lines that hold what is looked for."""
PARTICLES = re.compile(r"^\s*Number of particles\s*=\s*(\d+)")
SCALE = re.compile(r"^\s*A\s*=\s*([-+.\deE]+)")
BY_COMMENT = "elements were taken from the comment of files of VASP 4"
PERIODIC = "cube files do not say whether they are periodic"


def format_of(path: Path) -> str | None:
    """Return ASE's name of the format of a file, by its name without the ending of a compression."""
    return "vasp" if VASP.match(unpacked_name(path)) else NAMES.get(plain_suffix(path))


def announced(kind: str, first: Sequence[str]) -> int:
    """Return the number of atoms that the first lines of a file announce; 0 if they do not."""
    if kind == "cfg":
        return next((int(found[1]) for line in first[:7] if (found := PARTICLES.search(line))), 0)
    if kind == "cube":
        count = re.match(r"\s*-?(\d+)", first[2]) if len(first) > 2 else None
        return int(count[1]) if count else 0
    rows = [line.partition("!")[0].split() for line in first[5:7]] if kind == "vasp" else []
    return next((sum(map(int, row)) for row in rows if row and all(map(str.isdecimal, row))), 0)


def check(path: Path, kind: str, first: Sequence[str], n_lines: int) -> tuple[tuple[str, str], ...]:
    """Return what is to be noted about a file with these first lines.

    Raises
    ------
    FormatError
        If it is truncated, does not name its elements, or states its lengths in a way that ASE does not know.
    """
    n_atoms = announced(kind, first)
    if n_atoms > n_lines:
        raise FormatError(f"{path}: truncated: announces {n_atoms} atoms, the file has {n_lines} lines")
    if kind == "cube" and len(first) > 5 and any(line.split()[:1] and line.split()[0][0] == "-" for line in first[3:6]):
        raise FormatError(f"{path}: expected lengths in bohr, received negative numbers of voxels (lengths in Å)")
    counts = first[5].partition("!")[0].split() if kind == "vasp" and len(first) > 5 else []
    if counts and all(map(str.isdecimal, counts)):
        words = first[0].split()
        if len(words) != len(counts) or not all(word in atomic_numbers for word in words):
            raise FormatError(
                f"{path}: line 6: expected element symbols, received {' '.join(counts)[:40]!r} (VASP 4); add a line of "
                "symbols above it"
            )
        return ((BY_COMMENT, f"{path.name}: {' '.join(words)}"),)
    return ()


def completed(kind: str, first: Sequence[str], structure: Structure) -> Structure:
    """Return a structure with what ASE's reader of its format leaves out."""
    if kind == "cfg":
        scale = next((float(found[1]) for line in first if (found := SCALE.match(line))), 1.0)
        return replace(structure, positions=scale * structure.positions, cell=scale * structure.cell)
    if kind != "cube":
        return structure
    from xanes_hpc.structures.bonds import bonded_across  # SciPy's trees take long to import

    if bonded_across(structure):
        return replace(structure, choices=(*structure.choices, (PERIODIC, "crystal: atoms are bonded across the box")))
    choices = (*structure.choices, (PERIODIC, "molecule: no atoms are bonded across the box"))
    return replace(structure, cell=np.zeros((3, 3)), pbc=np.zeros(3, np.bool_), choices=choices)
