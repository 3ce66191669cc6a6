"""The titles of a table's columns, in the lines above its numbers, with any units below them.

Lines that are no titles may stand among them: rules, empty comments, items such as ``# Sample: foil``, prose.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.column_titles import (
    CHIS,
    WAVENUMBERS,
    WEIGHTED,
    WORDS_OF_UNITS,
    are_titles,
    is_unit,
    n_known,
    parts,
    unit_of,
)
from xanes_hpc.formats.number_rows import SEPARATORS, split

LONGEST_TITLES = 5000
"""Characters of the longest line that may hold titles."""
LONGEST_ITEM = 5
"""Words of the longest item that may describe a column."""
ITEM = re.compile(r"(\w[\w.]*)\s*:|.*=")
COLUMNS = re.compile(r"(columns?|column (labels|names|titles)|titles|labels)\s*[:=]\s*", re.I)
"""An item whose value is the titles."""
BEFORE_BRACKET = re.compile(r"\s*[(\[][^)\]]*[)\]]")


def find_titles(header: Sequence[str], n_columns: int) -> tuple[list[str], dict[int, str]]:
    """Return the titles in a header, and the units in a row below; both empty if there are none.

    The last line may hold any titles. Titles farther up must be known, and those that are known best are taken.

    Examples
    --------
    >>> find_titles(["measured at I0", "energy i0 it", "good data set"], 3)[0]
    ['energy', 'i0', 'it']
    """
    units: dict[int, str] = {}
    titles: list[str] = []
    last = True
    for line in reversed(header):
        line = COLUMNS.sub("", line, 1)
        if len(line) > LONGEST_TITLES or not any(map(str.isalnum, line)) or ITEM.match(line):
            continue
        found = _one_each(line, n_columns)
        if last and found and all(map(is_unit, found)) and any(map(unit_of, found)) and not units:
            units = {i: unit for i, unit in enumerate(map(unit_of, found)) if unit.strip("-")}
            continue
        if found and are_titles(found):
            known = n_known(found)
            if last or (not titles and known > 1) or (known > n_known(titles) and 2 * known > max(n_columns, 2)):
                titles = found
        last = False
    return titles, units if titles else {}


def check_titles_below(path: Path, titles: Sequence[str], below: Sequence[tuple[int, str]], n_columns: int) -> None:
    """Check that comments below the first numbers repeat the titles, if they hold any.

    Raises
    ------
    FormatError
        If other titles begin another table.
    """
    for number, line in below:
        found = _one_each(line, n_columns)
        if not found or ITEM.match(line) or not are_titles(found) or n_known(found) < 2:
            continue
        if [title.lower() for title in found] != [title.lower() for title in titles]:
            expected = f"the columns {', '.join(titles)} as above" if titles else "one table"
            raise FormatError(
                f"{path}: line {number}: expected {expected}, received {', '.join(found)}: give each table its own file"
            )


def line_of_chi(header: Sequence[str]) -> str:
    """Return the line of a header that names k and chi, the columns of EXAFS; empty if there is none.

    Examples
    --------
    >>> line_of_chi(["EXAFS k chi"]), line_of_chi(["k: wavenumber", "chi: EXAFS"]), line_of_chi(["Fe K edge"])
    ('EXAFS k chi', 'chi: EXAFS', '')
    """
    items: set[str] = set()
    for line in header:
        if len(line) > LONGEST_TITLES:
            continue
        words = [word for word in re.split(rf"[\s{SEPARATORS}:=]+", line) if word]
        names = {parts(word)[0] for word in words}
        if ITEM.match(line) and len(words) <= LONGEST_ITEM:
            items |= names
        if names & WEIGHTED or any(found & WAVENUMBERS and found & CHIS for found in (names, items)):
            return line
    return ""


def _one_each(line: str, n_columns: int) -> list[str]:
    """Return the titles in a line; empty if it does not have one for each column."""
    line = line.removeprefix("L ")  # of SPEC's #L
    titles = split(line)
    if len(titles) != n_columns and not any(separator in line for separator in SEPARATORS):
        joined = BEFORE_BRACKET.sub(lambda found: re.sub(r"\s", "", found[0]), line).split()
        for words in (
            joined,
            _with_units(joined),
            re.split(r"\s{2,}", line.strip()),
            re.split(r"\s+\*\s+", line.strip()),
        ):
            if len(words) == n_columns:
                return words
    if len(titles) == n_columns + 1 and not titles[0]:  # a separator after the comment sign
        titles = titles[1:]
    return titles if len(titles) == n_columns else []


def _with_units(words: Sequence[str]) -> list[str]:
    """Return titles with the words that are units in brackets behind them."""
    found: list[str] = []
    for word in words:
        if found and word.lower() in WORDS_OF_UNITS:
            found[-1] += f"({word})"
        else:
            found.append(word)
    return found
