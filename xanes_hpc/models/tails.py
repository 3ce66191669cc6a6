"""Fit Student's t to errors in sigmas: spectra that are hard to predict make its tails heavier than a Gaussian's."""

import math

import numpy as np
import numpy.typing as npt

from xanes_hpc.spectra.distribution import GAUSSIAN, Distribution

Array = npt.NDArray[np.float64]

FEWEST_DEGREES, MOST_DEGREES = 2.5, 100.0
"""Limits of the degrees of freedom; at the upper one the distribution is taken to be Gaussian."""
USUAL, SPREAD = 0.2, 0.08
"""Mean and standard deviation of the prior of 1 / degrees: that of Fe and Cu spectra is 0.18 to 0.22."""
MOST_VALUES = 20_000
"""Number of errors to fit to; of more, this many quantiles."""
N_ITERATIONS = 100
CONVERGED = 1e-6


def fit_tails(z: Array) -> tuple[Distribution, float]:
    """Return the most likely distribution of errors in sigmas, and the factor by which sigma is to be multiplied.

    The likelihood is that of a t distribution with a scale. As the errors of a site depend on each other, they count
    as fewer (``n_independent``), and a Gaussian prior of 1 / degrees decides where the sites are few. The factor makes
    sigma the standard deviation.

    Parameters
    ----------
    z : (n_sites, ...)
        Absolute errors in sigmas, not all zero.

    Examples
    --------
    >>> errors = np.abs(np.random.default_rng(0).standard_t(5.0, 20_000))
    >>> distribution, factor = fit_tails(errors)
    >>> round(distribution.degrees), round(factor, 2)
    (5, 1.29)
    """
    from scipy.optimize import minimize_scalar

    weight = n_independent(z)
    values = np.sort(z.ravel())
    if values.size > MOST_VALUES:
        values = values[np.linspace(0, values.size - 1, MOST_VALUES).round().astype(np.intp)]
    squares = np.square(values)

    def loss(inverse: float) -> float:
        return weight * _loss(squares, 1.0 / inverse) + 0.5 * ((inverse - USUAL) / SPREAD) ** 2

    found = minimize_scalar(loss, bounds=(1.0 / MOST_DEGREES, 1.0 / FEWEST_DEGREES), method="bounded")
    degrees = float(1.0 / found.x)
    if loss(1.0 / MOST_DEGREES) <= found.fun:
        return GAUSSIAN, math.sqrt(squares.mean())
    return Distribution(degrees), math.sqrt(_scale(squares, degrees) * degrees / (degrees - 2.0))


def n_independent(z: Array) -> float:
    """Return how many independent errors say as much as those of the sites, (n_sites, ...), do.

    This is their number over the design effect (Kish, Survey Sampling, 1965): the variance of the sites' means over
    that which means of independent errors would have. The variances are those of logarithms, which outliers change
    little.
    """
    sizes = np.log1p(np.square(z) / np.square(z).mean()).reshape(len(z), -1)
    expected = sizes.var() / sizes.shape[1]
    return float(z.size / max(1.0, sizes.mean(axis=1).var(ddof=1) / expected)) if expected > 0.0 else float(z.size)


def _loss(squares: Array, degrees: float) -> float:
    """Return the negative mean log likelihood at the most likely scale, up to a constant."""
    scale = _scale(squares, degrees)
    norm = math.lgamma(0.5 * (degrees + 1.0)) - math.lgamma(0.5 * degrees) - 0.5 * math.log(degrees * scale)
    return float(0.5 * (degrees + 1.0) * np.log1p(squares / (degrees * scale)).mean() - norm)


def _scale(squares: Array, degrees: float) -> float:
    """Return the square of the most likely scale, by expectation and maximisation."""
    scale = float(squares.mean())
    for _ in range(N_ITERATIONS):
        before = scale
        scale = float(np.mean((degrees + 1.0) * squares / (degrees + squares / scale)))
        if abs(scale - before) < CONVERGED * before:
            break
    return scale
