"""Average the spectra of scans on one grid, with the standard error of the mean and the scatter of the scans.

With w_j the weights of n scans, which add up to 1, and r_j the residual of scan j after a factor and a line bring it
to the mean m:

    m = sum w_j y_j,   error² = sum w_j r_j² / (n - 1),   scatter² = n error²

The factor and the line take out the drift of the beam and of the detectors, which no longer matter once a spectrum is
normalised. Of few scans, errors are averaged over neighbouring points, because a scatter of two or three numbers says
little.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

FREEDOM = 20
"""Degrees of freedom from which each standard error is found: scans but one, times neighbouring points."""


@dataclass(frozen=True)
class Average:
    """The mean of scans.

    Attributes
    ----------
    mean, error, scatter : (n_points,)
        The mean, its standard error, and the standard deviation of one scan. The last two are NaN for a single scan.
    residuals : (n_scans, n_points)
        Residual of each scan beside the mean, on the mean's scale.
    factors : (n_scans,)
        Scale of each scan over that of the mean.
    pooled
        Number of neighbouring points over which errors are averaged.
    """

    mean: Array
    error: Array
    scatter: Array
    residuals: Array
    factors: Array
    pooled: int


def average(energies: Array, values: Array, weights: Array, kept: Array) -> Average:
    """Average scans.

    Parameters
    ----------
    energies, values
        The grid, (n_points,), and the scans on it, (n_scans, n_points).
    weights
        Weight of each scan, (n_scans,).
    kept
        Fraction of each scan's variance that interpolation to the grid left, (n_scans, n_points).

    Examples
    --------
    >>> energies, rng = np.linspace(7000.0, 7300.0, 301), np.random.default_rng(0)
    >>> scans = np.arctan((energies - 7112.0) / 3.0) + 0.01 * rng.standard_normal((9, 301))
    >>> found = average(energies, scans, np.ones(9), np.ones_like(scans))
    >>> round(float(np.sqrt(np.mean(found.scatter**2))), 3), round(float(np.sqrt(np.mean(found.error**2))), 4)
    (0.01, 0.0033)
    """
    weights = weights / weights.sum()
    mean = weights @ values
    n_scans, n_points = values.shape
    if n_scans == 1:
        nothing = np.full(n_points, np.nan)
        return Average(mean, nothing, nothing, np.zeros_like(values), np.ones(1), 1)
    fitted = [_residual(energies, scan, mean) for scan in values]
    residuals, factors = np.stack([one for one, _ in fitted]), np.array([factor for _, factor in fitted])
    variance = weights @ (np.square(residuals) / kept) / (n_scans - 1)
    half = int(np.ceil((FREEDOM / (n_scans - 1) - 1) / 2)) if n_scans <= FREEDOM else 0
    half = min(half, (n_points - 1) // 2)
    error = np.sqrt(_pooled(variance, half))
    return Average(mean, error, error * np.sqrt(n_scans), residuals, factors, 2 * half + 1)


def _residual(energies: Array, scan: Array, mean: Array) -> tuple[Array, float]:
    """Return a scan less the mean, after a factor and a line that bring it to the mean, and the factor."""
    x = (energies - energies.mean()) / np.ptp(energies)
    terms = np.stack([mean, np.ones_like(x), x], axis=1)
    factor, offset, slope = np.linalg.lstsq(terms, scan, rcond=None)[0]
    if not factor > 0:  # unlike the mean
        return np.asarray(scan - mean), 1.0
    return np.asarray((scan - offset - slope * x) / factor - mean), float(factor)


def _pooled(variance: Array, half: int) -> Array:
    """Return the mean of each variance and its neighbours, as many on either side; fewer at the ends."""
    total = np.concatenate([[0.0], np.cumsum(variance)])
    at = np.arange(variance.size)
    low, high = np.maximum(at - half, 0), np.minimum(at + half + 1, variance.size)
    return np.asarray((total[high] - total[low]) / (high - low))


def beside_the_others(residuals: Array, weights: Array) -> tuple[Array, Array]:
    """Return how much larger a scan's residual is beside the mean of the others, and over their scatter.

    Parameters
    ----------
    residuals
        Residuals of the scans beside the mean of all, (n_scans, n_energies).
    weights
        Their weights, which add up to 1.

    Returns
    -------
    tuple
        Factors, (n_scans,), and ratios, which are 1 on average for scans that differ by noise; 0 for fewer than three.

    Examples
    --------
    >>> noise = np.random.default_rng(0).standard_normal((4, 1000))
    >>> factors, ratios = beside_the_others(noise - noise.mean(axis=0), np.full(4, 0.25))
    >>> factors.round(2).tolist(), bool(np.abs(ratios - 1.0).max() < 0.1)
    ([1.33, 1.33, 1.33, 1.33], True)
    """
    n, others = len(residuals), 1.0 - weights
    factors = 1.0 / np.where(others > 0, others, 1.0)
    ratios = np.zeros(n)
    for k in range(n if n > 2 else 0):
        rest = np.delete(residuals, k, axis=0) + weights[k] * factors[k] * residuals[k]
        scatter = np.sqrt(np.square(rest).sum() / ((n - 2) * residuals.shape[1]))
        own = factors[k] * np.sqrt(np.mean(np.square(residuals[k])) / (1.0 + 1.0 / (n - 1)))
        ratios[k] = own / scatter if scatter > 0 else np.inf if own > 0 else 0.0
    return factors, ratios


def shared_by_most(starts: Array, stops: Array) -> tuple[float, float]:
    """Return the range for which the number of scans that cover it, times its length, is largest.

    Parameters
    ----------
    starts, stops
        First and last energy of each scan, (n_scans,), eV.

    Examples
    --------
    >>> shared_by_most(np.array([6960.0, 6960.3, 6960.0]), np.array([7800.0, 7799.0, 7100.0]))
    (6960.3, 7799.0)
    """
    best = 0.0, float(starts[0]), float(stops[0])
    for start in np.unique(starts).tolist():
        ends = np.sort(stops[starts <= start])
        gains = (ends.size - np.arange(ends.size)) * (ends - start)
        k = int(np.argmax(gains))
        best = max(best, (float(gains[k]), start, float(ends[k])))
    return best[1:]
