"""The atoms around a site, as programs that calculate spectra of clusters take them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xanes_hpc.structures.neighbours import neighbour_list
from xanes_hpc.structures.sites import SiteBatch
from xanes_hpc.structures.structure import Structure

SHELL = 0.02
"""Atoms whose distances from the absorber differ by less (Å) are of one shell."""
WIDEST = 0.3
"""A shell is at most so wide, Å; the many distances of a molecule are no shell."""


@dataclass(frozen=True)
class Cluster:
    """An absorber, which is the first atom and the origin, and the atoms around it by distance.

    Attributes
    ----------
    numbers : (n_atoms,) int64
    positions : (n_atoms, 3) float64, Å
    """

    numbers: npt.NDArray[np.int64]
    positions: npt.NDArray[np.float64]

    @property
    def distances(self) -> npt.NDArray[np.float64]:
        """Distances from the absorber, Å, (n_atoms,)."""
        return np.asarray(np.linalg.norm(self.positions, axis=1))


def cut_cluster(structure: Structure, atom: int, radius: float) -> Cluster:
    """Return the atoms, and images of atoms, closer to a site than ``radius`` (Å).

    Examples
    --------
    >>> cubic = Structure("x", np.array([29], np.uint8), np.zeros((1, 3)), 3.0 * np.eye(3), np.ones(3, np.bool_))
    >>> cut_cluster(cubic, 0, 3.5).distances.tolist()
    [0.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0]
    """
    batch = SiteBatch(
        structure.numbers, structure.positions, np.array([0, structure.numbers.size]), structure.cell[None],
        structure.pbc[None], np.zeros(1, np.int64), np.array([atom]),
    )  # fmt: skip
    found = neighbour_list(batch, radius)
    order = np.lexsort((*found.vectors.round(6).T, found.numbers, found.distances.round(6)))
    own = int(structure.numbers[atom])
    numbers = np.concatenate([[own], found.numbers[order].astype(np.int64)])
    return Cluster(numbers, np.concatenate([np.zeros((1, 3)), found.vectors[order]]))


def whole_shells(distances: npt.NDArray[np.float64], radius: float) -> float:
    """Return the smallest radius from ``radius`` on that does not cut a shell.

    Parameters
    ----------
    distances : (n_atoms,)
        Distances from the absorber, Å, ascending; some of them beyond ``radius`` + ``WIDEST``, if there are more atoms.
    radius
        The radius that is asked for, Å.

    Examples
    --------
    >>> round(whole_shells(np.array([0.0, 2.0, 2.99, 3.0, 3.01, 3.5]), 3.0), 3)
    3.02
    >>> whole_shells(np.array([0.0, 2.0, 3.5]), 3.0)
    3.0
    """
    reach = radius
    for distance in distances[distances > radius]:
        if distance - reach >= SHELL:
            break
        reach = float(distance)
    if reach - radius > WIDEST:
        reach = radius
    last = distances[(distances > reach - 0.5 * SHELL) & (distances <= reach)]
    return float(last[-1] + 0.5 * SHELL) if last.size else reach
