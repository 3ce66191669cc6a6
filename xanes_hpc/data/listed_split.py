"""The split that a table gives: each site's set."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import ConfigError
from xanes_hpc.formats import split_files
from xanes_hpc.formats.split_files import ListedPart
from xanes_hpc.models.training_sites import LEFT_OUT, NO_SET, SETS
from xanes_hpc.stores.sites import SiteNames, SiteTable, counted
from xanes_hpc.structures.listed_sites import ListedSite

PARTS = (*SETS, NO_SET)


def listed_split(
    path: Path, tables: Sequence[SiteTable], usable: npt.NDArray[np.bool_], rest: str | None
) -> npt.NDArray[np.uint8]:
    """Return the set of every site, as an index into ``SETS``, or ``LEFT_OUT``.

    Parameters
    ----------
    path
        The table, as ``formats.split_files`` reads it. Part ``none`` leaves sites out.
    tables
        The sites, one table for each feature store.
    usable
        Whether each site has a target; the others are left out, in whatever part they are.
    rest
        Part of the sites that the table leaves out.

    Raises
    ------
    ConfigError
        If the table has a site twice, or one that there is not; if it leaves out a site and there is no ``rest``; or if
        no site of a part can be used, or there is none to train on.
    FormatError
        If the table cannot be read.
    """
    sets, seen, told = np.full(usable.size, LEFT_OUT, np.uint8), np.zeros(usable.size, np.bool_), dict[str, None]()
    finder = _Finder(tables)
    for listed in split_files.read(path, PARTS):
        rows = finder.rows(listed)
        if seen[rows].any():
            name = finder.names[rows[int(np.argmax(seen[rows]))]]
            raise ConfigError(f"{listed.site.where}: second row of site {name}; expected one")
        sets[rows], seen[rows] = PARTS.index(listed.part), True
        told[listed.part] = None
    missing = np.flatnonzero(usable & ~seen)
    if missing.size and rest is None:
        raise ConfigError(
            f"{path}: leaves out {counted(missing.size, 'site')} that could be used, the first "
            f"{finder.names[missing[0]]}; list all sites, or give the part of the rest (`split.rest`)"
        )
    if rest is not None:
        sets[~seen] = PARTS.index(rest)
        if missing.size:
            told[rest] = None
    sets[~usable | (sets == PARTS.index(NO_SET))] = LEFT_OUT
    counts = np.bincount(sets, minlength=LEFT_OUT + 1)
    for part in dict.fromkeys(("train", *told)):
        if part != NO_SET and not counts[SETS.index(part)]:
            raise ConfigError(f"{path}: part {part}: expected a site with features and a spectrum, received none")
    return sets


class _Finder:
    """Finds rows, counted over all tables, of what a table lists."""

    def __init__(self, tables: Sequence[SiteTable]) -> None:
        self._tables = tables
        self._by_name = [SiteNames(table) for table in tables]
        self._starts = np.cumsum([0, *(len(table) for table in tables)])
        self.names = [name for table in tables for name in table.name]
        self._of_structure: dict[str, list[int]] = {}
        for row, name in enumerate(self.names):
            self._of_structure.setdefault(ListedSite("", name).structure_and_atom[0], []).append(row)

    def rows(self, listed: ListedPart) -> npt.NDArray[np.int64]:
        """Return the rows of a site or of a structure's sites.

        Raises
        ------
        ConfigError
            If there is none, or a name may mean several sites.
        """
        site = listed.site
        if listed.whole and site.name in self._of_structure:
            return np.array(self._of_structure[site.name], np.int64)
        found = [
            int(start) + row
            for start, names in zip(self._starts, self._by_name, strict=False)
            for row in names.rows(site)
        ]
        if len(found) == 1 or (found and listed.whole):
            return np.array(found, np.int64)
        received = f"{len(found)} sites of that name" if found else "no such site"
        raise ConfigError(
            f"{site.where}: expected one of the {len(self.names):,} sites, received {received}: {site.site}"
        )
