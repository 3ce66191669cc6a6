"""Non-negative least squares for many right-hand sides and few columns, from inner products alone.

The solution of min |y - P a|², a >= 0, is the ordinary solution on its own support. With few columns every support is
tried, and of those whose solution is not negative the one with the smallest residual is taken.
"""

from itertools import combinations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
SMALLEST = 1e-9
"""Fraction of a column's squared norm: what it adds to others below it is rounding."""


def fit_each(gram: Array, towards: Array) -> Array:
    """Return the coefficients of every problem.

    Parameters
    ----------
    gram
        Inner products of the columns, (…, k, k).
    towards
        Inner products of the columns with the right-hand sides, (…, n, k).

    Returns
    -------
    coefficients : (…, n, k)

    Examples
    --------
    >>> fit_each(np.eye(2), np.array([[3.0, 1.0], [3.0, -1.0]])).round(6).tolist()
    [[3.0, 1.0], [3.0, 0.0]]
    """
    k = gram.shape[-1]
    best = np.zeros(towards.shape)
    most = np.zeros(towards.shape[:-1])
    for support in (list(own) for size in range(1, k + 1) for own in combinations(range(k), size)):
        part = gram[..., support, :][..., support]
        scale = np.sqrt(np.maximum(np.diagonal(part, axis1=-2, axis2=-1), 1e-300))
        scaled = part / (scale[..., :, None] * scale[..., None, :]) + SMALLEST * np.eye(len(support))
        right = towards[..., support] / scale[..., None, :]
        own = np.linalg.solve(scaled, right.swapaxes(-1, -2)).swapaxes(-1, -2)
        gain = np.where((own >= 0).all(axis=-1), (own * right).sum(axis=-1), 0.0)
        better = gain > most
        most = np.where(better, gain, most)
        full = np.zeros(towards.shape)
        full[..., support] = own / scale[..., None, :]
        best = np.where(better[..., None], full, best)
    return best


def gains_with(gram: Array, towards: Array, across: Array, size: Array, along: Array) -> Array:
    """Return how much of the squared norms is explained by given columns and each of many candidates.

    Parameters
    ----------
    gram, towards
        Inner products of the k given columns, (k, k), and with the right-hand sides, (k, n).
    across, size
        Inner products of the candidates with the given columns, (m, k), and with themselves, (m,).
    along
        Inner products of the candidates with the right-hand sides, (m, n).

    Returns
    -------
    gains : (m,)
        Sums over the right-hand sides of the reduction of the squared residual, with coefficients that are not
        negative.
    """
    k = len(gram)
    gram = gram + SMALLEST * np.diag(np.maximum(np.diag(gram), 1e-300))  # equal columns would make it singular
    best = np.where(along > 0, np.square(along) / size[:, None], 0.0)
    for support in (list(own) for n in range(1, k + 1) for own in combinations(range(k), n)):
        inverse = np.linalg.inv(gram[np.ix_(support, support)])
        alone = inverse @ towards[support]
        gain = np.where((alone >= 0).all(axis=0), (alone * towards[support]).sum(axis=0), 0.0)
        np.maximum(best, gain, out=best)
        shadow = across[:, support] @ inverse
        left = size - (shadow * across[:, support]).sum(axis=1)
        some = left > SMALLEST * size
        last = (along - shadow @ towards[support]) / np.where(some, left, np.inf)[:, None]
        feasible = (last > 0) & some[:, None]
        for own, row in enumerate(alone):
            feasible &= row >= shadow[:, own, None] * last
        base = (alone * towards[support]).sum(axis=0)
        both = base + last * (along - shadow @ towards[support])
        np.maximum(best, np.where(feasible, both, 0.0), out=best)
    return np.asarray(best.sum(axis=1))
