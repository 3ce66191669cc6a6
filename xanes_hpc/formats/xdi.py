"""XDI 1.0, the XAS Data Interchange format (Ravel et al., doi:10.1107/S1600577515021378, and its specification).

A file has a first line ``# XDI/1.0``, items ``# Family.name: value``, ``# ///`` before free comments, ``#---`` at the
end of the header, and columns of numbers. The specification requires ``Mono.d_spacing``. A calculated spectrum has
none, so files that are written omit it and say so in a comment.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from xanes_hpc import __version__
from xanes_hpc.errors import FormatError
from xanes_hpc.formats.absorber import absorber, edge_energy_in_ev, said_to_be_ev
from xanes_hpc.formats.column_titles import EV_PER, parts, unit_of
from xanes_hpc.formats.columns import energy_and_intensity
from xanes_hpc.formats.predicted import PredictedSpectrum, rows_of_numbers
from xanes_hpc.formats.read_options import AS_FOUND, ReadOptions
from xanes_hpc.formats.text import plain_suffix
from xanes_hpc.formats.text_table import Table, read_lines, read_table
from xanes_hpc.spectra.spectrum import Choices, Spectrum, unit_from

SUFFIX = ".xdi"
FIRST = "# XDI/1.0"
NO_FIRST_LINE = f"files called .xdi without the first line {FIRST} were read"
EDGES = ("K", "L", "L1", "L2", "L3", "M", "M1", "M2", "M3", "M4", "M5", "N", "N1", "N2", "N3", "N4", "N5", "N6", "N7")
"""Values of ``Element.edge``."""
ANGSTROMS_PER = {**dict.fromkeys(("å", "a", "angstrom", "angstroms", "ang"), 1.0), "nm": 10.0, "pm": 0.01}
"""Units of ``Mono.d_spacing``, Å if there is none."""
OURS = "Xanes_hpc"
"""Family of this program's own items."""
ITEM = re.compile(r"#\s*([A-Za-z]\w*)\.(\w+)\s*:\s*(.*)")
INTENSITIES = (
    ("norm", "normtrans", "normfluor"),
    ("xmu", "mu", "mutrans", "mufluor"),
    ("xes",),
    ("flat",),
    ("xanes", "intensity"),
)
"""Titles of spectra, by preference."""


def write(path: Path, predicted: PredictedSpectrum) -> None:
    """Write a predicted spectrum in columns: energy, mu (or norm, xes), its standard deviation, and any reference."""
    columns = predicted.columns(_label(predicted))
    lines = first_lines(predicted.element, predicted.edge, columns)
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


def first_lines(element: str, edge: str, columns: Iterable[str]) -> list[str]:
    """Return the lines that begin a file: its version, the element's symbol, the edge, and the titles of columns.

    An edge that XDI does not have, such as L23, is given as its shell.
    """
    lines = [f"{FIRST} xanes-hpc/{__version__}", f"# Element.symbol: {element}"]
    lines.append(f"# Element.edge: {edge if edge in EDGES else edge[0]}")
    for number, name in enumerate(columns, 1):
        lines.append(f"# Column.{number}: {name}" + (" eV" if name == "energy" else ""))
    return lines


def _label(predicted: PredictedSpectrum) -> str:
    if predicted.kind == "xes":
        return "xes"
    return "norm" if predicted.unit == "normalised" else "mu"


def recognises(path: Path) -> bool:
    """Return True if a file is XDI by its name or its first line."""
    if plain_suffix(path) == SUFFIX:
        return True
    try:
        with path.open("rb") as stream:
            return stream.read(32).lstrip(b"\xef\xbb\xbf# \t").upper().startswith(b"XDI/")
    except OSError:
        return False


def read(path: Path, options: ReadOptions = AS_FOUND) -> Spectrum:
    """Read a spectrum: the first column that is one, or else what detector channels give.

    Raises
    ------
    FormatError
        If the file cannot be read, or has no energies or no spectrum.
    """
    table = read_table(path, ends_header="#---")
    choices: Choices = ()
    if not table.header or not table.header[0].upper().startswith("XDI/"):
        choices = ((NO_FIRST_LINE, path.name),)
    items = {name.lower(): text for name, text in header_items(path).items()}
    named = [
        items.get(f"column.{i + 1}", "").partition("||")[0].replace(",", " ").split()
        for i in range(table.values.shape[1])
    ]
    if any(named):  # else the titles above the numbers hold
        _check_titles(path, table.titles, [words[0] if words else "" for words in named])
        table = Table(table.header, [words[0] if words else "" for words in named], table.values, table.choices)
    units = {i: " ".join(words[1:]) for i, words in enumerate(named) if len(words) > 1}
    spacing = _in(items.get("mono.d_spacing", ""), ANGSTROMS_PER)
    found = energy_and_intensity(path, table, options, units, INTENSITIES, spacing)
    texts = (items.get(f"element.{name}", "").partition("||")[0].strip() for name in ("symbol", "edge"))
    absorbing, told = absorber(path.name, *texts)
    choices, energies = choices + found.choices + told, found.energies
    edge = _in(text := items.get("scan.edge_energy", ""), EV_PER)
    if edge is not None and len(text.split()) == 1:
        edge, told = edge_energy_in_ev(path, edge, absorbing)
        choices += told
    if "ev" in map(unit_of, units.values()):
        told = said_to_be_ev(path, float(energies.min()), float(energies.max()), absorbing)
        energies, choices = energies * (1000.0 if told else 1.0), choices + told
    return Spectrum(
        energies=energies,
        intensities=found.intensities,
        kind="xes" if found.title == "xes" else "xanes",
        unit=unit_from(found.title),
        e_edge=edge,
        absolute=True if edge is not None else None,
        source=path.name,
        element=absorbing[0],
        edge=absorbing[1],
        choices=choices,
        sigma=found.sigma,
        reference=found.reference,
        mode=found.mode,
    )


def _check_titles(path: Path, titles: Sequence[str], named: Sequence[str]) -> None:
    """Check that the titles above the numbers are not those of the items in another order.

    Raises
    ------
    FormatError
        If they are.
    """
    above, items = ([parts(title)[0] for title in both] for both in (titles, named))
    if above != items and sorted(above) == sorted(items):
        raise FormatError(
            f"{path}: expected columns as in the items Column.N, {', '.join(named)}, received the titles "
            f"{', '.join(titles)}"
        )


def header_items(path: Path) -> dict[str, str]:
    """Return the header's items by family and name, such as ``Beamline.name``, as the file spells them.

    Raises
    ------
    FormatError
        If the file cannot be read.
    """
    found = {}
    for line in read_lines(path).splitlines():
        if not line.startswith("#") or line.lstrip("# ").startswith(("///", "---")):
            break
        if match := ITEM.match(line):
            found[f"{match[1]}.{match[2]}"] = match[3].strip()
    return found


def _in(text: str, units: Mapping[str, float]) -> float | None:
    """Return the number that begins a text, times the unit after it, if there is one; None if either is unknown."""
    try:
        number, *rest = text.partition("||")[0].split()
        return float(number) * (units[unit_of("".join(rest))] if rest else 1.0)
    except (ValueError, KeyError):
        return None
