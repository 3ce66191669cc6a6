"""Write a measured or merged spectrum as XDI 1.0, with what the files that it comes from say alike."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from xanes_hpc.errors import FormatError
from xanes_hpc.formats import xdi
from xanes_hpc.formats.text import UNREADABLE
from xanes_hpc.spectra.spectrum import Spectrum

Array = npt.NDArray[np.float64]
NOT_CARRIED = ("element", "column", xdi.OURS.lower())
"""Families of items that belong to one file."""


def write(
    path: Path, spectrum: Spectrum, scatter: Array | None, items: Mapping[str, str], own: Mapping[str, str],
    comments: Sequence[str] = (),
) -> None:  # fmt: skip
    """Write a spectrum in columns: energy, mu or norm, and, where there are, sigma, scatter and murefer.

    Parameters
    ----------
    path
        The file.
    spectrum
        The spectrum, with its element and edge.
    scatter
        Standard deviation of one scan, (n_points,).
    items
        Items of the header, by family and name, such as ``Beamline.name``.
    own
        Items of this program's family.
    comments
        Lines of the comment.

    Raises
    ------
    FormatError
        If the element or edge is not known, or energies are relative to the edge.
    """
    if spectrum.element is None or spectrum.edge is None:
        raise without_element(spectrum.source)
    if spectrum.absolute is False or spectrum.energies[0] <= 0:
        raise FormatError(f"{spectrum.source}: XDI needs absolute energies; these are relative to the edge")
    label = "norm" if spectrum.unit == "normalised" else "mu"
    columns = {
        "energy": spectrum.energies, label: spectrum.intensities, "sigma": spectrum.sigma, "scatter": scatter,
        "murefer": spectrum.reference,
    }  # fmt: skip
    there = {name: values for name, values in columns.items() if values is not None}
    lines = xdi.first_lines(chemical_symbols[spectrum.element], spectrum.edge, there)
    lines += [f"# {name}: {_line(text)}" for name, text in items.items()]
    lines += [f"# {xdi.OURS}.{name}: {_line(text)}" for name, text in own.items()]
    lines += ["# ///", *(f"# {_line(text)}" for text in comments)]
    lines += ["#---", f"# {'  '.join(there)}"]
    rows = np.stack(list(there.values()), axis=1).tolist()
    lines += ["  ".join(map(repr, row)) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="backslashreplace")


def without_element(source: str) -> FormatError:
    """Return the error of a spectrum that cannot be written, because its element or edge is not known."""
    return FormatError(f"{source}: XDI needs the element and edge; give `absorber` and `edge`")


def shared_items(paths: Sequence[Path]) -> dict[str, str]:
    """Return the items that XDI files say alike, by family and name; none if a file is no XDI.

    Column titles, the element and this program's own items belong to one file and are not among them.
    """
    shared: dict[str, str] | None = None
    for path in paths:
        found: dict[str, str] = {}
        if xdi.recognises(path):
            try:
                found = {
                    name: text
                    for name, text in xdi.header_items(path).items()
                    if text and name.partition(".")[0].lower() not in NOT_CARRIED
                }
            except (FormatError, *UNREADABLE):
                pass
        shared = found if shared is None else {name: text for name, text in shared.items() if found.get(name) == text}
    return shared or {}


def _line(text: str) -> str:
    """Return a text as one line of printable characters."""
    return re.sub(r"\s+", " ", "".join(c if c.isprintable() else " " for c in text)).strip()
