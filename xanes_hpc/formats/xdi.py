"""XDI 1.0, the XAS Data Interchange format (Ravel et al., doi:10.1107/S1600577515021378, and its specification).

A file has a first line ``# XDI/1.0``, items ``# Family.name: value``, ``# ///`` before free comments, ``#---`` at the
end of the header, and columns of numbers. The specification requires ``Mono.d_spacing``. A calculated spectrum has
none, so files that are written omit it and say so in a comment.
"""

import re
from itertools import chain
from pathlib import Path

import numpy as np
from ase.data import atomic_numbers

from xanes_hpc import __version__
from xanes_hpc.errors import FormatError
from xanes_hpc.formats.columns import SEVERAL_COLUMNS, read_table
from xanes_hpc.formats.predicted import PredictedSpectrum, rows_of_numbers
from xanes_hpc.spectra.spectrum import Choices, Spectrum

SUFFIX = ".xdi"
FIRST = "# XDI/1.0"
EDGES = ("K", "L", "L1", "L2", "L3", "M", "M1", "M2", "M3", "M4", "M5", "N", "N1", "N2", "N3", "N4", "N5", "N6", "N7")
"""Values of ``Element.edge``."""
OURS = "Xanes_hpc"
"""Family of this program's own items."""
ITEM = re.compile(r"#\s*([A-Za-z]\w*)\.(\w+)\s*:\s*(.*)")
INTENSITIES = (("norm", "normtrans", "normfluor"), ("xmu", "mu", "mutrans", "mufluor"), ("xes",), ("flat",))
"""Columns with a spectrum, by preference; of several of one kind the first in the file is read."""
RATIOS = (("itrans", True), ("ifluor", False), ("fluor", False))
"""Detector columns from which a spectrum follows with ``i0``, and whether it is ln(i0 / detector)."""
KILO = {"ev": 1.0, "kev": 1000.0}


def write(path: Path, predicted: PredictedSpectrum) -> None:
    """Write a predicted spectrum in columns: energy, mu (or norm, xes), its standard deviation, and any reference."""
    columns = predicted.columns(_label(predicted))
    lines = [f"{FIRST} xanes-hpc/{__version__}", f"# Element.symbol: {predicted.element}"]
    edge = predicted.edge if predicted.edge in EDGES else predicted.edge[0]
    lines.append(f"# Element.edge: {edge}")
    for number, name in enumerate(columns, 1):
        lines.append(f"# Column.{number}: {name}" + (" eV" if name == "energy" else ""))
    if predicted.absolute:
        lines.append(f"# Scan.edge_energy: {predicted.e0:.10g} eV")
    lines.append(f"# Sample.name: {predicted.header['site']}")
    if predicted.formula:
        lines.append(f"# Sample.stoichiometry: {predicted.formula}")
    lines += [f"# {OURS}.{name}: {text}" for name, text in predicted.header.items() if name not in ("site", "formula")]
    lines += [
        "# ///",
        "# A spectrum predicted by a neural network from a structure: nothing was measured.",
        "# No Mono.d_spacing is given, since no monochromator was used.",
        "#---",
        f"# {'  '.join(columns)}",
    ]
    path.write_text("\n".join(lines) + "\n" + rows_of_numbers(columns), encoding="utf-8")


def _label(predicted: PredictedSpectrum) -> str:
    if predicted.kind == "xes":
        return "xes"
    return "norm" if predicted.unit == "normalised" else "mu"


def recognises(path: Path) -> bool:
    """Return True if a file is XDI by its name or its first line."""
    if path.suffix.lower() == SUFFIX:
        return True
    try:
        with path.open("rb") as stream:
            return stream.read(32).lstrip().upper().startswith(b"# XDI/")
    except OSError:
        return False


def read(path: Path) -> Spectrum:
    """Read a spectrum: the first column that is one, or else ln(i0/itrans) or ifluor/i0.

    Raises
    ------
    FormatError
        If the file cannot be read, is not XDI, or has no energies or no spectrum.
    """
    table = read_table(path, ends_header="#---")
    if not table.header or not table.header[0].upper().startswith("XDI/"):
        raise FormatError(f"{path}: expected XDI, whose first line is {FIRST!r}")
    items = _items(path)
    n_columns = table.values.shape[1]
    named = {i: items.get(f"column.{i + 1}", "").split() for i in range(n_columns)}
    labels = {words[0].lower(): i for i, words in named.items() if words}
    if not labels:  # take the titles above the numbers
        labels = {title.lower(): i for i, title in enumerate(table.titles)}
    if "energy" not in labels:
        has = ", ".join(labels) or "no column names"
        angle = " (angles are not converted to energies)" if "angle" in labels else ""
        raise FormatError(f"{path}: expected a column energy, received {has}{angle}")
    column = labels["energy"]
    unit = next(iter(named[column][1:]), "eV")
    if unit.lower() not in KILO:
        raise FormatError(f"{path}: expected energies in eV or keV, received {unit!r}")
    intensities, label, choices = _intensities(path, table.values, labels)
    edge = _number(items.get("scan.edge_energy", ""))
    named_edge = items.get("element.edge", "").upper()
    return Spectrum(
        energies=table.values[:, column] * KILO[unit.lower()],
        intensities=intensities,
        kind="xes" if label == "xes" else "xanes",
        unit="normalised" if label.startswith("norm") else "arbitrary",
        e_edge=edge,
        absolute=True if edge is not None else None,
        source=path.name,
        element=atomic_numbers.get(items.get("element.symbol", "").capitalize()) or None,
        edge=named_edge if named_edge in EDGES else None,
        choices=choices,
    )


def _intensities(
    path: Path, values: np.ndarray[tuple[int, int], np.dtype[np.float64]], labels: dict[str, int]
) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], str, Choices]:
    for kinds in INTENSITIES:
        if found := [label for label in labels if label in kinds]:
            detail = f"{path.name}: {', '.join(found)}; read {found[0]}, the first"
            choices = () if len(found) == 1 else ((SEVERAL_COLUMNS, detail),)
            return values[:, labels[found[0]]].copy(), found[0], choices
    for detector, logarithm in RATIOS:
        if detector in labels and "i0" in labels:
            i0, other = values[:, labels["i0"]], values[:, labels[detector]]
            with np.errstate(divide="ignore", invalid="ignore"):
                return (np.log(i0 / other) if logarithm else other / i0), detector, ()
    raise FormatError(
        f"{path}: expected a column {', '.join(chain.from_iterable(INTENSITIES))}, or i0 with itrans or ifluor, "
        f"received {', '.join(labels)}"
    )


def _items(path: Path) -> dict[str, str]:
    """Return the header's items by name, in lower case."""
    found = {}
    for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines():
        if not line.startswith("#") or line.lstrip("# ").startswith(("///", "---")):
            break
        if match := ITEM.match(line):
            found[f"{match[1]}.{match[2]}".lower()] = match[3].strip()
    return found


def _number(text: str) -> float | None:
    """Return the energy in eV that a text gives, with or without a unit, or None."""
    words = text.split()
    try:
        return float(words[0]) * KILO[(words[1] if len(words) > 1 else "eV").lower()]
    except (ValueError, IndexError, KeyError):
        return None
