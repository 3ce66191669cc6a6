"""Lists of sites: a table with a column site, or with columns structure and atom; or names."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.tables import read_rows
from xanes_hpc.structures.listed_sites import ListedSite

SITE, STRUCTURE, ATOM = "site", "structure", "atom"
COLUMNS = "a column site, or columns structure and atom (from 0)"
INDEX = re.compile(r"(\d{1,18})(\.0*)?", re.ASCII)
"""An atom's index; spreadsheets may write 3 as 3.0."""

SiteChoice = Path | tuple[str, ...]
"""A table of sites, or names of sites."""


class SiteList:
    """The sites of a table or of a sequence of names; iterating reads them one by one, each time anew.

    The table is CSV with commas, semicolons or tabs, plain or compressed. Its column ``site`` holds names of sites,
    ``WELROW#0`` or ``WELROW``; without it, ``structure`` and ``atom`` hold the structures' names and the atoms, counted
    from 0. Titles may have capitals, and other columns are ignored.

    Parameters
    ----------
    source
        The table, or the names.

    Raises
    ------
    FormatError
        On iteration, if the table cannot be read, lacks the columns, names no site, or has an invalid row.

    Examples
    --------
    >>> path = Path("sites.csv")
    >>> _ = path.write_text("structure,atom\\nWELROW,0\\n")
    >>> list(SiteList(path))
    [ListedSite(where='sites.csv: line 2', name='WELROW', atom=0)]
    """

    def __init__(self, source: Path | Sequence[str]) -> None:
        self._source = source

    def __str__(self) -> str:
        return str(self._source) if isinstance(self._source, Path) else "`sites`"

    def __iter__(self) -> Iterator[ListedSite]:
        empty = True
        for site in self._read():
            empty = False
            yield site
        if empty:
            raise FormatError(f"{self}: lists no sites; expected at least one")

    def _read(self) -> Iterator[ListedSite]:
        if not isinstance(self._source, Path):
            yield from (ListedSite(str(self), name) for name in self._source)
            return
        rows = read_rows(self._source)
        _, titles = next(rows)
        small = [title.lower() for title in titles]
        if SITE in small:
            name_at, atom_at = small.index(SITE), None
        elif STRUCTURE in small and ATOM in small:
            name_at, atom_at = small.index(STRUCTURE), small.index(ATOM)
        else:
            received = ", ".join(titles[:8]) or "nothing"
            raise FormatError(f"{self}: line 1: expected {COLUMNS}, received {received}")
        if twice := [titles[k] for k in (name_at, atom_at) if k is not None and small.count(small[k]) > 1]:
            raise FormatError(f"{self}: line 1: expected one column {twice[0].lower()}, received several")
        for line, cells in rows:
            where, name = f"{self}: line {line}", cells[name_at]
            if not name or not name.isprintable():
                raise FormatError(f"{where}: expected a {small[name_at]}, received {name!r}")
            yield ListedSite(where, name, None if atom_at is None else atom_index(cells[atom_at], where))


def atom_index(text: str, where: str) -> int:
    """Return an atom's index from a cell of a table at ``where``."""
    found = INDEX.fullmatch(text)
    if found is None:
        raise FormatError(f"{where}: atom: expected an index, counted from 0, received {text!r}")
    return int(found[1])
