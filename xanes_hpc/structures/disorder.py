"""Structures with partial occupancies or disorder groups.

A structure file may describe an average over many cells. ``Disordered`` holds it as parts: sets of atoms that are there
together, with one occupancy. ``choices`` finds which parts exclude one another, and ``ordering`` makes ordered
structures.
"""

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from xanes_hpc.errors import FormatError
from xanes_hpc.structures.structure import Structure

FULL = 0.999
"""Occupancy from which an atom is certain."""
ROUNDING = 0.02
"""Sums of occupancies may be above 1 by this much."""
BONDED = 1.3
"""Fraction of the sum of two covalent radii within which atoms are bonded."""


@dataclass(frozen=True)
class Part:
    """Atoms that are there together.

    Attributes
    ----------
    source
        Parts with the same source are equivalent by symmetry.
    occupancy
        How often they are there, 0 to 1.
    atoms : (n,) indices into the atoms of the cell
    cells : (n, 3) the cell in which each of them is, so that a molecule across the cell's boundary stays whole
    alone
        Whether its images exclude it where they are within bonding distance, as those of SHELXL's negative groups do.
    """

    source: int
    occupancy: float
    atoms: npt.NDArray[np.int64]
    cells: npt.NDArray[np.int64]
    alone: bool = False


@dataclass(frozen=True)
class Disordered(Structure):
    """All atoms that may be there.

    Attributes
    ----------
    certain : (n_atoms,) bool
        The atoms that are always there.
    alternatives
        The parts of the others; only one of each inner tuple can be there, as the file says.
    """

    certain: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    alternatives: tuple[tuple[Part, ...], ...] = ()

    @property
    def expected(self) -> npt.NDArray[np.float64]:
        """Expected occupancy of every atom, (n_atoms,)."""
        found = self.certain.astype(np.float64)
        for part in {(p.source, tuple(sorted(p.atoms))): p for group in self.alternatives for p in group}.values():
            found[part.atoms] += part.occupancy
        return np.minimum(found, 1.0)


def of_atoms(
    structure: Structure, present: npt.NDArray[np.bool_], detail: str, what: str,
    weights: npt.NDArray[np.float64] | None = None,
) -> Structure:  # fmt: skip
    """Return the structure of the atoms that are there, with a note; the note may be empty.

    Raises
    ------
    FormatError
        If no atom is there.
    """
    if not present.any():
        raise FormatError("every occupancy is below 0.5, so no atom is left")
    notes = ((what, detail),) if detail else ()
    return replace(
        structure, numbers=structure.numbers[present], positions=structure.positions[present], weights=weights,
        choices=(*structure.choices, *notes),
    )  # fmt: skip


def composition(numbers: npt.NDArray[np.uint8], amounts: npt.NDArray[np.float64] | None = None) -> str:
    """Return the elements with their amounts, in the order of the periodic table.

    Examples
    --------
    >>> composition(np.array([26, 8, 8], np.uint8), np.array([0.5, 1, 1]))
    'O2 Fe0.5'
    """
    counts: Counter[int] = Counter()
    for number, amount in zip(numbers.tolist(), (np.ones(numbers.size) if amounts is None else amounts), strict=True):
        counts[number] += amount
    return " ".join(f"{chemical_symbols[n]}{round(counts[n], 2):g}" for n in sorted(counts) if counts[n] > 0)
