"""Tables with a header and one row per structure or site: CSV with commas, semicolons or tabs, plain or gzipped."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.text import open_text

SEPARATORS = ";,\t"


def read_columns(path: Path, keys: Sequence[str], unique: bool = True) -> tuple[list[str], dict[str, list[str]]]:
    """Read a table: the names in its key column, and the cells of the other columns by title, stripped of blanks.

    Parameters
    ----------
    path
        The file. The separator is the most frequent of comma, semicolon and tab in the first line.
    keys
        Titles that the key column may have, in lower case.
    unique
        Whether a name may occur in one row only.

    Raises
    ------
    FormatError
        If the file cannot be read, has no key column or one column twice, or has an invalid row, whose line is named.
    """
    try:
        with open_text(path, newline="") as stream:
            return _read(path, stream, keys, unique)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise FormatError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _read(path: Path, stream: TextIO, keys: Sequence[str], unique: bool) -> tuple[list[str], dict[str, list[str]]]:
    head = stream.readline()
    if "\0" in head:
        raise FormatError(f"{path}: expected text, received a binary file")
    separator = max(SEPARATORS, key=head.count)
    titles = [title.strip() for title in next(csv.reader([head], delimiter=separator), [])]
    found = [i for i, title in enumerate(titles) if title.lower() in keys]
    if not found:
        listed = ", ".join(titles[:8]) or "nothing"
        expected = " or ".join("CSD_code" if key == "csd_code" else key for key in keys)
        raise FormatError(f"{path}: line 1: expected a column {expected}, received {listed}")
    twice = [title for k, title in enumerate(titles) if title in titles[:k]]
    if twice:
        raise FormatError(f"{path}: line 1: expected every column once, received {twice[0]!r} twice")
    columns: list[list[str]] = [[] for _ in titles]
    seen = set[str]()
    for line, cells in enumerate(csv.reader(stream, delimiter=separator, strict=True), 2):
        if not cells:
            continue
        if len(cells) != len(titles):
            raise FormatError(f"{path}: line {line}: expected {len(titles)} columns, received {len(cells)}")
        name = cells[found[0]].strip()
        if unique and name in seen:
            raise FormatError(f"{path}: line {line}: second row of {name}; expected one")
        seen.add(name)
        for column, cell in zip(columns, cells, strict=True):
            column.append(cell.strip())
    return columns[found[0]], {titles[i]: columns[i] for i in range(len(titles)) if i != found[0]}
