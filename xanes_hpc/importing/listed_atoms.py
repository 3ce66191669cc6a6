"""The atoms of each structure that a list of sites names."""

import re
from array import array
from collections.abc import Iterable, Iterator
from difflib import get_close_matches

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import MOST_LISTED, ConfigError, FormatError
from xanes_hpc.structures.listed_sites import ListedSite

MOST_REMEMBERED, MOST_NAMED = 1_000, 3
"""Largest numbers of other structures that are kept to name similar ones, and of those named."""
ANY = -1
"""The atom of a row that names none."""
UNSEEN, FOUND = -1, 0
Array = npt.NDArray[np.int64]


class ListedAtoms:
    """The atoms of structures that a list names as sites; it holds some 32 bytes per row.

    A row belongs to the structure of its name, or to those whose names begin with it up to the first ``_`` or ``@``.

    Parameters
    ----------
    listed
        The list; it is read again to name rows in errors.

    Attributes
    ----------
    names_all
        Whether every row names an atom.

    Raises
    ------
    FormatError
        If the list cannot be read, or names a site twice.
    """

    def __init__(self, listed: Iterable[ListedSite]) -> None:
        self._listed, self.names_all = listed, True
        self._others: dict[str, str] = {}
        """Structures that are not listed, by the beginnings of their names."""
        keys, atoms, rows, n_rows = array("q"), array("q"), array("q"), 0
        for row, site in enumerate(listed):
            n_rows += 1
            structure, atom = site.structure_and_atom
            self.names_all &= atom is not None
            entries = [(structure, ANY if atom is None else atom)]
            if site.atom != atom:  # A#1 is atom 1 of A, or a structure of that name
                entries.append((site.name, ANY))
            for name, own in entries:
                keys.append(hash(name))
                atoms.append(own)
                rows.append(row)
        found = [np.frombuffer(column, np.int64) for column in (keys, atoms, rows)]
        order = np.lexsort((found[1], found[0]))
        self._keys, self._atoms, self._rows = (column[order] for column in found)
        self._lacking: Array = np.full(n_rows, UNSEEN, np.int64)
        """Of every row: not yet seen, found, or the number of atoms of a structure that lacks its atom."""
        self._check_once()

    def _check_once(self) -> None:
        same = (np.diff(self._keys) == 0) & (np.diff(self._atoms) == 0)
        if same.any():
            second = int(np.maximum(self._rows[1:], self._rows[:-1])[same].min())
            site = next(site for row, site in enumerate(self._listed) if row == second)
            raise FormatError(f"{site.where}: second row of site {site.site}; expected one")

    def of(self, structure: str, n_atoms: int) -> tuple[Array, bool]:
        """Return the listed atoms of a structure of so many, and whether it is also listed without an atom."""
        beginning = re.split("[_@]", structure, maxsplit=1)[0]
        at = np.concatenate([self._entries(name) for name in dict.fromkeys((structure, beginning))])
        if not at.size and len(self._others) < MOST_REMEMBERED:
            self._others[beginning] = structure
        atoms, rows = self._atoms[at], self._rows[at]
        there = atoms < n_atoms
        unknown = rows[~there & (self._lacking[rows] != FOUND)]
        self._lacking[unknown], self._lacking[rows[there]] = n_atoms, FOUND
        return np.unique(atoms[there & (atoms != ANY)]), bool((atoms == ANY).any())

    def together(self, structure: str, listed: Array, chosen: Array, as_listed: Array | None = None) -> Array:
        """Return the listed atoms of a structure and those that a rule chose, as it is also listed without an atom.

        Parameters
        ----------
        structure
            Its name.
        listed, chosen
            Indices of its atoms.
        as_listed
            The listed atoms as the list counts them, if that differs.

        Raises
        ------
        ConfigError
            If the rule chose a single atom that is listed: two rows name the structure's only site.
        """
        if chosen.size == 1 and chosen[0] in listed:
            names = structure, re.split("[_@]", structure, maxsplit=1)[0]
            own = int((listed if as_listed is None else as_listed)[listed == chosen[0]][0])
            same = [(name, atom) for name in names for atom in (None, own)]
            *_, second = (site for site in self._listed if site.structure_and_atom in same)
            raise ConfigError(f"{second.where}: second row of site {structure}; expected one")
        return np.union1d(chosen, listed)

    def missing(self) -> Iterator[FormatError]:
        """Yield an error for every row whose structure or atom has not been found."""
        if (self._lacking == FOUND).all():
            return
        others, n_unseen = [*self._others, *self._others.values()], 0
        for site, n_atoms in zip(self._listed, self._lacking.tolist(), strict=True):
            structure, atom = site.structure_and_atom
            if n_atoms == UNSEEN:
                n_unseen += 1
                close = get_close_matches(structure, others, MOST_NAMED) if n_unseen <= MOST_LISTED else []
                near = ", ".join(dict.fromkeys(self._others.get(name, name) for name in close))
                yield FormatError(f"{site.where}: no structure {structure}" + (f"; near: {near}" if near else ""))
            elif n_atoms != FOUND:
                yield FormatError(f"{site.where}: {structure} has no atom {atom}; expected 0 to {n_atoms - 1}")

    def _entries(self, name: str) -> Array:
        """Return the places of the entries of a structure."""
        key = hash(name)
        return np.arange(self._keys.searchsorted(key), self._keys.searchsorted(key, "right"))
