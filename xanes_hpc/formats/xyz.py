"""XYZ files: element symbols or atomic numbers, one frame or many, plain or gzipped, read as a stream.

A frame is the number of atoms, a comment line, and that many lines ``element x y z`` (further columns are ignored).
Blank lines may separate frames. The comment may be tmQM's, ``key=value`` pairs, i-PI's (which gives units and the cell)
or free text; coordinates are in Å unless it names bohr, pm or nm. ASE reads the frames of extended XYZ (``Lattice=`` or
``Properties=`` in the comment). A file may have frames of several kinds.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt
from ase.data import atomic_numbers

from xanes_hpc.errors import FormatError
from xanes_hpc.formats import ipi, isotopes, tmqm
from xanes_hpc.formats.ase_atoms import structure_of
from xanes_hpc.formats.frames import named, stem
from xanes_hpc.formats.length_units import LENGTHS, contains, named_unit, stated_unit
from xanes_hpc.formats.text import open_text, plain_suffix
from xanes_hpc.structures.absorbers import formula
from xanes_hpc.structures.structure import Structure
from xanes_hpc_kernels import text_rows

ELEMENTS = {symbol.lower(): z for symbol, z in atomic_numbers.items() if 0 < z < 119}
WORD = re.compile(r"(?:[^\s\"]|\"[^\"]*\")+")
PAIR = re.compile(r"([^\W\d]\w*)=(\"[^\"]*\"|\S+)")
EXTENDED = re.compile(r"\b(Lattice|Properties)\s*=\s*", re.IGNORECASE)
CELL = re.compile(r"\bcell\s*=\s*(\"[^\"]*\"|\[[^\]]*\]|\{[^}]*\})", re.IGNORECASE)
"""A cell by another name than extended XYZ has for it."""
OTHER_CELL = re.compile(
    r"(?:%PBC|\bpbc|\b(?:unit[ _-]?)?cell|\bcryst1?|\bbox|\blattice)\b\W*(?:\s+[-+]?\d+\.?\d*){3}", re.IGNORECASE
)
LABEL = re.compile(r"([A-Z][a-z]?)\d+")
LABELLED = "elements were taken from labels of atoms, such as Fe1"
LAMMPS = re.compile(r"Atoms\. Timestep: \d+")
OWN_VALUES = re.compile(r"\b(?:Lattice|Properties|pbc)=(?:\"[^\"]*\"|\S+)", re.IGNORECASE)
CONVERTED = "lengths were converted to Å from the unit that the comment names"
PROPERTIES = re.compile(r"\bProperties=\"?([^\s\"]+)", re.IGNORECASE)
CHARGE_IN_NAME = re.compile(r"\((\d*)([+-])\)$")
CODE_AND_FORMULA = re.compile(r"[A-Z]{6}\d{0,2}_([A-Za-z0-9]+)")
CP2K = re.compile(r"i\s*=\s*\d+,\s*time\s*=")
CP2K_QUANTITY = re.compile(r"-(frc|vel)(?:-\d+)?$")
"""CP2K writes the same comment to files of positions, forces and velocities, which their names tell apart."""
MOST_ATOMS = 100_000_000


def recognises(path: Path) -> bool:
    """Return True if the file's name is that of an XYZ file."""
    return plain_suffix(path) in (".xyz", ".extxyz")


def read(path: Path) -> Iterator[Structure | FormatError]:
    """Yield the frames of a file, and an error in place of each frame with an unknown element or bad coordinates.

    Raises
    ------
    FormatError
        At the first line from which on the frames cannot be separated.
    """
    with open_text(path, errors="replace") as lines:
        yield from named(path, _frames(path, lines))


def _frames(path: Path, lines: TextIO) -> Iterator[Structure | FormatError]:
    numbered = enumerate(lines, 1)
    count = _next_count(path, numbered, "an atom count")
    if count is None:
        raise FormatError(f"{path}: empty file")
    while count is not None:
        first, n_atoms = count
        _, comment = next(numbered, (first, ""))
        rows = [row for _, row in islice(numbered, n_atoms)]
        if len(rows) < n_atoms:
            raise FormatError(
                f"{path}: truncated: line {first} announces {n_atoms} atoms, the file ends after {len(rows)}"
            )
        comment = _in_ase_spelling(comment)
        if EXTENDED.search(comment):
            frame = _extended(first, comment, rows)
        else:
            frame = _frame(path, first, comment.strip(), rows)
        # Check before yielding the frame: anything but a count here means that the frame's own count is wrong.
        expected = f"another frame's atom count or the end (line {first} announces {n_atoms} atoms)"
        count = _next_count(path, numbered, expected)
        yield frame


def _in_ase_spelling(comment: str) -> str:
    """Return a comment with ASE's names of the cell and the columns, whatever their capitals and spaces."""
    if not contains(comment, ("cell", "lattice", "properties")):
        return comment
    if (cell := CELL.search(comment)) and not EXTENDED.search(comment):
        numbers = cell[1][1:-1].replace(",", " ").split()
        if len(numbers) == 9:
            comment = f'{comment[: cell.start()]}Lattice="{" ".join(numbers)}"{comment[cell.end() :]}'
    return EXTENDED.sub(lambda found: f"{found[1].capitalize()}=", comment)


def _next_count(path: Path, numbered: Iterator[tuple[int, str]], expected: str) -> tuple[int, int] | None:
    """Return line number and value of the next atom count, or None at the end of the file."""
    for number, line in numbered:
        if line.strip():
            n_atoms = _whole_number(line.strip())
            if not 0 < n_atoms <= MOST_ATOMS:
                raise FormatError(f"{path}: line {number}: expected {expected}, received {_excerpt(line)}")
            return number, n_atoms
    return None


def _extended(first: int, comment: str, rows: list[str]) -> Structure | FormatError:
    """Return a frame of extended XYZ, or why ASE cannot read it."""
    from ase.io import read as read_ase

    stated = PROPERTIES.search(comment)
    n_columns = sum(int(word) for word in stated[1].split(":")[2::3] if word.isdecimal()) if stated else 0
    if n_columns > len(rows[0].split()):  # ASE makes room for them first
        return FormatError(f"line {first + 1}: Properties states {n_columns} columns, received {_excerpt(rows[0])}")
    unit = stated_unit(OWN_VALUES.sub(" ", comment).strip())
    if isinstance(unit, FormatError):
        return FormatError(f"line {first + 1}: {unit}")
    columns = stated[1].split(":") if stated else ["species", "S", "1"]
    if "pos" not in columns[::3] and stated:
        return FormatError(f"line {first + 1}: Properties names no positions (pos:R:3): {stated[1][:60]!r}")
    rows, heavy = _as_hydrogen(rows, columns)
    lines = [f"{len(rows)}\n", comment, *rows]
    try:
        found = structure_of(read_ase(StringIO("".join(lines)), format="extxyz"), "", {})
        if isinstance(found, FormatError):
            return found
        return _in_angstrom(replace(found, choices=found.choices + isotopes.notes(heavy)), unit)
    except Exception as error:  # ASE's readers raise many types of exception
        reason = " ".join(str(error).split()) or type(error).__name__
        return FormatError(f"line {first}: ASE cannot read the extended XYZ: {reason[:120]}")


def _as_hydrogen(rows: list[str], columns: list[str]) -> tuple[list[str], int]:
    """Return rows of extended XYZ with hydrogen in place of its isotopes, which ASE does not know, and their number."""
    before = 0
    for name, _, n in zip(columns[::3], columns[1::3], columns[2::3], strict=False):
        if name.lower() == "species":
            break
        before += int(n) if n.isdecimal() else 1
    else:
        return rows, 0
    pattern = re.compile(rf"^(\s*(?:\S+\s+){{{before}}})[DT](?=\s)")
    changed = [pattern.sub(r"\1H", row) for row in rows]
    return changed, sum(new != old for new, old in zip(changed, rows, strict=True))


def _symbols() -> npt.NDArray[np.uint8]:
    """Return the table of symbols that ``text_rows.read_rows`` takes."""
    found = np.zeros((text_rows.LETTERS, text_rows.LETTERS), np.uint8)
    for symbol, z in ELEMENTS.items():
        first, *second = (ord(letter) - text_rows.A + 1 for letter in symbol)
        found[first, second[0] if second else 0] = z
    return found.ravel()


SYMBOLS = _symbols()


def _frame(path: Path, first: int, comment: str, rows: list[str]) -> Structure | FormatError:
    """Return a frame of symbols or atomic numbers and coordinates, or why it is none."""
    numbers, positions = np.empty(len(rows), np.uint8), np.empty((len(rows), 3))
    text = np.frombuffer("".join(rows).encode(errors="replace"), np.uint8)
    notes: tuple[tuple[str, str], ...] = ()
    if text_rows.read_rows(text, SYMBOLS, numbers, positions) < len(rows):
        found = _read_rows(path, first, [row.split() for row in rows], numbers, positions)
        if isinstance(found, FormatError):
            return found
        notes = found
    if LAMMPS.match(comment) and all(row.split()[0].isdecimal() for row in rows):
        return FormatError(
            f"line {first + 2}: expected element symbols, received LAMMPS's types of atoms; write them with "
            "`dump_modify … element`"
        )
    return _with_comment(path, first, comment, numbers, positions, notes)


def _read_rows(
    path: Path, first: int, rows: list[list[str]], numbers: npt.NDArray[np.uint8], positions: npt.NDArray[np.float64]
) -> tuple[tuple[str, str], ...] | FormatError:
    """Read rows of any spelling; return what was chosen, or why they cannot be read."""
    heavy = labelled = 0
    for a, row in enumerate(rows):
        line = first + 2 + a
        if len(row) < 4:
            short = " ".join(row)
            if len(row) <= 1:  # a blank line or the next count: this frame's count is wrong
                raise FormatError(
                    f"{path}: line {line}: line {first} announces {len(rows)} atoms, "
                    f"received {_excerpt(short)} in place of atom {a}"
                )
            return FormatError(f"line {line}: expected element x y z, received {_excerpt(short)}")
        element = row[0]
        heavy += element.upper() in isotopes.HYDROGEN
        z = ELEMENTS.get(element.lower()) or isotopes.HYDROGEN.get(element.upper()) or _whole_number(element)
        if z < 0 and (label := LABEL.fullmatch(element)) and label[1] in atomic_numbers:
            z, labelled = atomic_numbers[label[1]], labelled + 1
        if not 0 < z < 119:
            return FormatError(f"line {line}: unknown element {element!r}")
        numbers[a] = z
        try:
            positions[a] = [float(word) for word in row[1:4]]
        except ValueError:
            return FormatError(f"line {line}: expected three coordinates, received {_excerpt(' '.join(row[1:4]))}")
    return isotopes.notes(heavy) + (((LABELLED, f"{labelled:,} atoms"),) if labelled else ())


def _with_comment(
    path: Path, first: int, comment: str, numbers: npt.NDArray[np.uint8], positions: npt.NDArray[np.float64],
    notes: tuple[tuple[str, str], ...],
) -> Structure | FormatError:  # fmt: skip
    """Return the structure with the name, properties, unit and cell that the comment gives, or why it is none."""
    if CP2K.match(comment) and (other := CP2K_QUANTITY.search(stem(path))):
        return FormatError(f"expected CP2K's positions (-pos), but the file's name is that of -{other[1]}")
    from_ipi = ipi.parse_comment(comment)
    names_cell = from_ipi is None and contains(comment, ("pbc", "cell", "cryst", "box", "lattice"))
    if names_cell and (other_cell := OTHER_CELL.search(comment)):
        return FormatError(
            f"line {first + 1}: the comment names a cell, {' '.join(other_cell[0].split())[:40]!r}, which only "
            'extended XYZ has; write Lattice="ax ay az bx by bz cx cy cz" there, or give CIF or POSCAR'
        )
    unit = from_ipi or stated_unit(comment)
    if isinstance(unit, FormatError):
        return FormatError(f"line {first + 1}: {unit}")
    name, properties = tmqm.parse_comment(comment) or tmqm.renamed({} if from_ipi else _pairs(comment))
    if "charge" not in properties and (charge := _charge_in_name(stem(path), numbers)) is not None:
        properties["charge"] = charge
    if isinstance(unit, ipi.Frame):
        positions *= unit.length
        return Structure(name, numbers, positions, unit.cell, unit.pbc, properties, choices=unit.choices + notes)
    return _in_angstrom(Structure(name, numbers, positions, properties=properties, choices=notes), unit)


def _in_angstrom(structure: Structure, unit: str | None) -> Structure:
    if unit is None or LENGTHS[unit] == 1:
        return structure
    length = LENGTHS[unit]
    kept = {key: value for key, value in structure.properties.items() if named_unit(str(value)) != unit}
    return replace(
        structure, properties=kept, positions=length * structure.positions, cell=length * structure.cell,
        choices=(*structure.choices, (CONVERTED, unit)),
    )  # fmt: skip


def _charge_in_name(name: str, numbers: npt.NDArray[np.uint8]) -> float | None:
    """Return the charge in a published file's name, as in ``ACOMUA_C36H39FeP6(1+)``; 0 for code and formula alone."""
    if charge := CHARGE_IN_NAME.search(name):
        return float(charge[2] + (charge[1] or "1"))
    neutral = CODE_AND_FORMULA.fullmatch(name)
    return 0.0 if neutral and neutral[1] == formula(numbers) else None


def _pairs(comment: str) -> dict[str, float | str]:
    """Return the ``key=value`` words; text values only if all of several words are pairs, as ``CCC=O`` is SMILES."""
    words = WORD.findall(comment)
    pairs = [PAIR.fullmatch(word) for word in words]
    values = {pair[1]: number_or_text(pair[2].strip('"')) for pair in pairs if pair}
    if len(words) > 1 and all(pairs):
        return values
    return {key: value for key, value in values.items() if isinstance(value, float)}


def _whole_number(text: str) -> int:
    """Return a count or an atomic number, or -1 if the text is neither."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1


def number_or_text(value: str) -> float | str:
    """Return a property's value: a number if it reads as one, else the text."""
    try:
        return float(value)
    except ValueError:
        return value


def _excerpt(line: str) -> str:
    line = line.strip()
    return repr(line if len(line) <= 40 else line[:37] + "...") if line else "a blank line"
