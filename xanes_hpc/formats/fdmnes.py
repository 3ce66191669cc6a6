"""Spectra written by FDMNES, and such files repacked by others.

``NAME.txt`` is unbroadened. Its first line has numbers, beginning with the edge energy, and ``= E_edge, Z, …``;
intensities are in Mbarn. A pair of edges has one column each (``<xanes>_L2``, ``<xanes>_L3``), both on the energies of
the second. The columns are summed after the first is moved up by the distance between the two core levels (Epsii in
the first line), as in FDMNES's own convolution. ``NAME_conv.txt`` is broadened and has one title line.
``NAME_xes_conv.txt`` is emission, with the title ``<xes>``. Repacked files have the code's name and a title line, and
do not record how they were treated.
"""

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.columns import Table, energy_and_intensity, read_table
from xanes_hpc.spectra.spectrum import NO_TREATMENT, UNSTATED, Spectrum, treatment

CONVOLVED = treatment("fdmnes-conv")
"""FDMNES's own broadening; its output does not record the parameters."""


EDGE_IN_HEADER = re.compile(r"\be0:? (\d+(?:\.\d+)?) eV\b")
PAIR_TITLES = re.compile(r"^energy <xanes>?_[lmn]\d>? <xanes>?_[lmn]\d>?$")


def read(path: Path) -> Spectrum:
    """Read a spectrum from a text file, with all that an FDMNES header or file name says about it.

    Raises
    ------
    FormatError
        If the file does not have two columns of numbers.
    """
    table = read_table(path)
    edge = _edge_energy(path, table)
    pair = PAIR_TITLES.search(" ".join(table.titles).lower())
    energies, intensities = _pair_of_edges(path, table) if pair else energy_and_intensity(path, table)
    e_edge = edge if edge is not None else _edge_in_header(table)
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
        e_edge=e_edge,
        e_cut=None if edge is None else _e_cut(table),
        absolute=None if e_edge is None else bool(energies[0] > 0.5 * e_edge),
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
        raise FormatError(f"{path}: line 1: expected two core levels for two edges ({', '.join(table.titles[1:])})")
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


def _edge_in_header(table: Table) -> float | None:
    """Return the edge energy that a header states in words, as our own exported files do, or None."""
    for line in table.header:
        if found := EDGE_IN_HEADER.search(line):
            return float(found[1])
    return None


def _e_cut(table: Table) -> float | None:
    """Return the seventh number of the first line, or None: other versions of FDMNES may write fewer numbers."""
    words = table.header[0].partition("=")[0].split()
    try:
        value = float(words[6])
    except (ValueError, IndexError):
        return None
    return value if np.isfinite(value) else None
