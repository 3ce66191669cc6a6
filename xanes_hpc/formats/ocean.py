"""Spectra written by OCEAN: ``absspct_El.NNNN_1s_PP``, one atom and one direction of polarisation each.

NNNN counts the atoms of the element from 1, PP the files ``photon1``, ``photon2``, … The header names the columns,
``Energy Spect Spect(0) SPKK SPKK(0)``; ``Spect(0)`` has the constant broadening ``gam`` (a half width in hartree) and
``Spect`` a damping that rises with energy besides. Energies are counted from the edge of the conduction band.
"""

import re
from pathlib import Path

from ase.data import atomic_numbers
from ase.units import Hartree

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.text import unpacked_name
from xanes_hpc.formats.text_table import read_table
from xanes_hpc.spectra.edges import FROM_FERMI
from xanes_hpc.spectra.spectrum import Spectrum, treatment

NAME = re.compile(r"absspct_([A-Z][a-z]?)_?\.(\d+)_(\d[spdf])_(\d+)")
EDGE_OF = {"1s": "K", "2s": "L1", "2p": "L", "3s": "M1", "3p": "M", "3d": "M"}
COLUMNS = ["Energy", "Spect", "Spect(0)"]
BROADENING = re.compile(r"\bgam=\s*([-+\d.Ee]+)")


def recognises(path: Path) -> bool:
    """Return True if a file is OCEAN's by its name."""
    return NAME.fullmatch(Path(unpacked_name(path)).name) is not None


def read(path: Path) -> Spectrum:
    """Read a spectrum.

    Raises
    ------
    FormatError
        If the file is not OCEAN's.
    """
    name = NAME.fullmatch(Path(unpacked_name(path)).name)
    table = read_table(path)
    titles = table.header[-1].split() if table.header else []
    if name is None or titles[:3] != COLUMNS or table.values.shape[1] < 3:
        raise FormatError(f"{path}: expected OCEAN's columns {' '.join(COLUMNS)}, received {' '.join(titles)[:60]!r}")
    width = BROADENING.search("\n".join(table.header))
    try:
        broadening = {"half_width": round(float(width[1]) * Hartree, 4)} if width else {}
    except ValueError:
        broadening = {}
    return Spectrum(
        energies=table.values[:, 0].copy(),
        intensities=table.values[:, 2].copy(),
        treatment=treatment("ocean", **broadening),
        absolute=False,
        source=path.name,
        element=atomic_numbers.get(name[1]),
        edge=EDGE_OF.get(name[3]),
        choices=(*table.choices, (FROM_FERMI, path.name)),
    )
