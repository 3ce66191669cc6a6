"""Which length unit, or which other quantity, the comment of an XYZ frame names for its coordinates."""

import re
from collections.abc import Iterable

from ase.units import Bohr

from xanes_hpc.errors import FormatError

LENGTHS = {"angstrom": 1.0, "bohr": Bohr, "pm": 0.01, "nm": 10.0}
"""Lengths in Å."""
SPELLINGS = {
    "angstrom": r"å|a|ang|angstr[oö]e?ms?|ångstr[oö]ms?|metal|real",
    "bohr": r"bohrs?|bohr[ _]radi(?:i|us)|a_?0|au|a\. ?u\.?|atomic(?:[ _-]units?)?|electron",
    "pm": r"pm|picomet(?:er|re)s?",
    "nm": r"nm|nanomet(?:er|re)s?|nano",
}
"""Spellings of each, with the names of LAMMPS's systems of units."""
OTHER_KINDS = re.compile(
    r"e|ev|mev|ha|hartrees?|ry|rydbergs?|k?cal.*|k?j.*|k|kelvin|fs|ps|internal|default|none|deg.*", re.IGNORECASE
)
"""Units that say nothing about lengths."""
OTHER_LENGTHS = re.compile(
    r"(?:[cmµμuf]?m)|microns?|(?:centi|milli|micro|femto)?met(?:er|re)s?|inch(?:es)?|alat|sigma", re.IGNORECASE
)
VALUE = r"[\"']?\s*(?P<unit>a\. ?u\.?|atomic[ _-]units?|bohr[ _]radi(?:i|us)|[^\W\d][\w.]*)"
LENGTH_WORDS = r"(?:coord(?:inate)?s?|pos(?:itions?)?|length|distances?|geometry|cell|lattice|xyz)"
STATED = (
    re.compile(rf"(?<![\w-])(?:{LENGTH_WORDS}[ _]?)?units?\s*(?:[=:]|\bare\b|\bin\b|\()\s*{VALUE}", re.IGNORECASE),
    re.compile(rf"\b{LENGTH_WORDS}\b[^,;|\[({{=:]{{0,20}}?(?:\bin\b|[\[({{/:,])\s*{VALUE}", re.IGNORECASE),
)
"""``units=bohr``; ``coordinates in bohr``, ``positions [bohr]``."""
ALONE = re.compile(
    r"[\s#]*(?:in\s+)?[\[({]?\s*"
    r"(?P<unit>a\. ?u\.?|atomic[ _-]units?|bohr(?:[ _]radi(?:i|us))?|[np]m|(?:pico|nano)met\w+|(?<=[\[({])\w+)"
    r"\s*[\])}]?\s*",
    re.IGNORECASE,
)
"""A comment of nothing else; ``au``, which may be gold, only in brackets."""
MENTIONED = re.compile(
    r"(?<![\w/*.^])(?:bohrs?|[\[(](?:pm|nm|au)[\])]|"
    r"atomic[ _-]units?(?! cell)|a\.u\.?|AU|picomet(?:er|re)s?|nanomet(?:er|re)s?)"
    r"(?![\w^*/-])",
    re.IGNORECASE,
)
OF_ENERGY = re.compile(
    r"(?:energ|forc|grad|veloc|charg|dipol|moment|freq|time|mass|hartree|spin|stress|\be\b|scf)[^,;|]*$",
    re.IGNORECASE,
)
"""Another quantity before a unit."""
NUMBER = re.compile(r"\d\.?\s*$")
AMBIGUOUS = {"Au", "a", "A", "atomic", "electron", "real", "metal", "nano"}
"""Words of running text, and gold."""
FRACTIONS = re.compile(r"\b(?:fractional|reduced|scaled|direct|crystal)\b[ _-]*(?:coord|pos)", re.IGNORECASE)
QUANTITY = re.compile(
    r"^[\s#]*(?:atomic\s+|ORCA AIMD\s+)?(forces?|velocit(?:y|ies)|gradients?|moment(?:a|um)|displacements?)"
    r"\s*(?:$|[\[({]|\bin\b|step\b)",
    re.IGNORECASE,
)


LONGEST = 2000
"""Characters of a comment that are searched."""
NECESSARY = (
    "unit", "coord", "pos", "length", "dist", "geom", "cell", "lattice", "xyz", "bohr", "atomic", "pico", "nano", "au",
    "a.u", "a. u", "pm", "nm", "forc", "veloc", "grad", "moment", "displac", "(", "[", "{",
)  # fmt: skip
"""One of these, in any case, is in every comment that the patterns above match; looking for them is faster."""


def stated_unit(comment: str) -> str | FormatError | None:
    """Return the name in ``LENGTHS`` that a comment gives to the unit of coordinates and cell; None if it names none.

    An error is returned if the unit is unknown or in doubt, or if the rows are not coordinates in a unit of length.

    Examples
    --------
    >>> stated_unit("Coordinates in a.u.")
    'bohr'
    >>> stated_unit("gradient 0.001 hartree/bohr, written at 3:00 pm")
    >>> print(stated_unit("units=furlong"))
    unknown unit 'furlong'; expected coordinates in angstrom, bohr, pm or nm
    """
    comment = comment[:LONGEST]
    if not contains(comment, NECESSARY):
        return None
    if quantity := QUANTITY.search(comment):
        return FormatError(f"expected coordinates, but the comment names {quantity[1].lower()}: {comment[:60]!r}")
    if FRACTIONS.search(comment):
        return FormatError(f"expected coordinates in Å, but the comment names fractions of a cell: {comment[:60]!r}")
    found = set()
    for by_key, pattern in zip((True, False), STATED, strict=True):
        others = OTHER_KINDS.fullmatch if by_key else _is_word
        for match in pattern.finditer(comment):
            unit = match["unit"]
            if (by_key and OF_ENERGY.search(comment[: match.start()])) or (not by_key and unit in AMBIGUOUS):
                continue
            if name := named_unit(unit):
                found.add(name)
            elif not others(unit):
                return FormatError(f"unknown unit {unit!r}; expected coordinates in angstrom, bohr, pm or nm")
    if (alone := ALONE.fullmatch(comment)) and (name := named_unit(alone["unit"])) and name != "angstrom":
        found.add(name)
    if len(found) > 1:
        return FormatError(f"the comment names several units, {' and '.join(sorted(found))}: {comment[:60]!r}")
    if found:
        return found.pop()
    for match in MENTIONED.finditer(comment):
        before = comment[: match.start()]
        amount = NUMBER.search(before) and "bohr" not in match[0].lower()
        if match[0] != "Au" and not amount and not OF_ENERGY.search(before):
            return FormatError(
                f"the comment names {match[0]!r}, which may be the unit of the coordinates: {comment[:60]!r}; "
                "write units=bohr or units=angstrom there"
            )
    return None


def contains(comment: str, words: Iterable[str]) -> bool:
    """Return whether a comment contains one of some words, which are in lower case."""
    lower = comment.lower()
    return any(word in lower for word in words)


def _is_word(text: str) -> bool:
    return not OTHER_LENGTHS.fullmatch(text)


def named_unit(text: str) -> str | None:
    """Return the name in ``LENGTHS`` of a unit in any of its spellings, or None.

    Examples
    --------
    >>> named_unit("a.u."), named_unit("Picometres"), named_unit("eV")
    ('bohr', 'pm', None)
    """
    found = (name for name, spelling in SPELLINGS.items() if re.fullmatch(spelling, text.strip(), re.IGNORECASE))
    return next(found, None)
