"""The keywords of FDMNES's input, their other names, the lines of values that follow them, and the numbers in these.

FDMNES compares the first nine letters of a keyword, in any case, and has French and Italian names for many.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from xanes_hpc.errors import FormatError

LETTERS = 9
"""Number of letters that FDMNES compares."""
TEXT_VALUES = ("filout", "edge", "comment", "extract", "spgroup", "cif_file", "pdb_file", "film_cif_", "film_pdb_")
"""Keywords whose value is text."""
NUMBERS = ("range", "rangel", "radius", "absorber", "z_absorbe")
"""Keywords whose numbers may stand on their own line."""
OTHER_NAMES = {
    other: name
    for name, others in {
        "absorber": "absorbeur iabsorbeu absorbor assorbito",
        "cif_file": "ciffile crystal_c cristal_c",
        "crystal": "crist cryst cristallo cristal",
        "edge": "seuil threshold soglia",
        "end": "fin fine",
        "energpho": "energphot enrgphot ephoton",
        "filout": "fileout file_out",
        "molecule": "molec molecola",
        "pdb_file": "pdbfile crystal_p cristal_p",
        "quadrupol": "quadripol",
        "radius": "rayon rsort rsorte raggio",
        "range": "gamme",
        "rangel": "gammel",
        "scf": "selfcons self_cons",
        "spinorbit": "spin_orbi",
        "z_absorbe": "zabsorber zabsorbeu numatabs numat_abs",
    }.items()
    for other in others.split()
}


def name_of(keyword: str) -> str:
    """Return the name that stands for a keyword: small letters, at most nine of them.

    Examples
    --------
    >>> name_of("Quadrupole"), name_of("SEUIL"), name_of("Crystal_p")
    ('quadrupol', 'edge', 'pdb_file')
    """
    short = keyword.lower()[:LETTERS]
    return OTHER_NAMES.get(short, short)


def blocks(lines: Sequence[str], known: set[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield keywords as written, with the lines of values of each, up to ``End``.

    A value on the keyword's own line counts if it is a number, or if no line of text follows it.

    Parameters
    ----------
    lines
        Lines of the file.
    known
        Names of keywords that end the search for a text.
    """
    keyword, beside, values = "", "", list[str]()
    for line in lines:
        text = line.partition("!")[0].strip()
        if not text:
            continue
        word, _, rest = text.partition(" ")
        awaited = name_of(keyword) in TEXT_VALUES and not values and not (beside and name_of(word) in known)
        if awaited or not text[0].isalpha():
            values.append(text)
            continue
        if keyword:
            yield keyword, tuple(values or filter(None, [beside]))
        name, rest = name_of(word), rest.strip()
        if name == "end":
            return
        keyword, beside, values = word, rest if name in TEXT_VALUES else "", []
        if name in NUMBERS and rest and not rest[0].isalpha():
            values.append(rest)
    if keyword:
        yield keyword, tuple(values or filter(None, [beside]))


def numbers(values: Iterable[float]) -> str:
    """Return the text of several numbers."""
    return " ".join(number(value) for value in values)


def number(value: float) -> str:
    """Return the shortest text that reads back as the same number, without an exponent."""
    return np.format_float_positional(value, unique=True, trim="0")


def floats(path: Path, what: str, rows: Sequence[str]) -> list[float]:
    """Return the numbers in lines, of which Fortran's may have exponents with d.

    Raises
    ------
    FormatError
        If a word is not a finite number.

    Examples
    --------
    >>> floats(Path("in.txt"), "Range", ["-10. 5.d-1 5.0D1"])
    [-10.0, 0.5, 50.0]
    """
    words = " ".join(rows).replace(",", " ").split()
    try:
        values = [float(re.sub(r"(?<=[\d.])[dD](?=[-+\d])", "e", word)) for word in words]
    except ValueError:
        values = [np.nan]
    if not np.isfinite(values).all():
        raise FormatError(f"{path}: {what}: expected numbers, received {' '.join(words)[:40]!r}")
    return values
