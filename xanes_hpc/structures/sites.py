"""Batches of absorption sites with their structures, as plain arrays.

Conventions: the atoms of all structures follow one another; ``offsets[s]:offsets[s + 1]`` are the atoms of structure s.
Atom indices of sites count from 0 within their structure. Positions and cell vectors (rows of ``cells``) are in Å.
A site's neighbours include periodic images along the directions where ``pbc`` is set.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from xanes_hpc.errors import AbsorberError, FormatError
from xanes_hpc.structures.absorbers import select_absorbers


@dataclass(frozen=True)
class SiteBatch:
    """Sites of one or many structures.

    Attributes
    ----------
    numbers : (n_atoms,) uint8
    positions : (n_atoms, 3) float64, Å
    offsets : (n_structures + 1,) int64
    cells : (n_structures, 3, 3) float64, Å; zero without a cell
    pbc : (n_structures, 3) bool
    site_structures, site_atoms : (n_sites,) int64
    first_structure : int, row of the batch's first structure in its store; 0 without a store
    properties
        Numeric properties of the sites or their structures by name, (n_sites,); NaN where a value is missing.
    foreign : (n_sites, n_foreign)
        Features of the sites that another program made; NaN for a site without them, None if there are none.
    """

    numbers: npt.NDArray[np.uint8]
    positions: npt.NDArray[np.float64]
    offsets: npt.NDArray[np.int64]
    cells: npt.NDArray[np.float64]
    pbc: npt.NDArray[np.bool_]
    site_structures: npt.NDArray[np.int64]
    site_atoms: npt.NDArray[np.int64]
    first_structure: int = 0
    properties: Mapping[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    foreign: npt.NDArray[np.floating[Any]] | None = None

    @property
    def n_sites(self) -> int:
        """The number of sites."""
        return int(self.site_atoms.size)

    def sites(self, start: int, stop: int) -> "SiteBatch":
        """Return a batch of sites ``start:stop`` of the same structures; the arrays are shared."""
        rows = slice(start, stop)
        return replace(
            self,
            site_structures=self.site_structures[rows],
            site_atoms=self.site_atoms[rows],
            properties={name: values[rows] for name, values in self.properties.items()},
            foreign=None if self.foreign is None else self.foreign[rows],
        )

    def without_each(self, atoms: npt.NDArray[np.int64]) -> "SiteBatch":
        """Return a batch of the one site of this one in copies of its structure, each without one of the given atoms.

        Parameters
        ----------
        atoms
            Indices of atoms other than the absorber, (n_copies,).
        """
        n, n_atoms, absorber = atoms.size, self.numbers.size, int(self.site_atoms[0])
        kept = np.array([np.delete(np.arange(n_atoms), k) for k in atoms], np.int64)
        return replace(
            self,
            numbers=self.numbers[kept].reshape(-1),
            positions=self.positions[kept].reshape(-1, 3),
            offsets=np.arange(n + 1) * (n_atoms - 1),
            cells=np.repeat(self.cells, n, axis=0),
            pbc=np.repeat(self.pbc, n, axis=0),
            site_structures=np.arange(n),
            site_atoms=np.where(atoms < absorber, absorber - 1, absorber),
            properties={name: np.repeat(values, n) for name, values in self.properties.items()},
            foreign=None if self.foreign is None else np.repeat(self.foreign, n, axis=0),
        )

    @classmethod
    def from_atoms(cls, atoms: Any, sites: Any = None, properties: Sequence[str] = ()) -> "SiteBatch":
        """Return the batch of one ``ase.Atoms`` or several.

        Parameters
        ----------
        atoms
            One ``ase.Atoms``, or a sequence or generator of them.
        sites
            ``None`` for the only transition metal of each structure; a rule of ``select_absorbers`` for all structures;
            an index or indices (from 0) for a single ``Atoms``; for a sequence also one entry per structure, each an
            index, indices or a rule.
        properties
            Names of numeric entries of ``Atoms.info`` to include.

        Raises
        ------
        AbsorberError
            If a site does not exist, or the number of entries is not that of the structures.
        FormatError
            If ``atoms`` is something else, or an atomic number is out of range.
        """
        single = hasattr(atoms, "get_positions")
        structures = [atoms] if single else several(atoms)
        if single:
            entries: list[Any] = [sites]
        elif sites is None or isinstance(sites, (str, int, np.integer)):
            entries = [sites] * len(structures)
        else:
            entries = list(sites)
        if len(entries) != len(structures):
            raise AbsorberError(f"expected sites for {len(structures)} structures, received {len(entries)} entries")
        chosen = [chosen_atoms(np.asarray(s.get_atomic_numbers()), e) for s, e in zip(structures, entries, strict=True)]
        lengths, counts = [len(s) for s in structures], [c.size for c in chosen]
        return cls(
            numbers=_numbers(structures),
            positions=_joined([s.get_positions() for s in structures], np.float64, (0, 3)),
            offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            cells=np.array([np.asarray(s.cell) for s in structures], np.float64).reshape(-1, 3, 3),
            pbc=np.array([s.pbc for s in structures], np.bool_).reshape(-1, 3),
            site_structures=np.repeat(np.arange(len(structures)), counts).astype(np.int64),
            site_atoms=_joined(chosen, np.int64, (0,)),
            properties={name: np.repeat([_property(s, name) for s in structures], counts) for name in properties},
        )


def _property(structure: Any, name: str) -> float:
    """Return a number of ``Atoms.info``, or NaN if it has none of that name."""
    try:
        return float(structure.info.get(name, np.nan))
    except (TypeError, ValueError):
        return float("nan")


def several(atoms: Any) -> list[Any]:
    """Return one ``ase.Atoms``, or several, as a list.

    Raises
    ------
    FormatError
        If ``atoms`` is something else.
    """
    if hasattr(atoms, "get_positions"):
        return [atoms]
    structures = (
        list(atoms) if isinstance(atoms, Iterable) and not isinstance(atoms, (str, bytes, np.ndarray)) else [atoms]
    )
    for structure in structures:
        if not hasattr(structure, "get_positions"):
            within = "" if structure is atoms else f" with {type(structure).__name__} in it"
            raise FormatError(f"expected ase.Atoms or a sequence of them, received {type(atoms).__name__}{within}")
    return structures


def _numbers(structures: list[Any]) -> npt.NDArray[np.uint8]:
    numbers: npt.NDArray[np.int64] = _joined([s.get_atomic_numbers() for s in structures], np.int64, (0,))
    wrong = numbers[(numbers < 0) | (numbers >= len(chemical_symbols))]
    if wrong.size:
        raise FormatError(f"atomic number {wrong[0]}: expected 0 to {len(chemical_symbols) - 1}")
    return numbers.astype(np.uint8)


def chosen_atoms(numbers: npt.NDArray[np.integer], entry: Any) -> npt.NDArray[np.int64]:
    """Return the indices (from 0) of the atoms that a rule, an index or indices select.

    Raises
    ------
    AbsorberError
        If an atom does not exist, or the rule selects none or leaves the choice open.
    """
    if entry is None or isinstance(entry, str):
        return select_absorbers(numbers, entry)
    indices = np.atleast_1d(np.asarray(entry))
    if indices.size and not np.issubdtype(indices.dtype, np.integer):
        raise AbsorberError(f"`sites`: expected atom indices (from 0), received {entry!r}")
    for index in indices:
        if not 0 <= index < numbers.size:
            raise AbsorberError(f"site {index}: no such atom; expected 0 to {numbers.size - 1}")
    return indices.astype(np.int64)


def _joined(arrays: Iterable[Any], dtype: Any, empty: tuple[int, ...]) -> Any:
    return np.ascontiguousarray(np.concatenate([np.empty(empty), *arrays]), dtype=dtype)
