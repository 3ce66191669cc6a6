"""Spectra written by exciting: ``EPSILON_BSE-…_OC11.OUT``, a diagonal element of the dielectric tensor each.

The columns are the energy, the real part and the imaginary part. The energy is in eV if the input has
``tevout="true"``, else in hartree; it is a difference of calculated levels, which lies tens of eV or more from the
measured edge: a ``shift`` brings it there.
"""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

from ase.units import Hartree

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.text import unpacked_name
from xanes_hpc.formats.text_table import read_lines, read_table
from xanes_hpc.spectra.spectrum import Spectrum, treatment

NAME = re.compile(r"EPSILON_.*OC(\d\d)\.OUT")
INPUT = "input.xml"


def recognises(path: Path) -> bool:
    """Return True if a file is exciting's by its name."""
    return NAME.fullmatch(Path(unpacked_name(path)).name) is not None


def read(path: Path) -> Spectrum:
    """Read a spectrum; the input must be in the file's folder, or in the one above.

    Raises
    ------
    FormatError
        If the file is not exciting's, or its input is missing, which tells the unit of energies.
    """
    table = read_table(path)
    if table.values.shape[1] < 3:
        raise FormatError(f"{path}: expected columns of energy, real and imaginary part, received {table.titles}")
    xs = read_input(path).find("xs")
    in_ev = xs is not None and xs.get("tevout", "false").strip().lower() == "true"
    return Spectrum(
        energies=table.values[:, 0] * (1.0 if in_ev else Hartree),
        intensities=table.values[:, 2].copy(),
        treatment=treatment("exciting"),
        absolute=True,
        source=f"{path.parent.name}/{path.name}",
        choices=table.choices,
    )


def read_input(path: Path) -> ET.Element:
    """Return the input of a calculation, which is in the folder of one of its files or in the one above.

    Raises
    ------
    FormatError
        If it is missing or no XML.
    """
    found = next((folder / INPUT for folder in path.parents[:2] if (folder / INPUT).is_file()), None)
    if found is None:
        raise FormatError(f"{path}: expected exciting's {INPUT} beside it or in the folder above, found none")
    try:
        return ET.fromstring(read_lines(found))
    except (ET.ParseError, ValueError) as error:
        raise FormatError(f"{found}: not XML: {error}") from None
