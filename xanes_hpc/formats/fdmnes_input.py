"""FDMNES's input file: a keyword on one line, its values on the next, ``!`` for comments, ``End`` at the end.

Files that are written read back equal: numbers have as many digits as they need. The keywords are those used for the
published Fe K-edge set; other keywords are passed on unchanged.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import floor
from pathlib import Path

import numpy as np

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.fdmnes_atoms import ATOMS, lines_of, structure_of
from xanes_hpc.formats.fdmnes_keywords import blocks, floats, name_of, number, numbers
from xanes_hpc.structures.structure import Structure

EDGES = ("K", "L1", "L2", "L3", "L23", "M1", "M2", "M3", "M23", "M4", "M5", "M45", "N1", "N2", "N3", "N23")
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
    lines = ["Filout", calculation.output, "Range", numbers(settings.energies), "Radius", number(settings.radius)]
    lines += ["Edge", calculation.edge, "Absorber", str(calculation.absorber + 1)]
    lines += [keyword for name, keyword in FLAGS.items() if getattr(settings, name) and name != "convolution"]
    for keyword, values in settings.keywords:
        lines += [keyword, *values]
    lines += lines_of(structure)
    if settings.convolution:
        lines.append(FLAGS["convolution"])
    return "\n".join([*lines, "End", ""])


ELSEWHERE = (
    "cif_file", "pdb_file", "crystal_t", "molecule_", "film", "film_t", "film_cif_", "film_pdb_", "surface",
    "interface", "bulk", "flapw", "spgroup", "atom",
)  # fmt: skip
"""Keywords with which an input does not list all atoms by atomic number and position."""
KNOWN = {"filout", "range", "radius", "edge", "absorber", "end", *ATOMS, *(name_of(word) for word in FLAGS.values())}
DEFAULTS = {"filout": ("fdmnes_out",), "edge": ("K",), "radius": ("3.0",)}
"""FDMNES's own defaults for missing keywords; its default absorber is the first atom."""
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
    found = {name_of(keyword): values for keyword, values in written}
    if "z_absorbe" not in found:
        found = {"absorber": ("1",)} | found
    found = DEFAULTS | found
    if "rangel" not in found:
        found = {"range": DEFAULT_RANGE} | found
    for name in ("filout", "range", "edge", "absorber"):
        if not found.get(name, ("",)):
            raise FormatError(f"{path}: no {name.capitalize()} with a value")
    structure = None if any(name in found for name in ELSEWHERE) else structure_of(path, found)
    own = {name: name_of(keyword) in found for name, keyword in FLAGS.items()}
    settings = Settings(
        radius=_first(path, "Radius", found["radius"]),
        energies=tuple(floats(path, "Range", found.get("range", ()))),
        keywords=tuple((keyword, values) for keyword, values in written if name_of(keyword) not in KNOWN),
        **own,
    )
    index = _absorber(path, found, structure)
    name = Path(found["filout"][0]).name.removesuffix(".txt")
    edge = found["edge"][0].split()[0].upper()
    own_structure = None if structure is None else replace(structure, name=name)
    return Input(own_structure, index, "K" if edge == "K1" else edge, name, settings)


def _absorber(path: Path, found: dict[str, tuple[str, ...]], structure: Structure | None) -> int:
    """Return the index of the absorber, from 0: by number, or the only atom of the element of ``Z_absorber``."""
    words = found.get("absorber", ())
    if not words:
        element = floats(path, "Z_absorber", found["z_absorbe"])
        if structure is None:
            return 0
        alike = np.flatnonzero(np.isin(structure.numbers, element))
        if alike.size != 1:
            raise FormatError(
                f"{path}: Z_absorber: expected one atom of this element, received {alike.size}; give Absorber instead"
            )
        return int(alike[0])
    absorber = floats(path, "Absorber", words)
    if len(absorber) != 1 or not absorber[0].is_integer():
        raise FormatError(f"{path}: Absorber: expected the number of one atom, received {' '.join(words)}")
    index = int(absorber[0]) - 1
    if structure is not None and not 0 <= index < structure.numbers.size:
        raise FormatError(f"{path}: Absorber: expected 1 to {structure.numbers.size}, received {index + 1}")
    return index


def _first(path: Path, what: str, rows: Sequence[str]) -> float:
    values = floats(path, what, rows[:1])
    if not values:
        raise FormatError(f"{path}: no {what} with a value")
    return values[0]
