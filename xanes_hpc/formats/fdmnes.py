"""Spectra as FDMNES writes them, and as others repack them.

``NAME.txt``, unbroadened: the first line holds numbers, the edge energy first, and ``= E_edge, Z, …``;
intensities in Mbarn. Of a pair of edges it has a column each (``<xanes>_L2``, ``<xanes>_L3``), both against the
energies of the second; their sum is taken, the first moved up by the distance of the two core levels (Epsii in the
first line), as FDMNES's own convolution does. ``NAME_conv.txt``: one title line, broadened.
``NAME_xes_conv.txt``: emission, title ``<xes>``. Repacked files carry the code's name and a title line and do not
say how they were treated.
"""

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.columns import Table, energy_and_intensity, read_table
from xanes_hpc.spectra.spectrum import NO_TREATMENT, UNSTATED, Spectrum, treatment

CONVOLVED = treatment("fdmnes-conv")
"""FDMNES's own broadening, with parameters its output does not tell."""


TOLD_EDGE = re.compile(r"\be0:? (\d+(?:\.\d+)?) eV\b")
PAIR_TITLES = re.compile(r"^energy <xanes>?_[lmn]\d>? <xanes>?_[lmn]\d>?$")


def read(path: Path) -> Spectrum:
    """A spectrum from a text file, with what an FDMNES header or file name says of it.

    Raises
    ------
    FormatError
        If the file holds no two columns of numbers.
    """
    table = read_table(path)
    edge = _edge_energy(path, table)
    pair = PAIR_TITLES.search(" ".join(table.titles).lower())
    energies, intensities = _pair_of_edges(path, table) if pair else energy_and_intensity(path, table)
    told = edge if edge is not None else _told_edge(table)
    emission = any("<xes>" in line for line in table.header) or path.stem.endswith("_xes_conv")
    if path.stem.endswith("_conv"):
        treated, unit = CONVOLVED, "arbitrary"
    elif edge is not None:
        treated, unit = NO_TREATMENT, "Mbarn"
    else:
        treated, unit = UNSTATED, "arbitrary"
    return Spectrum(
        energies=energies,
        intensities=intensities,
        kind="xes" if emission else "xanes",
        treatment=treated,
        unit=unit,
        e_edge=told,
        e_cut=None if edge is None else _e_cut(table),
        absolute=None if told is None else bool(energies[0] > 0.5 * told),
        source=path.name,
    )


def _pair_of_edges(path: Path, table: Table) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    energies, first, second = table.values.T
    words = table.header[0].partition("=")[0].split()
    try:
        n_levels, level, reference = int(words[7]), float(words[9]), float(words[10])
    except (ValueError, IndexError):
        n_levels = 0
    if n_levels != 2 or not 0 <= level - reference < np.inf:
        raise FormatError(f"{path}: two edges ({', '.join(table.titles[1:])}), but no two core levels in line 1")
    moved = np.interp(energies - (level - reference), energies, first)
    return energies.copy(), moved + second


def _edge_energy(path: Path, table: Table) -> float | None:
    if not table.header or "= E_edge" not in table.header[0]:
        return None
    try:
        edge = float(table.header[0].split()[0])
    except ValueError:
        edge = np.nan
    if not np.isfinite(edge) or edge <= 0:
        raise FormatError(f"{path}: line 1: expected FDMNES's edge energy, received {table.header[0][:20]!r}")
    return edge


def _told_edge(table: Table) -> float | None:
    """The edge energy that a header tells in words, as those of our own exported files do; None without."""
    for line in table.header:
        if found := TOLD_EDGE.search(line):
            return float(found[1])
    return None


def _e_cut(table: Table) -> float | None:
    """The energy in the first line's seventh place, if there is one: other versions of FDMNES may write less."""
    words = table.header[0].partition("=")[0].split()
    try:
        value = float(words[6])
    except (ValueError, IndexError):
        return None
    return value if np.isfinite(value) else None
