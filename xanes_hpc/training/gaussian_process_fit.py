"""Fit the Gaussian process that runs beside the networks: learn its kernel, and choose its share in the mean."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from xanes_hpc.data.datasets import SiteSet, TrainingData, iterate
from xanes_hpc.models.gaussian_process import ROWS_AT_ONCE, GaussianProcess, masked
from xanes_hpc.models.kernels import Kernel, Matern
from xanes_hpc.models.scaling import Absorbers, Array, Scalers
from xanes_hpc.models.training_sites import REFERENCE_SITES
from xanes_hpc.training.kernel_flow import NOISE, Sites, blocks_of, first_kernel, learn

MOST_VALIDATION_SITES = 10_000
"""Validation sites that the share is chosen on; a seeded sample if there are more."""
LENGTHS = (0.7, 2.0)
"""Initial length scales of the kernel's components."""
JITTER = 1e-4
"""Added to the diagonal of the landmarks' kernel before its Cholesky decomposition, against rounding errors."""
SHARES = np.linspace(0.0, 0.8, 17)
"""Shares to try. The networks always keep some weight, because the spread of their draws gives the uncertainty."""
SHARE = 0.5
"""Share without a validation set to choose it on."""


def learn_kernel(data: TrainingData, sets: Sequence[str], scalers: Scalers, seed: int) -> Matern:
    """Return the kernel that predicts held-out formulas best, learned from sets of the split.

    A seeded sample of ``REFERENCE_SITES`` is used if they have more. The seed also draws the sites to hold out.
    """
    sampled = data.sites_in(*sets).sample(REFERENCE_SITES, seed)
    z, absorbers, targets = (np.concatenate(arrays) for arrays in zip(*_scaled(sampled, scalers), strict=True))
    _, groups = np.unique(data.together[sampled.chosen], return_inverse=True)
    offsets = scalers.feature_mean / scalers.feature_scale if scalers.transform == "sqrt" else None
    first = first_kernel(z, LENGTHS, offsets)
    return learn(Sites(z, targets, absorbers, groups), blocks_of(data.first.features.labels), first, seed)


def choose_share(
    data: TrainingData,
    sets: Sequence[str],
    scalers: Scalers,
    networks: Callable[[SiteSet], npt.NDArray[np.float64]],
    kernel: Kernel,
    seed: int,
) -> float:
    """Return the share that gives the lowest validation error of the mean with networks trained on the same sets.

    ``networks`` returns their spectra of a set, (n_sites, n_energies).
    """
    sampled = data.sites_in("validation").sample(MOST_VALIDATION_SITES, seed)
    x, absorbers, y = (np.concatenate(arrays) for arrays in zip(*iterate(sampled), strict=True))
    process = fit(data.sites_in(*sets), scalers, kernel, SHARE, seed)
    return best_share(y, networks(sampled), process.spectra(x, absorbers))[0]


def fit(
    sites: SiteSet, scalers: Scalers, kernel: Kernel, share: float, seed: int,
    together: npt.NDArray[np.str_] | None = None,
) -> GaussianProcess:  # fmt: skip
    """Fit the process to a set. Landmarks are all of its sites, or a sample of ``REFERENCE_SITES``.

    If all sites are landmarks, the coefficients solve (K + noise) c = y. Otherwise, with the landmarks' kernel
    K = C C^T and features P = K_SL C^-T of all sites, they are c = C^-T (P^T P + noise)^-1 P^T y.

    With ``together``, a label for every site of the sources, the landmarks' leave-group-out errors are computed too.
    For the landmarks of a label L they are exactly (I - H)_LL^-1 times the residuals, where the hat matrix H maps given
    to fitted spectra (Allen, doi:10.1080/00401706.1974.10489157).
    """
    from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular

    landmarks, errors = sites.sample(REFERENCE_SITES, seed), None
    columns = zip(*_scaled(landmarks, scalers), strict=True)
    x, absorbers, y = (np.concatenate(arrays) for arrays in columns)

    def values(some: Array, own: Absorbers) -> npt.NDArray[np.float64]:
        return masked(kernel.values(kernel.terms(some, x)), own, absorbers).astype(np.float64)

    matrix = values(x, absorbers)
    if landmarks.n_sites == sites.n_sites:
        matrix[np.diag_indices_from(matrix)] += NOISE
        factor = cho_factor(matrix, overwrite_a=True)
        coefficients = cho_solve(factor, y.astype(np.float64))
        if together is not None:  # I - H is noise * inverse and the residuals are noise * coefficients: noise cancels
            inverse = cho_solve(factor, np.eye(len(x)), overwrite_b=True)
            errors = _left_out(coefficients, inverse, together[landmarks.chosen])
    else:
        matrix[np.diag_indices_from(matrix)] += JITTER
        root = cholesky(matrix, lower=True, overwrite_a=True)
        matrix, right = NOISE * np.eye(len(x)), np.zeros((len(x), y.shape[1]))
        for some, own, targets in _scaled(sites, scalers):
            for start in range(0, len(some), ROWS_AT_ONCE):
                rows = slice(start, start + ROWS_AT_ONCE)
                whitened = solve_triangular(root, values(some[rows], own[rows]).T, lower=True, overwrite_b=True)
                matrix += whitened @ whitened.T
                right += whitened @ targets[rows]
        factor = cho_factor(matrix, overwrite_a=True)
        solution = cho_solve(factor, right)
        coefficients = solve_triangular(root, solution, lower=True, trans="T")
        if together is not None:
            rest = np.eye(len(x)) - root @ cho_solve(factor, root.T)
            errors = _left_out(y - root @ solution, rest, together[landmarks.chosen])
    return GaussianProcess(
        x, absorbers.astype(np.int32), coefficients.astype(np.float32), kernel, share, scalers, errors
    )


def _left_out(
    residuals: npt.NDArray[np.float64], rest: npt.NDArray[np.float64], labels: npt.NDArray[np.str_]
) -> npt.NDArray[np.float32]:
    """Return landmarks' absolute leave-label-out errors, from the residuals and I - H, or one multiple of both."""
    _, groups, counts = np.unique(labels, return_inverse=True, return_counts=True)
    errors = residuals / np.diag(rest)[:, None]
    for group in np.flatnonzero(counts > 1):
        rows = np.flatnonzero(groups == group)
        errors[rows] = np.linalg.solve(rest[np.ix_(rows, rows)], residuals[rows])
    return np.abs(errors).astype(np.float32)


def _scaled(sites: SiteSet, scalers: Scalers) -> Iterator[tuple[Array, Absorbers, Array]]:
    for x, absorbers, y in iterate(sites):
        yield scalers.features(x), absorbers, scalers.targets(y, absorbers)


def best_share(
    reference: npt.NDArray[np.floating], networks: npt.NDArray[np.floating], regression: npt.NDArray[np.floating]
) -> tuple[float, float]:
    """Return the regression's share in the mean that gives the lowest mean error %, and that error.

    All arguments are (n_sites, n_energies).
    """
    there = np.abs(reference).sum(axis=1) > 0
    y, a, b = reference[there], regression[there], networks[there]
    level = np.abs(y).sum(axis=1)
    errors = [
        float(np.mean(100.0 * np.abs(share * a + (1.0 - share) * b - y).sum(axis=1) / level)) if there.any() else 0.0
        for share in SHARES
    ]
    best = int(np.argmin(errors))
    return float(SHARES[best]), errors[best]
