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
    """

    name: str
    numbers: npt.NDArray[np.uint8]
    positions: npt.NDArray[np.float64]
    cell: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros((3, 3)))
    pbc: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(3, np.bool_))
    properties: dict[str, float | str] = field(default_factory=dict)
    weights: npt.NDArray[np.float64] | None = None
    choices: tuple[tuple[str, str], ...] = ()
