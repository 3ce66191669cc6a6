"""Pair features that another program made with the sites of a structure store, by name."""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols
from ase.formula import Formula

from xanes_hpc.descriptors import Descriptor
from xanes_hpc.descriptors.foreign import Foreign
from xanes_hpc.errors import FormatError
from xanes_hpc.features.foreign import ForeignFeatures, read_foreign
from xanes_hpc.stores.hdf5 import IN_MEMORY
from xanes_hpc.stores.sites import SiteNames, SiteTable, counted
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.listed_sites import ListedSite
from xanes_hpc.structures.sites import SiteBatch

NONE = -1
"""Row of a site that the file lacks."""
MOST_NAMED, MOST_SEARCHED = 3, 20_000
"""Number of names in a message, and of names that are searched for similar ones."""


class PairedFeatures:
    """Foreign features of the sites of a store.

    Parameters
    ----------
    foreign
        The features.
    sites
        The store's sites. A row names a site as lists of sites do: by its name, its structure's name and atom
        (``name#atom``), or its name up to the first ``_`` or ``@`` if no other site begins so.
    where
        Path of the store, for messages.
    formulas
        Returns the formulas of the structures of the sites; those of the file must be of the same composition.

    Attributes
    ----------
    rows : (n_sites,)
        Each site's row in the file, or -1.
    unused
        Names of the file's rows without a site.

    Raises
    ------
    FormatError
        If the file names no sites, none of them is a site of the store, or a site's element or edge differs.
    """

    def __init__(
        self, foreign: ForeignFeatures, sites: SiteTable, where: Path,
        formulas: Callable[[], Sequence[str]] | None = None,
    ) -> None:  # fmt: skip
        where = Path("the structures") if where == IN_MEMORY else where
        if foreign.names is None:
            raise FormatError(
                f"{foreign.path}: has no array names, which pairs its rows with the sites of {where}; save the names "
                "of the sites, or of their structures, beside x"
            )
        row = {name: k for k, name in enumerate(foreign.names)}
        self.foreign, self._sites = foreign, sites
        self.rows = np.array([
            row.get(name, row.get(f"{name}#{atom}", NONE))
            for name, atom in zip(sites.name, sites.atom.tolist(), strict=True)
        ], np.int64)  # fmt: skip
        self._pair_as_lists_do()
        there = np.flatnonzero(self.rows != NONE)
        if not there.size:
            raise FormatError(f"{foreign.path}: none of its names is that of a site of {where}; {self._nearly()}")
        used = np.zeros(foreign.n_sites, np.bool_)
        used[self.rows[there]] = True
        self.unused = [foreign.names[k] for k in np.flatnonzero(~used)]
        self._check(there, where)
        if formulas is not None and foreign.formulas is not None:
            self._check_formulas(there, where, foreign.formulas, formulas())

    @property
    def without(self) -> npt.NDArray[np.bool_]:
        """Which sites have no features, (n_sites,)."""
        return np.asarray(self.rows == NONE)

    @property
    def missing(self) -> list[str]:
        """Names of the sites without features."""
        return [self._sites.name[k] for k in np.flatnonzero(self.without)]

    def of(self, batch: SiteBatch, start: int) -> SiteBatch:
        """Return a batch, whose first site is ``start``, with its foreign features; NaN for sites without."""
        rows = self.rows[start : start + batch.n_sites]
        values = np.full((rows.size, self.foreign.descriptor.width), np.nan, self.foreign.values.dtype)
        there = rows != NONE
        if there.any():
            values[there] = self.foreign.values[rows[there]]
        return replace(batch, foreign=values)

    def _nearly(self) -> str:
        """Return names of both sides that are similar, in words."""
        own, others = (self.foreign.names or [])[:MOST_SEARCHED], self._sites.name[:MOST_SEARCHED]
        near = [(name, *difflib.get_close_matches(name, others, 1, 0.5)) for name in own[:MOST_NAMED]]
        if pairs := [f"{found[0]}: {found[1]}" for found in near if len(found) > 1]:
            return f"names nearly match ({', '.join(pairs)})"
        return f"it has {', '.join(map(repr, own[:MOST_NAMED]))}, the store {', '.join(map(repr, others[:MOST_NAMED]))}"

    def _pair_as_lists_do(self) -> None:
        """Pair the remaining rows whose names are those of sites up to the first ``_`` or ``@``."""
        used = np.zeros(self.foreign.n_sites, np.bool_)
        used[self.rows[self.rows != NONE]] = True
        if used.all():
            return
        names = SiteNames(self._sites)
        for row in np.flatnonzero(~used).tolist():
            found = names.rows(ListedSite("", (self.foreign.names or [])[row]))
            if len(found) == 1 and self.rows[found[0]] == NONE:
                self.rows[found[0]] = row

    def _check_formulas(
        self, there: npt.NDArray[np.int64], where: Path, given: Sequence[str], own: Sequence[str]
    ) -> None:
        for site in there.tolist():
            theirs, ours = given[self.rows[site]], own[site]
            if theirs != ours and not _same_composition(theirs, ours):
                name = self._sites.name[site]
                raise FormatError(f"{self.foreign.path}: {name} is {theirs} there, but {ours} in {where}")

    def _check(self, there: npt.NDArray[np.int64], where: Path) -> None:
        foreign, sites, rows = self.foreign, self._sites, self.rows[there]
        if foreign.elements is not None:
            wrong = np.flatnonzero(foreign.elements[rows] != sites.element[there])
            if wrong.size:
                site = there[wrong[0]]
                theirs, ours = (
                    chemical_symbols[int(z)] for z in (foreign.elements[self.rows[site]], sites.element[site])
                )
                raise FormatError(f"{foreign.path}: {sites.name[site]} is {theirs} there, but {ours} in {where}")
        if foreign.edges is not None:
            for site in there:
                theirs, ours = foreign.edges[self.rows[site]], sites.edge[site]
                if theirs != ours:
                    raise FormatError(f"{foreign.path}: {sites.name[site]} is at {theirs} there, but {ours} in {where}")

    def in_words(self) -> dict[str, str]:
        """Return what did not pair, as rows of a table."""
        told = {}
        if missing := self.missing:
            told["without features"] = f"{counted(len(missing), 'site')} ({_named(missing)}), left out"
        if self.unused:
            told["not used"] = f"{counted(len(self.unused), 'row')} of {self.foreign.path} ({_named(self.unused)})"
        return told


def _same_composition(one: str, other: str) -> bool:
    """Return whether two formulas have the same ratios of elements; True if one is no formula."""
    try:
        ratios = [Formula(text).reduce()[0].count() for text in (one, other)]
    except ValueError:
        return True
    return bool(ratios[0] == ratios[1])


def _named(names: list[str]) -> str:
    return ", ".join(names[:MOST_NAMED]) + (", …" if len(names) > MOST_NAMED else "")


def beside(path: Path, descriptor: Descriptor, structures: StructureStore) -> tuple[Foreign, PairedFeatures]:
    """Return the descriptor of a store's features with foreign ones after them, and these, paired with its sites.

    Raises
    ------
    DescriptorError
        If the other descriptor is of foreign features, too.
    FormatError, StoreError
        If the file of foreign features is invalid, or has none of the store's sites.
    """
    found = read_foreign(path)
    both = Foreign(found.descriptor.describe() | {"descriptor": descriptor.describe()})
    return both, PairedFeatures(found, structures.sites, structures.path, structures.site_formulas)
