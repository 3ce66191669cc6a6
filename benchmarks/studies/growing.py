"""A training set that grows by selection, with kernel ridge regression alone, so that a campaign takes seconds."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from studies.strategies import RIDGE, STRATEGIES, Floats, Rows, State, similarity
from xanes_hpc.analysis.evaluate import error_percent
from xanes_hpc.models.distances import mean_differences
from xanes_hpc.models.scaling import CLIP, signed_root

TEST = 0.2
"""Fraction of all sites, in whole groups, that are tested on and never chosen."""
HARD = 0.1
"""Fraction of test sites with the largest errors of the first model."""
RATES = (0.7, 1.4, 2.8)
"""Rates of the kernel to try."""
NEAR = 0.015
"""Sites nearer than this, or with the same formula, belong to the same group."""
WHITENED = 20
"""Principal components of the whitened features."""


@dataclass(frozen=True)
class Sites:
    """Sites with known spectra: features apart (n_sites, n_sites), spectra (n_sites, n_energies), groups (n_sites,)."""

    apart: npt.NDArray[np.float32]
    whitened: npt.NDArray[np.float32]
    spectra: Floats
    groups: Rows

    @classmethod
    def described(cls, x: npt.NDArray[np.floating], spectra: npt.NDArray[np.floating], formulas: list[str]) -> "Sites":
        """Compute distances and groups; features are standardised over all sites, which needs no spectrum."""
        root = signed_root(x.astype(np.float64))
        scale = root.std(axis=0)
        z = np.clip((root - root.mean(axis=0)) / np.where(scale > 0, scale, 1.0), -CLIP, CLIP)
        apart = mean_differences(z.astype(np.float32), z.astype(np.float32))
        return cls(apart, _whitened(z), spectra.astype(np.float64), _groups(apart, formulas))

    def divided(self, seed: int) -> tuple[Rows, Rows]:
        """Return test sites, and all others in random order."""
        rng = np.random.default_rng(seed)
        order = rng.permutation(self.groups.max() + 1)
        sizes = np.cumsum(np.bincount(self.groups)[order])
        tested = np.isin(self.groups, order[: np.searchsorted(sizes, TEST * self.groups.size) + 1])
        return np.flatnonzero(tested), rng.permutation(np.flatnonzero(~tested))


@dataclass(frozen=True)
class Grown:
    """A finished campaign.

    Attributes
    ----------
    figures
        Mean error, median error and mean error of the hardest tenth, in %, at every size.
    hard
        Indices of the hardest tenth among the test sites.
    chosen
        The sites chosen in the end.
    """

    figures: dict[str, list[float]]
    hard: Rows
    chosen: Rows


def figures_of(errors: Floats, hard: Rows) -> dict[str, float]:
    """Return mean and median of errors, and the mean over the hardest tenth."""
    return {"error": float(errors.mean()), "median": float(np.median(errors)), "hard": float(errors[hard].mean())}


def grown(sites: Sites, strategy: str, seed: int, sizes: tuple[int, ...]) -> Grown:
    """Add sites by a strategy, and measure errors on the test sites at every size."""
    test, pool = sites.divided(seed)
    known, rows, hard = pool[: sizes[0]], [], np.empty(0, np.int64)
    for k, size in enumerate(sizes):
        rate, coefficients, left_out = _fit(sites, known)
        mean = sites.spectra[known].mean(axis=0)
        predicted = similarity(sites.apart[np.ix_(test, known)], rate) @ coefficients + mean
        errors = error_percent(sites.spectra[test], np.maximum(predicted, 0.0))
        hard = hard if k else np.argsort(-errors)[: max(1, round(HARD * errors.size))]
        rows.append(figures_of(errors, hard))
        if k + 1 < len(sizes):
            free = np.setdiff1d(pool, known)
            error = np.abs(left_out).mean(axis=1) / sites.spectra[known].mean(axis=1)
            rng = np.random.default_rng([seed, k])
            state = State(sites.apart, sites.whitened, known, free, sizes[k + 1] - size, rate, error, rng)
            known = np.concatenate([known, free[STRATEGIES[strategy](state)]])
    return Grown({name: [row[name] for row in rows] for name in rows[0]}, hard, known)


def _fit(sites: Sites, known: Rows) -> tuple[float, Floats, Floats]:
    """Fit the regression; return the rate with the lowest leave-one-out error, coefficients, and these errors."""
    best, lowest = None, np.inf
    y = sites.spectra[known] - sites.spectra[known].mean(axis=0)
    for rate in RATES:
        kernel = similarity(sites.apart[np.ix_(known, known)], rate) + RIDGE * np.eye(known.size)
        factor = cho_factor(kernel, overwrite_a=True)
        coefficients = cho_solve(factor, y)
        left_out = coefficients / np.diag(cho_solve(factor, np.eye(known.size)))[:, None]
        if (error := float(np.abs(left_out).mean())) < lowest:
            best, lowest = (rate, coefficients, left_out), error
    assert best is not None
    return best


def _groups(apart: npt.NDArray[np.float32], formulas: list[str]) -> Rows:
    """Join near-duplicates and sites of one formula."""
    first, second = np.nonzero(apart < NEAR)
    _, index, formula = np.unique(formulas, return_index=True, return_inverse=True)
    first, second = np.r_[first, np.arange(len(formulas))], np.r_[second, index[formula]]
    joined = coo_array((np.ones(first.size), (first, second)), shape=apart.shape)
    groups: Rows = connected_components(joined.tocsr(), directed=False)[1].astype(np.int64)
    return groups


def _whitened(z: Floats) -> npt.NDArray[np.float32]:
    """Return Euclidean distances in whitened principal components."""
    values, vectors = np.linalg.eigh(np.cov(z.T))
    w = (z @ vectors[:, -WHITENED:]) / np.sqrt(np.maximum(values[-WHITENED:], 1e-12))
    squares = (w**2).sum(axis=1)
    return np.sqrt(np.maximum(squares[:, None] + squares - 2.0 * w @ w.T, 0.0)).astype(np.float32)
