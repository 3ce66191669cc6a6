"""The element and edge that spectrum files state, in any usual spelling."""

import re
from collections.abc import Sequence
from pathlib import Path

from ase.data import atomic_names, atomic_numbers

from xanes_hpc.spectra import edges
from xanes_hpc.spectra.spectrum import Choices

NOT_UNDERSTOOD = "elements or edges in files were not understood, and ignored"
SAID_EV = "energies that a file says are in eV were taken as keV"
Absorber = tuple[int | None, str | None]
"""Atomic number and edge."""
NAMES = {
    **{name.lower(): number for number, name in enumerate(atomic_names) if number and name},
    "aluminum": 13,
    "sulphur": 16,
    "cesium": 55,
}
EDGES = frozenset((
    *edges.EDGES, "L", "M", "N", "N4", "N5", "N6", "N7",
))  # fmt: skip
"""Edges that files name; a shell's letter stands for any edge of it."""
ORBITALS = {"1s": "K", "2s": "L1", "2p1/2": "L2", "2p3/2": "L3", "2p": "L23", "3d": "M45"}
ROMAN = {"I": 1, "II": 2, "III": 3, "IV": 4, "V": 5, "VI": 6, "VII": 7}
ELEMENT_LINE = re.compile(
    r"^\W*(?:element(?:\.symbol)?|absorber|absorbing (?:atom|element))\s*[:=]\s*([A-Za-z]+|\d+)", re.I
)
BOTH = re.compile(
    r"^\W*(?:(?i:(?:absorption )?edge)\s*[:=]\s*)?([A-Z][a-z]?)[\s_-]+([KLMN](?:\d|I{1,3})?)(?:[\s_-]+(?i:edge))?\W*$"
)
"""A line of an element and its edge: ``Edge: Zn K``, ``Zn K-edge``."""
EDGE_LINE = re.compile(
    r"(?:^\W*|\s{2,}|[;,]\s*)(?:element\.)?edge\s*[:=]\s*(\w+(?:[,/ -]+\w+)*?)\s*(?:\s{2}|;|$)", re.I
)
LONGEST = 1000
"""Characters that are read of a line."""
HIGHEST_KEV = 200.0
"""Energies from here on are no keV: no edge lies so high."""
NEAR = 0.05
"""Largest distance of an edge energy from the tabulated one, as a fraction of it."""


def element_of(text: str) -> int | None:
    """Return the atomic number of a symbol, name or number; None for anything else.

    Examples
    --------
    >>> element_of("Cu"), element_of("copper"), element_of("29"), element_of("foil")
    (29, 29, 29, None)
    """
    word = text.strip().lower()
    if word.isdecimal():
        return int(word) if 0 < int(word) < len(atomic_names) else None
    return atomic_numbers.get(word.capitalize()) or NAMES.get(word)


def edge_of(text: str) -> str | None:
    """Return the edge that a text names in letters, digits, Roman numerals or as an orbital; None for anything else.

    Examples
    --------
    >>> edge_of("k"), edge_of("LIII"), edge_of("L3 edge"), edge_of("L2,3"), edge_of("1s"), edge_of("7112")
    ('K', 'L3', 'L3', 'L23', 'K', None)
    """
    word = re.sub(r"[\s_-]*edge$", "", text.strip(), flags=re.I)
    if word.lower() in ORBITALS:
        return ORBITALS[word.lower()]
    shell, level = word[:1].upper(), word[1:].upper()
    digits = re.sub(r"[IV]+", lambda found: str(ROMAN.get(found[0], "?")), level)
    found = shell + re.sub(r"[\s,/_-]", "", digits)
    return found if found in EDGES else None


def absorber(source: str, element: str, edge: str) -> tuple[Absorber, Choices]:
    """Return the absorber that two texts name, each possibly empty, and a note of one that is not understood."""
    found = element_of(element), edge_of(edge)
    wrong = [text[:40] for text, known in zip((element, edge), found, strict=True) if text.strip() and known is None]
    return found, ((NOT_UNDERSTOOD, f"{source}: {', '.join(map(repr, wrong))}"),) if wrong else ()


def stated(source: str, header: Sequence[str]) -> tuple[Absorber, Choices]:
    """Return the absorber in lines such as ``Element.symbol: Cu`` or ``Element: Cu   Edge: K``."""
    element = edge = ""
    for line in (line[:LONGEST] for line in header):
        if (both := BOTH.match(line)) and element_of(both[1]) and ("edge" in line.lower()):
            element, edge = element or both[1], edge or both[2]
            continue
        if found := ELEMENT_LINE.match(line):
            element = element or found[1]
        if (found := EDGE_LINE.search(line)) and not found[1].strip()[:1].isdigit():
            edge = edge or found[1]
    return absorber(source, element, edge)


def edge_energy_in_ev(path: Path, value: float, found: Absorber) -> tuple[float, Choices]:
    """Return an edge energy without a unit in eV: it is in keV if it is near the tabulated one only then."""
    known = edges.tabulated(*found) if value < HIGHEST_KEV else None
    if known is None or abs(value - known) <= NEAR * known or abs(1000.0 * value - known) > NEAR * known:
        return value, ()
    return 1000.0 * value, ((edges.EDGE_IN_KEV, f"{path.name}: {value:g}"),)


def said_to_be_ev(path: Path, first: float, last: float, found: Absorber) -> Choices:
    """Return a note if energies that a file says are in eV span the tabulated edge only as keV; empty otherwise."""
    known = edges.tabulated(*found) if first < last < HIGHEST_KEV else None
    if known is None or not edges.span_as_kev(first, last, known):
        return ()
    return ((SAID_EV, f"{path.name}: from {first:g} to {last:g}"),)
