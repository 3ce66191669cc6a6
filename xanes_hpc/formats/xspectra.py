"""Spectra written by XSpectra of Quantum ESPRESSO: ``xanes.dat``, one direction of polarisation each.

A header of comments ends with ``Energy (eV)   sigma`` (with spins ``sigma_tot   sigma_up    sigma_down``). Energies are
counted from ``xe0``, by default the Fermi level: they say nothing about shifts between sites. The header gives the
Lorentzian's half width (``Broadening parameter``) where it is constant.
"""

import re
from pathlib import Path

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.text import UNREADABLE, open_text, unpacked_name
from xanes_hpc.formats.text_table import read_table
from xanes_hpc.spectra.edges import FROM_FERMI
from xanes_hpc.spectra.spectrum import Spectrum, treatment

NAME = "xanes.dat"
LONGEST_HEADER = 2000
TITLES = re.compile(r"Energy \(eV\)\s+sigma")
BROADENING = re.compile(r"Broadening parameter \(in eV\):\s*([\d.]+)")


def recognises(path: Path) -> bool:
    """Return True if a file is XSpectra's by its name and its titles; others use the name, too."""
    if Path(unpacked_name(path)).name.lower() != NAME:
        return False
    try:
        with open_text(path, "replace") as stream:
            return TITLES.search(stream.read(LONGEST_HEADER)) is not None
    except UNREADABLE:
        return False


def read(path: Path) -> Spectrum:
    """Read a spectrum.

    Raises
    ------
    FormatError
        If the file is not XSpectra's.
    """
    table = read_table(path)
    text = "\n".join(table.header)
    if not TITLES.search(text) or table.values.shape[1] not in (2, 4):
        raise FormatError(f"{path}: expected XSpectra's columns Energy (eV) and sigma, received {text[-60:]!r}")
    width = BROADENING.search(text)
    return Spectrum(
        energies=table.values[:, 0].copy(),
        intensities=table.values[:, 1].copy(),
        treatment=treatment("xspectra", **({"half_width": float(width[1])} if width else {})),
        e_cut=0.0,
        absolute=False,
        source=f"{path.parent.parent.name}/{path.parent.name}/{path.name}",
        choices=(*table.choices, (FROM_FERMI, path.parent.parent.name)),
    )
