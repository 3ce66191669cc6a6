"""FDMNES's input file: a keyword on one line, its values on the next, ``!`` for comments, ``End`` at the end.

Files that are written read back equal: numbers have as many digits as they need. The keywords are those used for the
published Fe K-edge set; other keywords are passed on unchanged.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import floor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ase import cell as ase_cell
from ase.data import chemical_symbols

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.fdmnes_keywords import blocks, name_of
from xanes_hpc.structures.structure import Structure

Cell: Any = ase_cell.Cell
EDGES = ("K", "L1", "L2", "L3", "L23", "M1", "M2", "M3", "M23", "M4", "M5", "M45", "N1", "N2", "N3", "N23")
UNIT_CELL = (1.0, 1.0, 1.0, 90.0, 90.0, 90.0)
FLAGS = {
    "quadrupole": "Quadrupole",
    "green": "Green",
    "scf": "SCF",
    "absolute": "Energpho",
    "spin_orbit": "Spinorbit",
    "emission": "XES",
    "convolution": "Convolution",
}
"""Keywords without a value, by attribute of ``Settings``."""
WHOLE_STEPS = 1e-6
"""Relative tolerance within which a range must be a whole number of steps."""
MOST_STEPS = 100_000
LONGEST_NAME = 80


@dataclass(frozen=True)
class Settings:
    """Settings of a calculation.

    Attributes
    ----------
    radius
        Radius of the cluster around the absorber, in Å.
    energies
        Alternating energies from the edge and steps, in eV: (-15, 0.2, 60) is from -15 to 60 in steps of 0.2. Empty in
        what is read of an input with ``Rangel``, whose steps grow.
    scf
        Whether the potential is self-consistent; takes five times as long.
    quadrupole
        Whether quadrupole transitions are included.
    green
        True for multiple scattering with muffin-tin potentials, False for finite differences.
    absolute
        Whether energies are written as absolute.
    spin_orbit
        Whether spin-orbit coupling is included.
    emission
        Whether the emission spectrum is calculated as well.
    convolution
        Whether FDMNES broadens the spectrum too.
    keywords
        Further keywords, each with the lines of its values.
    """

    radius: float = 6.0
    energies: tuple[float, ...] = (-15.0, 0.2, 60.0)
    scf: bool = False
    quadrupole: bool = True
    green: bool = True
    absolute: bool = True
    spin_orbit: bool = False
    emission: bool = False
    convolution: bool = True
    keywords: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True)
class Input:
    """A calculation of one site: atom ``absorber`` (from 0) of a structure; ``output`` is the name of its files.

    The structure of an input that was read is None if the input does not list all its atoms, as with ``Cif_file``.
    """

    structure: Structure | None
    absorber: int
    edge: str
    output: str
    settings: Settings = Settings()


def check_settings(settings: Settings) -> None:
    """Check that FDMNES accepts the settings.

    Raises
    ------
    FormatError
        If the radius is not positive, the range is invalid, or a further keyword is invalid, repeated, or one that the
        settings write.
    """
    if not 0.0 < settings.radius < np.inf:
        raise FormatError(f"`radius`: expected more than 0 Å, received {settings.radius:g}")
    n_energies(settings.energies)
    for (start, stop), step in zip(pairwise(settings.energies[::2]), settings.energies[1::2], strict=True):
        n = (stop - start) / step
        if abs(n - round(n)) > WHOLE_STEPS * max(1.0, n):
            raise FormatError(
                f"{_range_of(settings.energies)}: expected a whole number of steps from {start:g} to {stop:g} eV, "
                f"received {n:g} steps of {step:g} eV"
            )
    seen = set[str]()
    for keyword, values in settings.keywords:
        if not re.fullmatch(r"[A-Za-z]\w*", keyword):
            raise FormatError(f"keyword {keyword!r}: expected one word of letters")
        if any(not line.isprintable() for line in values):
            raise FormatError(f"keyword {keyword}: expected its values on one line, received {values[0]!r}")
        name = name_of(keyword)
        if name in seen:
            raise FormatError(f"keyword {keyword}: expected once, received twice")
        seen.add(name)
        if name in KNOWN:
            raise FormatError(f"keyword {keyword}: is written from the other settings; change those instead")


def n_energies(energies: Sequence[float]) -> int:
    """Return the number of energies in a range, which is the number of rows of a finished calculation.

    Each interval ends at its last whole step, from which the next one continues.

    Raises
    ------
    FormatError
        If the energies do not ascend, or there are too many.

    Examples
    --------
    >>> n_energies((-5, 1, 10, 3, 20))  # -5 to 10 by 1, then 13, 16, 19
    19
    """
    where = _range_of(energies)
    if len(energies) < 3 or len(energies) % 2 == 0 or not np.isfinite(energies).all():
        raise FormatError(f"{where}: expected energies with a step between each two, such as -15 0.2 60")
    total, at = 1, energies[0]
    for (start, stop), step in zip(pairwise(energies[::2]), energies[1::2], strict=True):
        if not (step > 0 and stop > start):
            raise FormatError(f"{where}: expected ascending energies and steps above 0, received {start:g} to {stop:g}")
        n = (stop - at) / step
        if n > MOST_STEPS:
            raise FormatError(f"{where}: expected {MOST_STEPS:,} steps or fewer, received {n:g} of {step:g} eV")
        n_whole = floor(n + WHOLE_STEPS * max(1.0, n))
        total, at = total + n_whole, at + n_whole * step
    return total


def _range_of(energies: Sequence[float]) -> str:
    return "range " + " ".join(f"{value:g}" for value in energies)


def write(calculation: Input) -> str:
    """Return the text of an input file.

    Raises
    ------
    FormatError
        If there is no structure, it is periodic in some directions only, FDMNES has no such edge, there is no atom of
        that index, or the settings are invalid.
    """
    structure, settings = calculation.structure, calculation.settings
    if structure is None:
        raise FormatError(f"{calculation.output}: expected a structure, received none")
    check_settings(settings)
    if calculation.edge not in EDGES:
        raise FormatError(f"{structure.name}: FDMNES has no edge {calculation.edge}; it has {', '.join(EDGES)}")
    if not 0 <= calculation.absorber < structure.numbers.size:
        last = structure.numbers.size - 1
        raise FormatError(f"{structure.name}: no atom {calculation.absorber}; expected 0 to {last}")
    lines = ["Filout", calculation.output, "Range", _numbers(settings.energies), "Radius", _number(settings.radius)]
    lines += ["Edge", calculation.edge, "Absorber", str(calculation.absorber + 1)]
    lines += [keyword for name, keyword in FLAGS.items() if getattr(settings, name) and name != "convolution"]
    for keyword, values in settings.keywords:
        lines += [keyword, *values]
    lines += _atoms(structure)
    if settings.convolution:
        lines.append(FLAGS["convolution"])
    return "\n".join([*lines, "End", ""])


def _atoms(structure: Structure) -> list[str]:
    if structure.pbc.all():
        volume = np.linalg.det(structure.cell)
        cell = structure.cell if volume > 0 else structure.cell[[1, 0, 2]]  # two vectors swapped: the same lattice
        parameters = np.asarray(Cell(cell).cellpar())
        if not (np.isfinite(parameters).all() and volume):
            raise FormatError(f"{structure.name}: expected a cell with a volume, received {structure.cell.tolist()}")
        keyword, positions = "Crystal", np.linalg.solve(cell.T, structure.positions.T).T
    elif structure.pbc.any():
        raise FormatError(
            f"{structure.name}: periodic in {int(structure.pbc.sum())} of three directions; FDMNES accepts "
            "molecules and crystals only: give a slab a cell with vacuum, periodic in all three"
        )
    else:
        keyword, positions, parameters = "Molecule", structure.positions, np.array(UNIT_CELL)
    rows = [f"{z} {_numbers(xyz)}" for z, xyz in zip(structure.numbers.tolist(), positions.tolist(), strict=True)]
    return [keyword, _numbers(parameters), *rows]


def _numbers(values: Iterable[float]) -> str:
    return " ".join(_number(value) for value in values)


def _number(value: float) -> str:
    """Return the shortest text that reads back as the same number, without an exponent."""
    return np.format_float_positional(value, unique=True, trim="0")


ATOMS = ("molecule", "crystal")
ELSEWHERE = (
    "cif_file", "pdb_file", "crystal_t", "molecule_", "film", "film_t", "film_cif_", "film_pdb_", "surface",
    "interface", "bulk", "flapw", "spgroup", "atom",
)  # fmt: skip
"""Keywords with which an input does not list all atoms by atomic number and position."""
KNOWN = {"filout", "range", "radius", "edge", "absorber", "end", *ATOMS, *(name_of(word) for word in FLAGS.values())}
DEFAULTS = {"filout": ("fdmnes_out",), "edge": ("K",), "absorber": ("1",), "radius": ("3.0",)}
"""What FDMNES takes where the input leaves a keyword out."""
DEFAULT_RANGE = ("-5. 0.5 60.",)


def read(path: Path) -> Input:
    """Read an input file of one site; the structure is named after the output.

    Raises
    ------
    FormatError
        If the file cannot be read, or a required keyword or its value is missing or invalid.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from None
    written = list(blocks(lines, KNOWN | set(ELSEWHERE)))
    found = DEFAULTS | {name_of(keyword): values for keyword, values in written}
    if "rangel" not in found:
        found = {"range": DEFAULT_RANGE} | found
    for name in ("filout", "range", "edge", "absorber"):
        if not found.get(name, ("",)):
            raise FormatError(f"{path}: no {name.capitalize()} with a value")
    structure = None if any(name in found for name in ELSEWHERE) else _structure(path, found)
    own = {name: name_of(keyword) in found for name, keyword in FLAGS.items()}
    settings = Settings(
        radius=_first(path, "Radius", found["radius"]),
        energies=tuple(_floats(path, "Range", found.get("range", ()))),
        keywords=tuple((keyword, values) for keyword, values in written if name_of(keyword) not in KNOWN),
        **own,
    )
    absorber = _floats(path, "Absorber", found["absorber"])
    if len(absorber) != 1 or not absorber[0].is_integer():
        raise FormatError(f"{path}: Absorber: expected the number of one atom, received {' '.join(found['absorber'])}")
    index = int(absorber[0]) - 1
    if structure is not None and not 0 <= index < structure.numbers.size:
        raise FormatError(f"{path}: Absorber: expected 1 to {structure.numbers.size}, received {index + 1}")
    name = Path(found["filout"][0]).name.removesuffix(".txt")
    edge = found["edge"][0].split()[0].upper()
    own_structure = None if structure is None else replace(structure, name=name)
    return Input(own_structure, index, "K" if edge == "K1" else edge, name, settings)


def _structure(path: Path, found: dict[str, tuple[str, ...]]) -> Structure:
    kinds = [keyword for keyword in ATOMS if keyword in found]
    if len(kinds) != 1:
        raise FormatError(f"{path}: expected one Molecule or Crystal, received {len(kinds)}")
    rows = found[kinds[0]]
    cell = _floats(path, "cell", rows[:1])
    if len(cell) not in (3, 6) or len(rows) < 2:
        raise FormatError(f"{path}: {kinds[0].capitalize()}: expected a line with the cell, then atoms")
    atoms = np.array([_atom(path, row) for row in rows[1:]])
    parameters = np.array([*cell, *UNIT_CELL[len(cell) :]])
    try:
        vectors = np.asarray(Cell.fromcellpar(parameters))
        possible = (parameters > 0).all() and (parameters[3:] < 180).all() and np.isfinite(vectors).all()
    except (AssertionError, ValueError):
        possible = False
    if not possible:
        raise FormatError(f"{path}: cell: no cell has these lengths and angles: {_numbers(parameters)}")
    plain = tuple(parameters) == UNIT_CELL
    periodic = kinds[0] == "crystal"
    return Structure(
        name="",
        numbers=atoms[:, 0].astype(np.uint8),
        positions=atoms[:, 1:] if plain else atoms[:, 1:] @ vectors,
        cell=vectors if periodic else np.zeros((3, 3)),
        pbc=np.full(3, periodic),
    )


def _atom(path: Path, row: str) -> npt.NDArray[np.float64]:
    values = _floats(path, "atom", [row])
    if len(values) > 4:
        raise FormatError(f"{path}: atom {row!r}: expected atomic number and x y z; occupancies are not supported")
    if len(values) != 4 or not values[0].is_integer() or not 0 < values[0] < len(chemical_symbols):
        raise FormatError(f"{path}: atom {row!r}: expected atomic number and x y z")
    return np.array(values)


def _first(path: Path, what: str, rows: Sequence[str]) -> float:
    values = _floats(path, what, rows[:1])
    if not values:
        raise FormatError(f"{path}: no {what} with a value")
    return values[0]


def _floats(path: Path, what: str, rows: Sequence[str]) -> list[float]:
    words = " ".join(rows).replace(",", " ").split()
    try:
        values = [float(re.sub(r"(?<=[\d.])[dD](?=[-+\d])", "e", word)) for word in words]
    except ValueError:
        values = [np.nan]
    if not np.isfinite(values).all():
        raise FormatError(f"{path}: {what}: expected numbers, received {' '.join(words)[:40]!r}")
    return values
