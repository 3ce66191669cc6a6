"""The radial distribution curve.

Equation (5) of ``kernels/README.md`` (doi:10.1016/S0924-2031(99)00014-4): every neighbour of an absorption site adds a
Gaussian at its distance, weighted with the atomic numbers of both atoms.

    name = "rdc"
    r_min = 1.0                      # Å
    r_max = 6.0
    n = 51                           # grid points, both ends included
    alpha = 50.0                     # 1/Å²; by default 1 / (2 step^2), a Gaussian as wide as a step
    dtype = "float64"                # type of the features and of the sums

The curve has no cutoff function. Neighbours are the atoms within r_max + sqrt(ln(1e9) / alpha), so that an atom that
enters or leaves changes the curve by at most 1e-9 of its Gaussian's height.
"""

from collections.abc import Mapping
from math import inf, log, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.descriptors._meaning import Meaning
from xanes_hpc.descriptors._values import is_number, read_dtype
from xanes_hpc.descriptors.base import Descriptor, Features, check_keys
from xanes_hpc.errors import DescriptorError
from xanes_hpc.structures.neighbours import NeighbourList
from xanes_hpc.structures.sites import SiteBatch
from xanes_hpc_kernels.radial_distribution import radial_distribution

WHERE = "descriptor rdc"
NEGLIGIBLE = 1e-9
"""Height at r_max, relative to its maximum, of the Gaussian of an atom at the cutoff."""
MOST_POINTS = 10_000


class RDC(Descriptor):
    """The radial distribution curve; the module describes its description."""

    name = "rdc"

    def __init__(self, description: Mapping[str, Any]) -> None:
        check_keys(WHERE, description, {"name", "dtype", "r_min", "r_max", "n", "alpha"})
        if missing := [key for key in ("r_min", "r_max", "n") if key not in description]:
            raise DescriptorError(f"{WHERE}: {missing[0]} is missing")
        r_min, r_max, n = (description[key] for key in ("r_min", "r_max", "n"))
        if not is_number(r_min) or r_min < 0:
            raise DescriptorError(f"{WHERE}: expected r_min of 0 or more (Å), received {r_min!r}")
        if not is_number(r_max) or not r_max > r_min:
            raise DescriptorError(f"{WHERE}: expected r_max above r_min = {r_min:g} (Å), received {r_max!r}")
        if type(n) is not int or not 2 <= n <= MOST_POINTS:
            raise DescriptorError(f"{WHERE}: expected n from 2 to {MOST_POINTS} points, received {n!r}")
        self.dtype = read_dtype(WHERE, description)
        self.r_min, self.r_max = float(r_min), float(r_max)
        self.alpha = self._alpha(description, (self.r_max - self.r_min) / (n - 1))
        self.cutoff = self.r_max + sqrt(-log(NEGLIGIBLE)) / sqrt(self.alpha)
        self.grid = np.linspace(self.r_min, self.r_max, n)
        if not (np.diff(self.grid.astype(self.dtype)) > 0).all():
            raise DescriptorError(
                f"{WHERE}: expected grid points that differ in {self.dtype}, received {n} from {r_min!r} to {r_max!r} Å"
            )
        self.labels = _labels(self.grid)

    @staticmethod
    def _alpha(description: Mapping[str, Any], step: float) -> float:
        square = 2.0 * step * step
        alpha = description.get("alpha", 1.0 / square if square > 0 else inf)
        if not is_number(alpha) or not alpha > 0:
            raise DescriptorError(f"{WHERE}: expected alpha above 0 (1/Å²), received {alpha!r}")
        return float(alpha)

    @property
    def meanings(self) -> list[Meaning]:
        """The meaning of each feature, a point of the curve."""
        return [Meaning("radial", "Z", float(r)) for r in self.grid]

    def describe(self) -> dict[str, Any]:
        """Return the description with alpha filled in."""
        return {
            "name": self.name,
            "dtype": self.dtype.name,
            "r_min": self.r_min,
            "r_max": self.r_max,
            "n": self.n_features,
            "alpha": self.alpha,
        }

    def resolve(self) -> dict[str, Any]:
        """Return the description and the cutoff of the neighbours."""
        return self.describe() | {"cutoff": self.cutoff}

    def fill(self, batch: SiteBatch, neighbours: NeighbourList, out: Features) -> None:
        """Write the curves of the batch's sites."""
        numbers = batch.numbers[batch.offsets[batch.site_structures] + batch.site_atoms]
        radial_distribution(
            neighbours.offsets,
            numbers,
            neighbours.distances,
            neighbours.numbers,
            self.grid,
            self.alpha,
            out,
        )


def _labels(grid: npt.NDArray[np.float64]) -> list[str]:
    """Return one label per point, with as few digits (at least 4) as distinguish them; 17 digits always do."""
    for digits in range(4, 18):
        labels = [f"RDC R={r:.{digits}g}" for r in grid]
        if len(set(labels)) == len(labels):
            break
    return labels


def _rdc() -> dict[str, Any]:
    """Return the preset: from the shortest bond of an absorber (O-H, 0.96 Å) to the cutoff of the wACSF presets.

    Steps, and so Gaussians, are 0.1 Å wide: about the spread of a distance by thermal motion.
    """
    return {"dtype": "float32", "r_min": 1.0, "r_max": 6.0, "n": 51, "alpha": 50.0}


RDC.PRESETS = {"rdc": _rdc}
PLUGIN = RDC
