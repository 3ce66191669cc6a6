"""Tables with a header, one row a structure or site: CSV with commas, semicolons or tabs, gzipped or not."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.text import open_text

SEPARATORS = ";,\t"


def read_columns(path: Path, keys: Sequence[str], unique: bool = True) -> tuple[list[str], dict[str, list[str]]]:
    """Names in the key column of a table, and the cells of its other columns by their names, without blanks around.

    Parameters
    ----------
    path
        The file. What is in it most often of comma, semicolon and tab in the first line separates columns.
    keys
        Names that the key column may have, in small letters.
    unique
        Whether a name may stand in one row only.

    Raises
    ------
    FormatError
        If it cannot be read, has no such column or one twice, or a row does not fit; tells the line.
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
        raise FormatError(f"{path}: expected a column {expected} in its first line, received {listed}")
    twice = [title for k, title in enumerate(titles) if title in titles[:k]]
    if twice:
        raise FormatError(f"{path}: expected every column once, received {twice[0]!r} again")
    columns: list[list[str]] = [[] for _ in titles]
    seen = set[str]()
    for line, cells in enumerate(csv.reader(stream, delimiter=separator, strict=True), 2):
        if not cells:
            continue
        if len(cells) != len(titles):
            raise FormatError(f"{path}: line {line}: expected {len(titles)} columns, received {len(cells)}")
        name = cells[found[0]].strip()
        if unique and name in seen:
            raise FormatError(f"{path}: line {line}: {name} has a row already")
        seen.add(name)
        for column, cell in zip(columns, cells, strict=True):
            column.append(cell.strip())
    return columns[found[0]], {titles[i]: columns[i] for i in range(len(titles)) if i != found[0]}
