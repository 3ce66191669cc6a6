"""Whole cells from asymmetric units."""

from typing import Any

import numpy as np
import numpy.typing as npt

SAME = 0.4
"""Images of an atom closer than this (Å) are one atom on a special position, whose coordinates were rounded."""
FARTHEST = 1000
"""Coordinates of an atom farther from the cell than this, in cells, are no coordinates."""
PARTIAL = "partial occupancies: a site must hold one atom; make an ordered supercell"


def is_place(fraction: npt.NDArray[np.float64]) -> bool:
    """Return whether fractional coordinates can be those of an atom: finite, and not far from the cell."""
    return bool((np.abs(fraction) < FARTHEST).all())


def images_of(
    fraction: npt.NDArray[np.float64], operations: list[Any], cell: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the different images of an atom in the cell; those on a special position are averaged.

    Parameters
    ----------
    fraction : (3,)
        Fractional coordinates.
    operations
        Symmetry operations, with gemmi's method ``apply_to_xyz``.
    cell : (3, 3)
        Vectors of the cell in its rows, Å.

    Returns
    -------
    (n_images, 3) fractional coordinates, 0 to 1.
    """
    every = np.array([operation.apply_to_xyz(fraction.tolist()) for operation in operations])
    kept: list[npt.NDArray[np.float64]] = []
    while len(every):
        apart = every - every[0]
        apart -= np.round(apart)
        near = np.linalg.norm(apart @ cell, axis=1) < SAME
        near[0] = True  # also in a cell without end
        kept.append(every[0] + apart[near].mean(axis=0))
        every = every[~near]
    return np.asarray(np.mod(np.array(kept), 1.0))
