"""Spectra written by FEFF 8.5 to 10: ``xmu.dat``.

Lines of comments end with the names of the columns, ``omega e k mu mu0 chi``. ``omega`` is the photon energy in eV;
``e`` is counted from the vacuum level, never from an edge. ``mu`` is normalised at 50 eV above the edge; times the
number on the line ``xsedge+ 50, used to normalize mu`` it is the absorption in bohr². The spectrum is already
broadened by the core hole (``Gam_ch``, FEFF's own table, so no part of the treatment). FEFF's edge is its own Fermi
level, where ``k`` is zero, which differs between sites: it becomes ``e_cut``, and e0 is left to the tabulated edge, so
that shifts between sites stay in the spectra.
"""

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols
from ase.units import Bohr

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.read_options import ABSOLUTE, NORMALISED
from xanes_hpc.formats.text import UNREADABLE, open_text, unpacked_name
from xanes_hpc.formats.text_table import Table, read_table
from xanes_hpc.spectra.edges import EDGES
from xanes_hpc.spectra.spectrum import Choices, Spectrum, treatment

Array = npt.NDArray[np.float64]

NAME = "xmu.dat"
COLUMNS = "omega e k mu mu0 chi"
VERSION = re.compile(r"\bFEFF\s*(\d[\w.]*)")
ABSORBER = re.compile(r"\bAbs\s+Z=\s*(\d+).*?\b([KLMNO]\d?)\s+shell")
NORM = re.compile(r"\bused to normalize mu\s+([-+\d.EeDd]+)")
LOGS = ("log", "log.dat", "feff.out")
"""Files beside a spectrum in which FEFF says how its run ended."""
FAILED, NOT_CONVERGED = re.compile(r"fatal error", re.I), re.compile(r"(not|no) (be )?converge", re.I)
EV_ANGSTROM2 = 3.80998212
"""ħ²/2m in eV Å²: the energy of an electron from the Fermi level is this times k²."""
MOST_OF_LOG, MOST_OF_HEADER = 1 << 20, 1 << 14
"""Characters that are read of a log, and of a header."""


def recognises(path: Path) -> bool:
    """Return True if a file is called as FEFF calls it, or has such an ending and FEFF's columns."""
    name = unpacked_name(path).lower()
    return name == NAME or (name.endswith(NAME) and holds_spectrum(path))


def read(path: Path, mu: str = ABSOLUTE) -> Spectrum:
    """Read a spectrum.

    Parameters
    ----------
    path
        The file.
    mu
        ``absolute`` for the absorption in Å², ``normalised`` to keep FEFF's own normalisation.

    Raises
    ------
    FormatError
        If the file is not FEFF's, or does not have the number that undoes its normalisation.
    """
    table = read_table(path)
    title = next((line for line in reversed(table.header) if "omega" in line), "")
    if title.replace("@#", "").split() != COLUMNS.split() or table.values.shape[1] != len(COLUMNS.split()):
        received = f"received {title[:60] or 'no such line'!r}"
        raise FormatError(f"{path}: expected FEFF's columns {COLUMNS}, {received}; `columns` reads other tables")
    text = "\n".join(table.header)
    intensities, unit = table.values[:, 3].copy(), "normalised"
    if mu != NORMALISED:
        intensities, unit = (
            intensities * _number(path, NORM, text, "the number that normalised mu") * Bohr**2,
            "angstrom²",
        )
    element, edge = _absorber(table)
    choices = (*table.choices, *_choices(path))
    version = VERSION.search(text)
    return Spectrum(
        energies=table.values[:, 0].copy(),
        intensities=intensities,
        treatment=treatment(
            "feff",
            program=f"FEFF {version[1]}" if version else "FEFF",
            **({"normalised": "feff"} if mu == NORMALISED else {}),
        ),
        unit=unit,
        e_cut=round(_fermi_level(table.values[:, 0], table.values[:, 2]), 4),
        absolute=True,
        source=f"{path.parent.name}/{path.name}" if path.name.lower() == NAME else path.name,
        element=element,
        edge=edge,
        choices=choices,
    )


def holds_spectrum(path: Path) -> bool:
    """Return True if the header of a text file, under any name, has FEFF's columns."""
    try:
        with open_text(path, "replace") as stream:
            lines = stream.read(MOST_OF_HEADER).splitlines()
    except UNREADABLE:
        return False
    return any(line.strip("#@ ").split() == COLUMNS.split() for line in lines)


def _choices(path: Path) -> Choices:
    """Return what the log of the run says.

    Raises
    ------
    FormatError
        If the run ended with an error.
    """
    for log in (path.with_name(name) for name in LOGS) if path.name.lower() == NAME else ():
        try:
            with log.open(errors="replace") as stream:
                text = stream.read(MOST_OF_LOG)
        except OSError:
            continue
        if found := FAILED.search(text):
            said = " ".join(text[found.start() : found.start() + 80].split())
            raise FormatError(f"{path}: FEFF's run failed, says {log.name}: {said}")
        if NOT_CONVERGED.search(text):
            return (("FEFF's potentials did not converge", f"{path.parent.name}/{log.name}"),)
    return ()


def _fermi_level(omega: Array, k: Array) -> float:
    """Return the photon energy of the Fermi level, from the row next to it."""
    nearest = int(np.argmin(np.abs(k)))
    return float(omega[nearest] - np.sign(k[nearest]) * EV_ANGSTROM2 * k[nearest] ** 2)


def _absorber(table: Table) -> tuple[int | None, str | None]:
    for line in table.header:
        if found := ABSORBER.search(line):
            z = int(found[1])
            return z if 0 < z < len(chemical_symbols) else None, found[2] if found[2] in EDGES else None
    return None, None


def _number(path: Path, pattern: re.Pattern[str], text: str, what: str) -> float:
    found = pattern.search(text)
    try:
        value = float(re.sub("[Dd]", "e", found[1])) if found else 0.0
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        raise FormatError(f"{path}: expected {what} in the header, received {found[1] if found else 'none'}")
    return value
