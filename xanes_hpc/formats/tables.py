"""Tables with a header and one row per structure or site: CSV with commas, semicolons or tabs, plain or gzipped."""

import csv
import lzma
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.text import open_text

SEPARATORS = ";,\t"


def read_columns(path: Path, keys: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Read a table: the names in its key column, and the cells of the other columns by title, stripped of blanks.

    Parameters
    ----------
    path
        The file, as for ``read_rows``.
    keys
        Titles that the key column may have, in lower case.

    Raises
    ------
    FormatError
        As for ``read_rows``, or if there is no key column, or a name has two rows.
    """
    rows = read_rows(path)
    _, titles = next(rows)
    found = [i for i, title in enumerate(titles) if title.lower() in keys]
    if not found:
        listed = ", ".join(titles[:8]) or "nothing"
        expected = " or ".join("CSD_code" if key == "csd_code" else key for key in keys)
        raise FormatError(f"{path}: line 1: expected a column {expected}, received {listed}")
    columns: list[list[str]] = [[] for _ in titles]
    seen = set[str]()
    for line, cells in rows:
        name = cells[found[0]]
        if name in seen:
            raise FormatError(f"{path}: line {line}: second row of {name}; expected one")
        seen.add(name)
        for column, cell in zip(columns, cells, strict=True):
            column.append(cell)
    return columns[found[0]], {titles[i]: columns[i] for i in range(len(titles)) if i != found[0]}


def read_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the line and the cells of every row of a table, stripped of blanks; the titles come first.

    The separator is the most frequent of comma, semicolon and tab in the first line.

    Raises
    ------
    FormatError
        If the file cannot be read, has one column twice, or has an invalid row, whose line is named.
    """
    try:
        with open_text(path, newline="") as stream:
            yield from _rows(path, stream)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, zlib.error, lzma.LZMAError) as error:
        raise FormatError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _rows(path: Path, stream: TextIO) -> Iterator[tuple[int, list[str]]]:
    head = stream.readline()
    if "\0" in head:
        raise FormatError(f"{path}: expected text, received a binary file")
    separator = max(SEPARATORS, key=head.count)
    titles = [title.strip() for title in next(csv.reader([head], delimiter=separator), [])]
    twice = [title for k, title in enumerate(titles) if title in titles[:k]]
    yield 1, titles
    if twice:
        raise FormatError(f"{path}: line 1: expected every column once, received {twice[0]!r} twice")
    for line, cells in enumerate(csv.reader(stream, delimiter=separator, strict=True), 2):
        cells = [cell.strip() for cell in cells]
        if not any(cells):
            continue
        if len(cells) != len(titles):
            raise FormatError(f"{path}: line {line}: expected {len(titles)} columns, received {len(cells)}")
        yield line, cells
