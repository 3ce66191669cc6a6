"""Headers of beamlines' programs that hold rows of numbers themselves, or one title a line.

9809, at the Photon Factory, SPring-8, SAGA and Aichi: the lattice spacing (``D= 3.13551 A``), the columns
(``Angle(c) Angle(o) time/s 2 3``, angles set and observed), their detectors (``Mode``: 1 of the incoming beam, 2 of the
transmitted one, 3 of fluorescence) and dark counts (``Offset``), which ends the header.
SSRL's Data Collector: offsets and weights, then ``Data:`` and one title a line, up to an empty line.
Spock at DESY (``.fio``): ``Col 1 ENERGY DOUBLE``.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

OFFSETS = "offsets of detectors in the header were not subtracted"
SPACING = re.compile(r"\bD=\s*(\d+\.\d+)\s*A\b")
SSRL = re.compile(r"\s*SSRL\b.*\bEXAFS Data Collector", re.I)
SPOCK = re.compile(r"\s*Col\s+\d+\s+(\S+)\s+(DOUBLE|FLOAT|INTEGER|LONG|BOOLEAN)\s*$", re.I)
DETECTORS = {"1": "i0", "2": "itrans", "3": "ifluor{}"}
MOST_LINES = 500


@dataclass(frozen=True)
class ScanHeader:
    """A header: its number of lines, the titles, any lattice spacing in Å, and offsets of detectors that are not 0."""

    n_lines: int
    titles: list[str]
    d_spacing: float | None = None
    offsets: str = ""


def scan_header(lines: Sequence[str]) -> ScanHeader | None:
    """Return the header of a file by one of these programs; None for any other.

    Examples
    --------
    >>> scan_header(["%d", " Col 1 ENERGY DOUBLE", " Col 2 I0 FLOAT", " 8900 2"])
    ScanHeader(n_lines=3, titles=['ENERGY', 'I0'], d_spacing=None, offsets='')
    """
    first = lines[0] if lines else ""
    if first.split()[:1] == ["9809"]:
        return _of_9809(lines[:MOST_LINES])
    if SSRL.match(first):
        return _of_ssrl(lines[:MOST_LINES])
    described = [(n, line) for n, line in enumerate(lines[:MOST_LINES], 1) if "Col " in line]
    columns = [(n, found[1]) for n, line in described if (found := SPOCK.match(line))]
    return ScanHeader(columns[-1][0], [title for _, title in columns]) if columns else None


def _of_9809(lines: Sequence[str]) -> ScanHeader | None:
    words = [line.split() for line in lines]
    kinds = [row[0].lower() if row else "" for row in words]
    if not {"angle(c)", "mode", "offset"} <= set(kinds):
        return None
    titles = words[kinds.index("angle(c)")]
    modes, offsets = words[kinds.index("mode")][1:], words[kinds.index("offset")][1:]
    spacing = next((found[1] for line in lines if (found := SPACING.search(line))), None)
    named = ["Angle_c", "Angle_o", *titles[2:]]
    for k, mode in enumerate(modes, len(named) - len(modes)):  # the word Mode stands in the first column
        if mode in DETECTORS and k >= 0:
            named[k] = DETECTORS[mode].format(titles[k])
    return ScanHeader(kinds.index("offset") + 1, named, float(spacing) if spacing else None, _not_zero(offsets))


def _of_ssrl(lines: Sequence[str]) -> ScanHeader | None:
    stripped = [line.strip() for line in lines]
    if "Data:" not in stripped:
        return None
    start = stripped.index("Data:") + 1
    end = next((n for n in range(start, len(stripped)) if not stripped[n]), start)
    at = stripped.index("Offsets:") if "Offsets:" in stripped else len(stripped)
    return ScanHeader(end, stripped[start:end], None, _not_zero(" ".join(stripped[at + 1 : at + 2]).split()))


def _not_zero(offsets: Sequence[str]) -> str:
    try:
        return ", ".join(offsets) if any(float(offset) for offset in offsets) else ""
    except ValueError:
        return ", ".join(offsets)
