"""Other packages that do part of the same work, called as their authors intend. Missing packages are left out."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt
from ase import Atoms

QUANTITIES = "ijSdD"
"""Requested for each pair: both atoms, image, distance and vector, as in ``NeighbourList``."""
Pairs = tuple[Any, ...]
Search = Callable[[Atoms], Pairs]


def installed(package: str) -> bool:
    return find_spec(package) is not None


def vesin(cutoff: float, n_threads: int) -> Search:
    """Return vesin's search: one calculator for all structures, which reuses its memory."""
    import vesin

    calculator = vesin.NeighborList(cutoff=cutoff, full_list=True, n_threads=n_threads)

    def search(atoms: Atoms) -> Pairs:
        return tuple(calculator.compute(atoms.positions, np.asarray(atoms.cell), atoms.pbc, QUANTITIES))

    return search


def matscipy(cutoff: float) -> Search:
    """Return matscipy's search. For molecules it takes positions only and builds a box around them."""
    from matscipy.neighbours import neighbour_list

    def search(atoms: Atoms) -> Pairs:
        if atoms.pbc.any():
            return tuple(neighbour_list(QUANTITIES, atoms, cutoff))
        return tuple(neighbour_list(QUANTITIES, positions=atoms.positions, cutoff=cutoff))

    return search


def ase(cutoff: float) -> Search:
    from ase.neighborlist import neighbor_list

    return lambda atoms: neighbor_list(QUANTITIES, atoms, cutoff)


class DScribe:
    """DScribe's ACSF for one atom of a structure, with the functions of one weighting of ours.

    DScribe has no weights. It computes G2 for each species and G4 for each pair of species; the weighted sums of these
    are our functions. Only the structure's own species are requested, which keeps the number of functions smallest.
    """

    def __init__(self, description: dict[str, Any], atoms: Atoms, site: int) -> None:
        from dscribe.descriptors import ACSF

        (weighting,) = description["weighting"]
        g2, g4 = weighting["g2"], weighting["g4"]
        self._atoms, self._site = atoms, site
        self._species = sorted({int(z) for z in atoms.numbers})
        self._acsf = ACSF(
            r_cut=description["cutoff"],
            g2_params=[list(p) for p in zip(g2["eta"], g2["mu"], strict=True)],
            g4_params=[[eta, zeta, lam] for eta in g4["eta"] for lam in g4["lambda"] for zeta in g4["zeta"]],
            species=self._species,
            periodic=bool(atoms.pbc.any()),
        )
        self._n_radial = 1 + len(g2["mu"])

    def create(self) -> npt.NDArray[np.float64]:
        values: npt.NDArray[np.float64] = self._acsf.create(self._atoms, centers=[self._site])[0]
        return values

    def weighted(self) -> npt.NDArray[np.float64]:
        """Return the features in our order, summed with weights Z."""
        weights, values = np.array(self._species, float), self.create()
        n = weights.size
        radial = values[: n * self._n_radial].reshape(n, -1)
        angular = values[n * self._n_radial :].reshape(n * (n + 1) // 2, -1)
        pairs = np.array([a * b for i, a in enumerate(weights) for b in weights[: i + 1]])
        return np.concatenate([[radial[:, 0].sum()], weights @ radial[:, 1:], pairs @ angular])
