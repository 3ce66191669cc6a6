"""Spectra written by FDMNES, and such files repacked by others.

``NAME.txt`` is unbroadened. Its first line has numbers, beginning with the edge energy, and ``= E_edge, Z, …``;
intensities are in Mbarn. A pair of edges has one column each (``<xanes>_L2``, ``<xanes>_L3``), both on the energies of
the second. The columns are summed after the first is moved up by the distance between the two core levels (Epsii in
the first line), as in FDMNES's own convolution. ``NAME_conv.txt`` is broadened and has one title line.
``NAME_xes_conv.txt`` is emission, with the title ``<xes>``. Repacked files have the code's name and a title line, and
do not record how they were treated.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase.data import chemical_symbols

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.absorber import stated
from xanes_hpc.formats.columns import Columns, energy_and_intensity
from xanes_hpc.formats.read_options import AS_FOUND, ReadOptions
from xanes_hpc.formats.text import unpacked_name
from xanes_hpc.formats.text_table import Table, read_table
from xanes_hpc.spectra.edges import tabulated
from xanes_hpc.spectra.rise_at_edge import VERY_FAR
from xanes_hpc.spectra.spectrum import ARBITRARY, NO_TREATMENT, UNSTATED, Spectrum, treatment, unit_from

CONVOLVED = treatment("fdmnes-conv")
"""FDMNES's own broadening; its output does not record the parameters."""
EDGE_IN_HEADER = re.compile(r"\be0:? (\d+(?:\.\d+)?) eV\b")
PAIR_TITLES = re.compile(r"^energy <xanes>?_[lmn]\d>? <xanes>?_[lmn]\d>?$")
FARTHEST_EDGE = 0.05
"""Largest difference between an edge energy and the tabulated one, as a fraction of the latter."""
SHELLS = "_KLMNOP"
"""Letters of the edges, by principal quantum number."""


@dataclass(frozen=True)
class FirstLine:
    """The line of numbers that begins FDMNES's unbroadened output.

    Attributes
    ----------
    e_edge
        Edge energy, eV.
    element, edge
        Atomic number, and edge such as ``L3``; None where the line does not give them.
    e_cut
        Energy from the edge above which states are empty (eV): E_cut or, since 2022, E_Fermi; None if not given.
    words
        All words before ``= E_edge``.
    """

    e_edge: float
    element: int | None
    edge: str | None
    e_cut: float | None
    words: list[str]


def read(path: Path, options: ReadOptions = AS_FOUND) -> Spectrum:
    """Read a spectrum from a text file, with all that an FDMNES header or file name says about it.

    Raises
    ------
    FormatError
        If the file does not have two columns of numbers.
    """
    table = read_table(path)
    first = first_line(path, table)
    pair = PAIR_TITLES.search(" ".join(table.titles).lower())
    found = _pair_of_edges(path, table, first) if pair else energy_and_intensity(path, table, options)
    if first is not None:
        found = _without_repeated(path, found)
    e_edge = first.e_edge if first is not None else _edge_in_header(table)
    stem = Path(unpacked_name(path)).stem.lower()
    emission = any("<xes>" in line for line in table.header) or stem.endswith("_xes_conv")
    if stem.endswith("_conv"):
        treated, unit = CONVOLVED, ARBITRARY
    elif first is not None:
        treated, unit = NO_TREATMENT, "Mbarn"
    else:
        treated, unit = UNSTATED, unit_from(found.title)
    (element, edge), told = stated(path.name, table.header) if first is None else ((first.element, first.edge), ())
    return Spectrum(
        energies=found.energies,
        intensities=found.intensities,
        kind="xes" if emission else "xanes",
        treatment=treated,
        unit=unit,
        e_edge=e_edge,
        e_cut=None if first is None else first.e_cut,
        absolute=None if e_edge is None else bool(found.energies[0] > 0.5 * e_edge),
        source=path.name,
        element=element,
        edge="L23" if pair and edge in ("L2", "L3") else edge,
        choices=found.choices + told,
        sigma=found.sigma,
        reference=found.reference,
        mode=found.mode,
    )


def first_line(path: Path, table: Table) -> FirstLine | None:
    """Return the values of FDMNES's first line, or None if there is none; lines that begin with # may precede it.

    Raises
    ------
    FormatError
        If the line does not begin with an edge energy.
    """
    number, line = next(((n, line) for n, line in enumerate(table.header, 1) if "= E_edge" in line), (0, ""))
    if not number:
        return None
    words = line.partition("=")[0].split()
    e_edge = _number(words, 0)
    if e_edge is None or e_edge <= 0:
        raise FormatError(f"{path}: line {number}: expected FDMNES's edge energy, received {line[:20]!r}")
    element, shell, level = (_number(words, k) for k in (1, 2, 3))
    edge = z = None
    if shell is not None and level is not None and 0 < shell < len(SHELLS):
        edge = SHELLS[int(shell)] + (f"{level:.0f}" if shell > 1 else "")
    if element is not None and 0 < element < len(chemical_symbols):
        z = int(element)
    _check_edge_energy(path, number, z, edge, e_edge)
    return FirstLine(e_edge, z, edge, _number(words, 6), words)


def _without_repeated(path: Path, found: Columns) -> Columns:
    """Return columns without the energies that builds of 2024 write twice.

    Raises
    ------
    FormatError
        If the energies go back: FDMNES writes them in order, so the file is damaged.
    """
    steps = np.diff(found.energies)
    if (steps < 0).any():
        at = int(np.argmax(steps < 0))
        before, after = found.energies[at : at + 2]
        raise FormatError(
            f"{path}: unsorted energies: expected ascending energies, received {before:g} then {after:g} eV"
        )
    repeated = int((steps == 0).sum())
    if not repeated:
        return found
    kept = np.concatenate([[True], steps != 0])
    choices = (*found.choices, ("energies that FDMNES wrote twice were read once", f"{path.name}: {repeated}"))
    return Columns(found.energies[kept], found.intensities[kept], found.title, choices)  # of a calculation


def _check_edge_energy(path: Path, line: int, element: int | None, edge: str | None, e_edge: float) -> None:
    """Raise an error if an edge energy is impossible for the element and edge beside it."""
    known = tabulated(element, edge)
    if element is not None and known is not None and abs(e_edge - known) > max(FARTHEST_EDGE * known, VERY_FAR):
        named = f"{chemical_symbols[element]} {edge}"
        raise FormatError(
            f"{path}: line {line}: expected an edge energy near that of {named}, {known:g} eV, received {e_edge:g}"
        )


def _pair_of_edges(path: Path, table: Table, first: FirstLine | None) -> Columns:
    energies, lower, upper = table.values.T
    words = first.words if first is not None else []
    n_levels, level, reference = (_number(words, k) for k in (7, 9, 10))
    if n_levels != 2 or level is None or reference is None or level < reference:
        raise FormatError(f"{path}: line 1: expected two core levels for two edges ({', '.join(table.titles[1:])})")
    moved = np.interp(energies - (level - reference), energies, lower)
    return Columns(energies.copy(), moved + upper, choices=table.choices)


def _edge_in_header(table: Table) -> float | None:
    """Return the edge energy that a header states in words, as our own exported files do, or None."""
    for line in table.header:
        if found := EDGE_IN_HEADER.search(line):
            return float(found[1])
    return None


def _number(words: Sequence[str], place: int) -> float | None:
    """Return a word as a finite number, or None: other versions of FDMNES may write fewer numbers."""
    try:
        value = float(words[place])
    except (ValueError, IndexError):
        return None
    return value if np.isfinite(value) else None
