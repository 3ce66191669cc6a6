"""The view of a structure in which the atoms that matter are hidden least."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
N_VIEWS = 150
"""Number of directions that are tried."""
MATTERS = 0.05
"""Fraction of the largest weight below which an atom may be hidden."""


def clearest_view(positions: Array, radii: Array, weights: Array, in_front: int) -> Array:
    """Return a structure's coordinates turned so that atoms of large weight are covered least by others.

    Parameters
    ----------
    positions : (n_atoms, 3)
        Coordinates.
    radii : (n_atoms,)
        Radii at which the atoms are drawn.
    weights : (n_atoms,)
        How much it matters to see each atom.
    in_front
        The atom that is drawn in front of all others, so that it is seen in any view.

    Returns
    -------
    Array
        Coordinates on the paper, the wider one first, and towards the viewer, (n_atoms, 3).

    Examples
    --------
    Of three atoms in a row, the last matters; it is not seen along the row:

    >>> row = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 2.0], [0.0, 0.0, 4.0]])
    >>> turned = clearest_view(row, np.full(3, 0.7), np.array([0.0, 0.0, 1.0]), 0)
    >>> bool(np.hypot(*(turned[2, :2] - turned[0, :2])) > 1.4)
    True
    """
    centred = positions - positions.mean(axis=0)
    seen = np.flatnonzero(weights > MATTERS * weights.max())
    touching = radii[seen, None] + radii
    best, found = np.inf, centred
    for direction in _directions():
        turned = centred @ _basis(direction).T
        apart = np.hypot(*(turned[seen, None, k] - turned[None, :, k] for k in (0, 1)))
        above = turned[None, :, 2] > turned[seen, None, 2]
        above[:, in_front] = seen != in_front
        covered = (np.clip(1.0 - apart / touching, 0.0, None) * above).sum(axis=1)
        hidden = float(weights[seen] @ covered)
        if hidden < best - 1e-12:
            best, found = hidden, turned
    flat = found[:, :2]
    across = np.linalg.eigh(flat.T @ flat)[1][:, ::-1]
    return np.column_stack([flat @ across, found[:, 2]])


def _directions() -> Array:
    """Return directions spread evenly over a sphere (a Fibonacci lattice), (N_VIEWS, 3)."""
    k = np.arange(N_VIEWS) + 0.5
    z, angle = 1.0 - 2.0 * k / N_VIEWS, np.pi * (1.0 + np.sqrt(5.0)) * k
    across = np.sqrt(1.0 - z**2)
    return np.stack([across * np.cos(angle), across * np.sin(angle), z], axis=1)


def _basis(direction: Array) -> Array:
    """Return two axes on the paper, and the one towards the viewer, as rows."""
    x = np.cross(np.eye(3)[np.argmin(np.abs(direction))], direction)
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(direction, x), direction])
