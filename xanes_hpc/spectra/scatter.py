"""How far the points of a spectrum scatter about the curve through their neighbours."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

TO_SIGMA = 1.4826
"""Standard deviation of normally distributed values whose median absolute value is 1."""


def deviations(x: Array, y: Array) -> Array:
    """Return how far each point lies from the cubic through its four neighbours, divided so that noise keeps its size.

    Parameters
    ----------
    x, y
        Five or more points, x ascending, (n_points,).
    """
    n = x.size
    first = np.clip(np.arange(n) - 2, 0, n - 5)
    others = first[:, None] + np.arange(5)
    others = others[others != np.arange(n)[:, None]].reshape(n, 4)
    weights = np.ones((n, 4))
    for j in range(4):  # Lagrange's polynomials
        for k in range(4):
            if j != k:
                weights[:, j] *= (x - x[others[:, k]]) / (x[others[:, j]] - x[others[:, k]])
    return np.asarray((y - (weights * y[others]).sum(axis=1)) / np.sqrt(1.0 + np.square(weights).sum(axis=1)))


def noise_level(x: Array, y: Array) -> float:
    """Return the standard deviation of a spectrum's noise.

    Examples
    --------
    >>> x = np.linspace(0.0, 10.0, 2001)
    >>> round(noise_level(x, np.sin(x) + 0.01 * np.random.default_rng(0).standard_normal(x.size)), 3)
    0.01
    """
    return TO_SIGMA * float(np.median(np.abs(deviations(x, y))))
