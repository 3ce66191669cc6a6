"""XYZ files: element symbols or atomic numbers, one frame or many, plain or gzipped, read as a stream.

A frame is the number of atoms, a comment line, and that many lines ``element x y z`` (Å; further columns are
passed over). Blank lines may separate frames. The comment may be tmQM's, ``key=value`` pairs, or free text.
Extended XYZ (``Lattice=`` or ``Properties=`` in the comment) is left to ASE.
"""

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import numpy as np
from ase.data import atomic_numbers

from xanes_hpc.errors import FormatError
from xanes_hpc.formats import tmqm
from xanes_hpc.formats.frames import named
from xanes_hpc.records import Structure

ELEMENTS = {symbol.lower(): z for symbol, z in atomic_numbers.items() if 0 < z < 119}
PAIR = re.compile(r"(\w+)=(\"[^\"]*\"|\S+)")
EXTENDED = re.compile(r"\b(Lattice|Properties)=", re.IGNORECASE)
CHARGE_IN_NAME = re.compile(r"\((\d*)([+-])\)$")
MOST_ATOMS = 100_000_000


def recognises(path: Path) -> bool:
    """Whether the file's name is that of an XYZ file."""
    return path.name.lower().endswith((".xyz", ".xyz.gz"))


def is_extended(path: Path) -> bool:
    """Whether the first comment line is extended XYZ's."""
    try:
        with _open(path) as lines:
            next(lines, "")
            return EXTENDED.search(next(lines, "")) is not None
    except (OSError, EOFError):
        return False


def read(path: Path) -> Iterator[Structure | FormatError]:
    """The frames of a file; an error in place of a frame with an unknown element or odd coordinates.

    Raises
    ------
    FormatError
        At the first place where the frames cannot be told apart.
    """
    with _open(path) as lines:
        yield from named(path, _frames(path, lines))


def _open(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", errors="replace")
    return path.open(encoding="utf-8", errors="replace")


def _frames(path: Path, lines: TextIO) -> Iterator[Structure | FormatError]:
    number, expected = 0, "an atom count"
    while True:
        count = ""
        for count in lines:
            number += 1
            if count.strip():
                break
        if not count.strip():
            if not number:
                raise FormatError(f"{path}: empty file")
            return
        if not count.strip().isdigit() or not 0 < int(count) <= MOST_ATOMS:
            raise FormatError(f"{path}: line {number}: expected {expected}, received {_excerpt(count)}")
        first = number
        comment = lines.readline().strip()
        number += 1
        rows = []
        for row in lines:
            number += 1
            rows.append(row.split())
            if len(rows) == int(count):
                break
        if len(rows) < int(count):
            raise FormatError(
                f"{path}: truncated: line {first} announces {int(count)} atoms, the file ends after {len(rows)}"
            )
        yield _frame(path, first, comment, rows)
        expected = f"another frame's atom count or the end (line {first} announces {int(count)} atoms)"


def _frame(path: Path, first: int, comment: str, rows: list[list[str]]) -> Structure | FormatError:
    numbers = np.empty(len(rows), np.uint8)
    positions = np.empty((len(rows), 3))
    for a, row in enumerate(rows):
        line = first + 2 + a
        if len(row) < 4:
            short = " ".join(row)
            if len(row) <= 1:  # a blank line or the next count: the announced number of atoms is wrong
                raise FormatError(
                    f"{path}: line {line}: line {first} announces {len(rows)} atoms, "
                    f"received {_excerpt(short)} in place of atom {a}"
                )
            return FormatError(f"line {line}: expected element x y z, received {_excerpt(short)}")
        element = row[0]
        z = int(element) if element.isdigit() else ELEMENTS.get(element.lower(), 0)
        if not 0 < z < 119:
            return FormatError(f"line {line}: unknown element {element!r}")
        numbers[a] = z
        try:
            positions[a] = float(row[1]), float(row[2]), float(row[3])
        except ValueError:
            return FormatError(f"line {line}: expected three coordinates, received {_excerpt(' '.join(row[1:4]))}")
    name, properties = tmqm.parse_comment(comment) or ("", _pairs(comment))
    if "charge" not in properties and (charge := CHARGE_IN_NAME.search(path.stem)):
        properties["charge"] = float(charge[2] + (charge[1] or "1"))
    return Structure(name, numbers, positions, properties=properties)


def _pairs(comment: str) -> dict[str, float | str]:
    return {key: number_or_text(value.strip('"')) for key, value in PAIR.findall(comment)}


def number_or_text(value: str) -> float | str:
    """A property's value: a number where it reads as one."""
    try:
        return float(value)
    except ValueError:
        return value


def _excerpt(line: str) -> str:
    line = line.strip()
    return repr(line if len(line) <= 40 else line[:37] + "...") if line else "a blank line"
