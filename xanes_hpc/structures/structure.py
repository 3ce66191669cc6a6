"""A structure in memory: atoms, cell and properties."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Structure:
    """Atoms of one molecule or crystal.

    Attributes
    ----------
    name
        Name, unique within a store.
    numbers : (n_atoms,) uint8
    positions : (n_atoms, 3) float64, Å
    cell : (3, 3) float64, vectors as rows, Å; zero without a cell
    pbc : (3,) bool
    properties
        Properties by name: ``charge`` (e), ``spin`` (total spin) and any others.
    weights : (n_atoms,) float64
        Weight of each atom as a site; None for 1.
    choices
        What was chosen in reading, each with its detail.
    described : (n_described,) bool
        Of a structure that was made of a disordered one: which of the atoms that the file describes are there. They
        are its first atoms, in this order; None if it has all atoms that the file describes.
    """

    name: str
    numbers: npt.NDArray[np.uint8]
    positions: npt.NDArray[np.float64]
    cell: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros((3, 3)))
    pbc: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(3, np.bool_))
    properties: dict[str, float | str] = field(default_factory=dict)
    weights: npt.NDArray[np.float64] | None = None
    choices: tuple[tuple[str, str], ...] = ()
    described: npt.NDArray[np.bool_] | None = None

    @property
    def n_described(self) -> int:
        """The number of atoms that the file describes, before some of a disordered structure were left out."""
        return int(self.numbers.size if self.described is None else self.described.size)

    def there(self, atoms: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Return the indices of atoms that are counted as the file describes them, and which of them are there.

        Parameters
        ----------
        atoms : (n,) from 0 to below ``n_described``

        Returns
        -------
        tuple
            Indices in this structure of those that are there, and a bool for each of ``atoms``.

        Examples
        --------
        >>> rest = Structure("x", np.array([26, 8], np.uint8), np.eye(2, 3), described=np.array([False, True, True]))
        >>> rest.there(np.array([0, 2]))
        (array([1]), array([False,  True]))
        """
        if self.described is None:
            return atoms, np.ones(atoms.size, np.bool_)
        there = self.described[atoms]
        return np.cumsum(self.described)[atoms[there]] - 1, there
