"""Tables of numbers below a header of any length, in plain or compressed text.

Data begin at the first row of two or more numbers and end with the file. Comments begin with ``#``, ``%`` or ``!``.
Fields may be quoted. A line with the number of rows may precede the data.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.comma_numbers import check_commas, without_quotes
from xanes_hpc.formats.doubtful_rows import CUT, counts_rows, damaged_row, is_count, without_cut_row
from xanes_hpc.formats.number_rows import COMMENTS, numbers, numbers_with_commas, plain_numbers, why_unreadable
from xanes_hpc.formats.scan_headers import OFFSETS, scan_header
from xanes_hpc.formats.table_titles import check_titles_below, find_titles
from xanes_hpc.formats.text import UNREADABLE, open_text, unreadable
from xanes_hpc.spectra.spectrum import Choices

MARGIN = f"{COMMENTS} "
"""What stands before the words of a comment."""
LARGEST = 64 << 20
"""Largest size of a spectrum file, unpacked: 64 MiB."""
COUNT_LINE = "a first line with the number of rows was skipped"
DECIMAL_COMMAS = "numbers have decimal commas"
FEW_ROWS = 20
"""Most rows of numbers that may be those of a header."""
END_OF_FILE = "\x1a"
"""The last character of text files of DOS."""
MINUS = "\u2212"
"""The minus sign of typesetting."""


@dataclass(frozen=True)
class Table:
    """A text table: header lines, column titles (if the header has one per column), numbers, and units.

    ``d_spacing`` is the monochromator's lattice spacing in Å, if the header gives it.
    """

    header: list[str]
    titles: list[str]
    values: npt.NDArray[np.float64]
    choices: Choices = ()
    units: dict[int, str] = field(default_factory=dict)
    d_spacing: float | None = None

    def name(self, column: int) -> str:
        """Return the title of a column, or its number from 1 without titles."""
        return self.titles[column] if self.titles else str(column + 1)

    def listed(self) -> str:
        """Return in words how many columns there are, with their titles."""
        n = self.values.shape[1]
        return f"{n} columns ({', '.join(self.titles)})" if self.titles else f"{n} columns without titles"

    def channel(self, column: int) -> tuple[str, npt.NDArray[np.float64]]:
        """Return the name and the numbers of a column, (n_rows,)."""
        return self.name(column), self.values[:, column]


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
        If there are no numbers, a row has a different number of columns from those before it, or a row is damaged.
    """
    text = read_lines(path).rstrip(END_OF_FILE).replace(MINUS, "-")
    choices: Choices = ()
    lines = text.splitlines()
    if text[-1:] not in "\r\n":
        lines, cut = without_cut_row(lines)
        if cut:
            choices = ((CUT, f"{path.name}: line {len(lines) + 1}, {cut[-40:]!r}"),)
    if '"' in text:
        text, decimal = without_quotes(path, "\n".join(lines))
        lines = text.splitlines()
        choices += ((DECIMAL_COMMAS, f"{path.name}: in quotes"),) if decimal else ()
    known = scan_header(lines)
    header: list[str] = []
    below: list[tuple[int, str]] = []  # comments below the first numbers
    unread: list[tuple[int, str]] = []  # lines above the data that are not comments
    rows: list[list[float]] = []
    with_commas: list[int] = []  # lines whose numbers have decimal commas
    between_commas: list[int] = []  # lines whose columns are separated by commas
    ended, first_line = False, 0
    values: npt.NDArray[np.float64] | None = None
    for number, line in enumerate(lines, 1):
        words = line.strip()
        if not words:
            continue
        comment = words[0] in COMMENTS
        if known is not None and number <= known.n_lines:
            header.append(line.rstrip().lstrip(MARGIN))
            continue
        row = None if comment else numbers(words)
        if row is None and not comment and (row := numbers_with_commas(words)) is not None:
            with_commas.append(number)
        elif row is not None and "," in words and ";" not in words:
            between_commas.append(number)
        if with_commas and between_commas:  # as where a row with decimal commas is cut off
            first, there = min((with_commas[0], "are decimal"), (between_commas[0], "separate columns"))
            expected = f"expected commas as on line {first}, where they {there}"
            raise FormatError(f"{path}: line {number}: {expected}, received {words[:40]!r}")
        ended = ended or (ends_header is not None and words.replace(" ", "").startswith(ends_header))
        if not rows and (row is None or len(row) < 2) and (comment or not ended):
            header.append(line.rstrip().lstrip(MARGIN))
            if not comment:
                unread.append((number, words))
        elif row is None:
            if not comment:
                advice = (
                    "; if the rows above it are no data, put # before them"
                    if words[0].isalpha() and len(rows) <= FEW_ROWS
                    else ""
                )
                raise FormatError(f"{path}: line {number}: expected numbers, received {words[:40]!r}{advice}")
            below.append((number, words.lstrip(MARGIN)))
        elif len(rows) == 1 and len(row) > len(rows[0]) and is_count(rows[0], lines, number):
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
                and (values := plain_numbers(lines[number - 1 :], len(row))) is not None
            ):
                break
    if not rows:
        raise FormatError(f"{path}: " + (_no_row(unread) if text else "empty file"))
    if values is None:
        values = np.array(rows)
    if lost := damaged_row(unread, values, first_line):
        number, words = lost
        raise FormatError(f"{path}: line {number}: expected numbers, received {words[:40]!r}")
    if with_commas:
        data = enumerate(lines[first_line - 1 :], first_line)
        check_commas(path, ((n, line.replace(";", " ").split()) for n, line in data))
        choices += ((DECIMAL_COMMAS, f"{path.name}: line {with_commas[0]}"),)
    if counts_rows(values):
        values = values[1:]
        choices += ((COUNT_LINE, f"{path.name}: line {first_line}"),)
    titles, units = find_titles(header, values.shape[1])
    if known is not None and len(known.titles) == values.shape[1]:
        titles, units = known.titles, {}
    check_titles_below(path, titles, below, values.shape[1])
    if known is not None and known.offsets:
        choices += ((OFFSETS, f"{path.name}: {known.offsets}"),)
    return Table(header, titles, values, choices, units, None if known is None else known.d_spacing)


def _no_row(unread: Sequence[tuple[int, str]]) -> str:
    """Return that there are no rows of numbers, with the first line that nearly is one and why it is not."""
    nearly = [(n, words) for n, words in unread if words.lstrip("-+.[({'").lstrip()[:1].isdecimal()]
    if not nearly:
        return "no row of two or more numbers"
    number, words = nearly[0]
    return f"no row of two or more numbers; line {number}, {words[:40]!r}: {why_unreadable(words)}"


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
