"""Tables of numbers below a header of any length, in plain or compressed text.

Data begin at the first row of two or more numbers and end with the file. Separators are commas, semicolons, tabs or
blanks. Comments begin with ``#``, ``%`` or ``!``. Exponents may be written as in Fortran (``1.5D-03``), and decimals
with a comma (``7112,5``) where commas do not separate columns. Fields may be quoted. A line with the number of rows
may precede them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.column_titles import WORDS_OF_UNITS, are_titles, is_unit, unit_of
from xanes_hpc.formats.text import UNREADABLE, open_text, unreadable
from xanes_hpc.spectra.spectrum import Choices

LARGEST = 64 << 20
"""Largest size of a spectrum file, unpacked: 64 MiB."""
SEPARATORS = ";,\t"
COUNT_LINE = "a first line with the number of rows was skipped"
FEWEST_COUNTED = 4
LONGEST_TITLES = 5000
"""Characters of the longest line that may hold titles."""
DECIMAL_COMMAS = "numbers have decimal commas"
FORTRAN_NUMBER = re.compile(r"([-+]?[\d.]+)[dD]([-+]?\d+)")
LEADING_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
ITEM = re.compile(r"\w[\w.]*\s*:|.*=")
BEFORE_BRACKET = re.compile(r"\s*[(\[][^)\]]*[)\]]")
QUOTED = re.compile(r'"([^"\n]*)"')
COMMA_NUMBER = re.compile(r"[-+]?(\d+,?\d*|,\d+)([eEdD][-+]?\d+)?")


@dataclass(frozen=True)
class Table:
    """A text table: header lines, column titles (if the header ends with one per column), numbers, and units."""

    header: list[str]
    titles: list[str]
    values: npt.NDArray[np.float64]
    choices: Choices = ()
    units: dict[int, str] = field(default_factory=dict)


def read_table(path: Path, ends_header: str | None = None) -> Table:
    """Read the header and the numbers, shape (n_rows, n_columns), of a text file.

    Parameters
    ----------
    path
        The file.
    ends_header
        Start of the line that ends the header; from there on, lines are comments or numbers.

    Raises
    ------
    FormatError
        If there are no numbers, or a row has a different number of columns from those before it.
    """
    text = read_lines(path)
    choices: Choices = ()
    if '"' in text:
        text, decimal = _without_quotes(text)
        choices = ((DECIMAL_COMMAS, f"{path.name}: in quotes"),) if decimal else ()
    header: list[str] = []
    unread: list[tuple[int, str]] = []  # lines above the data that are not comments
    rows: list[list[float]] = []
    with_commas: list[int] = []  # lines whose numbers have decimal commas
    between_commas: list[int] = []  # lines whose columns are separated by commas
    ended, first_line = False, 0
    values: npt.NDArray[np.float64] | None = None
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        words = line.strip()
        if not words:
            continue
        row = None if words[0] in "#%!" else _numbers(words)
        if row is None and words[0] not in "#%!" and (row := _numbers_with_commas(words)) is not None:
            with_commas.append(number)
        elif row is not None and "," in words and ";" not in words:
            between_commas.append(number)
        if with_commas and between_commas:  # as where a row with decimal commas is cut off
            first, there = min((with_commas[0], "are decimal"), (between_commas[0], "separate columns"))
            expected = f"expected commas as on line {first}, where they {there}"
            raise FormatError(f"{path}: line {number}: {expected}, received {words[:40]!r}")
        ended = ended or (ends_header is not None and words.replace(" ", "").startswith(ends_header))
        if not rows and (row is None or len(row) < 2) and (words[0] in "#%!" or not ended):
            header.append(line.rstrip().lstrip("#%! "))
            if words[0] not in "#%!":
                unread.append((number, words))
        elif row is None:
            if words[0] not in "#%!":
                raise FormatError(f"{path}: line {number}: expected numbers, received {words[:40]!r}")
        elif len(rows) == 1 and len(row) > len(rows[0]) and _is_count(rows[0], lines, number):
            header.append(" ".join(f"{value:g}" for value in rows.pop()))
            rows.append(row)
            first_line = number
        elif rows and len(row) != len(rows[0]):
            raise FormatError(f"{path}: line {number}: expected {len(rows[0])} columns, received {len(row)}")
        else:
            first_line = first_line or number
            rows.append(row)
            if (
                len(rows) == 1
                and not with_commas
                and (values := _plain_numbers(lines[number - 1 :], len(row))) is not None
            ):
                rows += values[1:2].tolist()
                break
    if not rows:
        raise FormatError(f"{path}: " + ("no row of two or more numbers" if text else "empty file"))
    if lost := _damaged_row(unread, rows, first_line):
        number, words = lost
        raise FormatError(f"{path}: line {number}: expected numbers, received {words[:40]!r}")
    if with_commas:
        choices += ((DECIMAL_COMMAS, f"{path.name}: line {with_commas[0]}"),)
    if values is None:
        values = np.array(rows)
    if _counts_rows(values):
        values = values[1:]
        choices += ((COUNT_LINE, f"{path.name}: line {first_line}"),)
    titles, units = _titles(header, values.shape[1])
    return Table(header, titles, values, choices, units)


def read_lines(path: Path) -> str:
    """Return the text of a spectrum file, plain or compressed.

    Raises
    ------
    FormatError
        If it cannot be read, is too large, or is binary.
    """
    try:
        with open_text(path, "replace") as stream:
            text = stream.read(LARGEST + 1)
    except UNREADABLE as error:
        raise unreadable(path, error) from None
    if len(text) > LARGEST:
        raise FormatError(f"{path}: more than {LARGEST >> 20} MiB, too large for a spectrum")
    if "\0" in text:
        raise FormatError(f"{path}: expected text, received a binary file")
    return text


def _plain_numbers(lines: Sequence[str], n_columns: int) -> npt.NDArray[np.float64] | None:
    """Return rows of numbers and nothing else, quickly; None if they are not plain or have other columns."""
    separator = next((separator for separator in SEPARATORS if separator in lines[0]), None)
    try:
        values = np.loadtxt(lines, np.float64, comments=None, delimiter=separator, ndmin=2)
    except ValueError:
        return None
    return values if values.shape[1] == n_columns else None


def _titles(header: Sequence[str], n_columns: int) -> tuple[list[str], dict[int, str]]:
    """Return the titles at the end of a header, and the units in a row below; both empty if there are none.

    Rules, empty comments, and items such as ``# Sample: foil`` and ``# Column.1: energy`` are passed over. Farther up,
    titles must be known.
    """
    units: dict[int, str] = {}
    last = True
    for line in reversed(header):
        if len(line) > LONGEST_TITLES or not any(map(str.isalnum, line)) or ITEM.match(line):
            continue
        found = _one_each(line, n_columns)
        if last and found and all(map(is_unit, found)) and any(map(unit_of, found)) and not units:
            units = {i: unit for i, unit in enumerate(map(unit_of, found)) if unit.strip("-")}
        elif found and are_titles(found, last):
            return found, units
        else:
            last = False
    return [], units


def _one_each(line: str, n_columns: int) -> list[str]:
    """Return the titles in a line; empty if it does not have one for each column."""
    line = line.removeprefix("L ")  # of SPEC's #L
    titles = _split(line)
    if len(titles) != n_columns and not any(separator in line for separator in SEPARATORS):
        joined = BEFORE_BRACKET.sub(lambda found: re.sub(r"\s", "", found[0]), line).split()
        for words in (joined, _with_units(joined), re.split(r"\s{2,}", line.strip())):
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


def _without_quotes(text: str) -> tuple[str, bool]:
    """Return a text without the quotes around fields, and whether quoted numbers had decimal commas."""
    lines, decimal = text.splitlines(), False
    for i, line in enumerate(lines):
        if '"' in line and line.lstrip()[:1] not in ("#", "%", "!"):
            fields = QUOTED.findall(line)
            if any(separator in QUOTED.sub("", line) for separator in ";\t"):
                lines[i] = QUOTED.sub(r"\1", line)
            else:
                decimal = decimal or any("," in field and COMMA_NUMBER.fullmatch(field.strip()) for field in fields)
                lines[i] = QUOTED.sub(_without_commas, line)
        elif '"' in line:
            lines[i] = QUOTED.sub(_without_commas, line)
    return "\n".join(lines), decimal


def _without_commas(field: re.Match[str]) -> str:
    return field[1].replace(",", "." if COMMA_NUMBER.fullmatch(field[1].strip()) else " ")


def _is_count(row: Sequence[float], lines: Sequence[str], number: int) -> bool:
    """Return True if a row of fewer numbers than the next counts the rows below it."""
    rows_below = len(lines) - number + 1
    whole = len(row) == 2 and all(value > 0 and value.is_integer() for value in row)
    return whole and row[0] >= FEWEST_COUNTED and 0 <= rows_below - row[0] <= 3


def _counts_rows(values: npt.NDArray[np.float64]) -> bool:
    """Return True if the first row is the number of those below, with or without itself, and does not continue them."""
    first = values[0]
    if len(values) - first[0] not in (0, 1) or len(values) <= FEWEST_COUNTED or not (first == np.floor(first)).all():
        return False
    steps = np.abs(np.diff(values[:, 0]))
    return bool(steps[0] > 10 * steps[1:].max())


def _damaged_row(
    lines: Sequence[tuple[int, str]], rows: Sequence[Sequence[float]], first_line: int
) -> tuple[int, str] | None:
    """Return the first line above the data that is one of its rows, but cannot be read as one; None if none is.

    Such a line begins with a number that continues the first column. It has as many words as the rows, each with a
    digit or the asterisks of a Fortran overflow; or it is directly above the data and has no letters.
    """
    if len(rows) < 2:
        return None
    step = rows[1][0] - rows[0][0]
    for number, words in lines:
        parts = _split(words)
        start = LEADING_NUMBER.match(words)
        if not start or not step or not 0 < (rows[0][0] - float(start[0])) / step < len(lines) + 1.5:
            continue
        like_row = len(parts) == len(rows[0]) and all(re.search(r"[\d*]", part) for part in parts)
        if like_row or (
            number == first_line - 1 and not re.search(r"[^\W\d_]", words.replace("E", "").replace("e", ""))
        ):
            return number, words
    return None


def _split(text: str) -> list[str]:
    for separator in SEPARATORS:
        if separator in text:
            return [part.strip() for part in text.rstrip(separator + " ").split(separator)]
    return text.split()


def _numbers(text: str) -> list[float] | None:
    parts = _split(text)
    for write in (str, _with_e):
        try:
            return [float(write(part)) for part in parts]
        except ValueError:
            continue
    return None


def _numbers_with_commas(text: str) -> list[float] | None:
    """Return the numbers of a row whose decimals have commas; None if it is none."""
    if "," not in text or "." in text:
        return None
    separator = ";" if ";" in text else "\t" if "\t" in text.strip() else None
    parts = [part.strip() for part in text.rstrip("; \t").split(separator)]
    if not all(COMMA_NUMBER.fullmatch(part) for part in parts):
        return None
    return [float(_with_e(part.replace(",", "."))) for part in parts]


def _with_e(number: str) -> str:
    """Return a number with Fortran's D exponent written with an E."""
    return FORTRAN_NUMBER.sub(r"\1e\2", number)
