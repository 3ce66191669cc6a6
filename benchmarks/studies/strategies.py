"""Ways to choose the next sites, compared in simulated campaigns; ``coverage`` is that of the program."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import cholesky, solve_triangular

from xanes_hpc.prediction.select import cover

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
RIDGE = 1e-3
"""Added to the diagonal of the kernel."""
SHARPER = 8.0
"""How many times faster than the kernel the weights of local errors fall off."""
TARGETS = 1000
"""Largest number of sites over which the variance is summed."""


@dataclass(frozen=True)
class State:
    """What a strategy may use.

    Attributes
    ----------
    apart, whitened : (n_sites, n_sites)
        Distances in the features, and in their whitened principal components.
    known, free
        Sites with known spectra, and those to choose from.
    n
        Number of sites to choose.
    rate
        Rate of the kernel.
    error : (n_known,)
        Leave-one-out error of each known site over its mean intensity.
    rng
        Generator of random choices.
    """

    apart: npt.NDArray[np.float32]
    whitened: npt.NDArray[np.float32]
    known: Rows
    free: Rows
    n: int
    rate: float
    error: Floats
    rng: np.random.Generator

    @property
    def uncertainty(self) -> Floats:
        """Mean error of the known sites near each free one, as the model estimates it."""
        apart = self.apart[np.ix_(self.free, self.known)].astype(np.float64)
        weights = similarity(apart - apart.min(axis=1, keepdims=True), SHARPER * self.rate)
        return np.asarray(weights @ self.error / weights.sum(axis=1))

    def nearest(self, apart: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Distance of each free site to the nearest known one."""
        return np.asarray(apart[np.ix_(self.free, self.known)].min(axis=1))


def similarity(apart: npt.NDArray[np.floating], rate: float) -> Floats:
    """Return the kernel of the program's regression."""
    return np.asarray(np.exp(-rate * apart.astype(np.float64)))


def chance(state: State) -> Rows:
    return state.rng.choice(state.free.size, state.n, replace=False)


def coverage(state: State, apart: npt.NDArray[np.float32] | None = None) -> Rows:
    """The program's: lower the sum of the square roots of the distances to the nearest known site."""
    apart = state.apart if apart is None else apart
    between = apart[np.ix_(state.free, state.free)]
    return cover(lambda some: between[:, some], state.nearest(apart), state.free.size, state.n)[0]


def farthest(state: State, worth: Floats | None = None) -> Rows:
    """Take the site farthest from the known and chosen ones, or with the largest product of distance and worth."""
    nearest, chosen = state.nearest(state.apart).astype(np.float64), np.empty(state.n, np.int64)
    worth = np.ones(state.free.size) if worth is None else worth
    for k in range(state.n):
        score = worth * nearest
        score[chosen[:k]] = -1.0
        chosen[k] = np.argmax(score)
        nearest = np.minimum(nearest, state.apart[state.free, state.free[chosen[k]]])
    return chosen


def uncertain(state: State) -> Rows:
    """Take the sites with the largest local error times the spread of a Gaussian process."""
    variance = 1.0 - (_whitened_kernel(state, state.free) ** 2).sum(axis=0)
    return np.argsort(-state.uncertainty * np.sqrt(np.maximum(variance, 0.0)))[: state.n]


def integrated_variance(state: State) -> Rows:
    """Take the site that most lowers the sum of a Gaussian process's variance over a sample of the pool.

    After Cohn, doi:10.1016/0893-6080(95)00137-9; the covariance is updated by one rank for each site.
    """
    targets = state.rng.permutation(state.free)[:TARGETS]
    at_free = _whitened_kernel(state, state.free)
    covariance = similarity(state.apart[np.ix_(targets, state.free)], state.rate)
    covariance = (covariance - _whitened_kernel(state, targets).T @ at_free).astype(np.float32)
    variance, chosen = 1.0 - (at_free**2).sum(axis=0), np.empty(state.n, np.int64)
    factors = np.concatenate([at_free, np.zeros((state.n, state.free.size))])
    for k in range(state.n):
        score = (covariance**2).sum(axis=0) / (np.maximum(variance, 0.0) + RIDGE)
        score[chosen[:k]] = -1.0
        best = chosen[k] = np.argmax(score)
        own = similarity(state.apart[state.free[best], state.free], state.rate) - factors[:, best] @ factors
        own /= np.sqrt(max(variance[best], 0.0) + RIDGE)
        at_targets = covariance[:, best] / np.float32(np.sqrt(max(variance[best], 0.0) + RIDGE))
        covariance -= np.outer(at_targets, own.astype(np.float32))
        factors[len(at_free) + k] = own
        variance = variance - own**2
    return chosen


def _whitened_kernel(state: State, rows: Rows) -> Floats:
    """Return L⁻¹ k(known, rows), where L Lᵀ is the kernel of the known sites."""
    kernel = similarity(state.apart[np.ix_(state.known, state.known)], state.rate) + RIDGE * np.eye(state.known.size)
    root = cholesky(kernel, lower=True)
    return np.asarray(
        solve_triangular(root, similarity(state.apart[np.ix_(state.known, rows)], state.rate), lower=True)
    )


STRATEGIES: dict[str, Callable[[State], Rows]] = {
    "chance": chance,
    "coverage": coverage,
    "coverage, whitened": lambda state: coverage(state, state.whitened),
    "integrated variance": integrated_variance,
    "distance": farthest,
    "uncertainty": uncertain,
    "uncertainty × distance": lambda state: farthest(state, state.uncertainty),
}
