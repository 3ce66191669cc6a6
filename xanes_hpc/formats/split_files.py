"""Tables that divide sites into the sets of a split: columns site, or structure and perhaps atom, and part."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.site_lists import ATOM, SITE, STRUCTURE, atom_index
from xanes_hpc.formats.tables import read_rows
from xanes_hpc.structures.listed_sites import ListedSite

PART = "part"
COLUMNS = "columns site and part, or structure (and atom, from 0) and part"


class ListedPart(NamedTuple):
    """A row of the table: a site, or with ``whole`` all sites of a structure, and its part."""

    site: ListedSite
    whole: bool
    part: str


def read(path: Path, parts: Iterable[str]) -> Iterator[ListedPart]:
    """Yield the rows of a table in CSV with commas, semicolons or tabs, plain or compressed.

    Titles may have capitals, and other columns are ignored.

    Parameters
    ----------
    path
        The table.
    parts
        Names that a part may have.

    Raises
    ------
    FormatError
        If the table cannot be read, lacks the columns, or has an invalid row.

    Examples
    --------
    >>> path = Path("split.csv")
    >>> _ = path.write_text("site,part\\nWELROW,train\\nZUYWOU#3,test\\n")
    >>> [(row.site.name, row.part) for row in read(path, ("train", "test"))]
    [('WELROW', 'train'), ('ZUYWOU#3', 'test')]
    """
    rows = read_rows(path)
    _, titles = next(rows)
    small = [title.lower() for title in titles]
    by = SITE if SITE in small else STRUCTURE
    if by not in small or PART not in small:
        raise FormatError(f"{path}: line 1: expected {COLUMNS}, received {', '.join(titles[:8]) or 'nothing'}")
    if twice := [title for title in (by, ATOM, PART) if small.count(title) > 1]:
        raise FormatError(f"{path}: line 1: expected one column {twice[0]}, received several")
    name_at, part_at = small.index(by), small.index(PART)
    atom_at = small.index(ATOM) if by == STRUCTURE and ATOM in small else None
    expected = tuple(parts)
    for line, cells in rows:
        where, name, part = f"{path}: line {line}", cells[name_at], cells[part_at].lower()
        if not name or not name.isprintable():
            raise FormatError(f"{where}: expected a {by}, received {name!r}")
        if part not in expected:
            raise FormatError(f"{where}: part: expected {' or '.join(expected)}, received {cells[part_at]!r}")
        atom = None if atom_at is None else atom_index(cells[atom_at], where)
        yield ListedPart(ListedSite(where, name, atom), by == STRUCTURE and atom is None, part)


def write(path: Path, names: Iterable[str], parts: Iterable[str]) -> None:
    """Write the part of each site."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow((SITE, PART))
        rows.writerows(zip(names, parts, strict=True))
