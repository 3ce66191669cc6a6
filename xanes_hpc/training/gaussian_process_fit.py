"""Fit the Gaussian process that runs beside the networks, and choose its kernel and its share in the mean."""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from xanes_hpc.data.datasets import SiteSet, iterate
from xanes_hpc.models.gaussian_process import ROWS_AT_ONCE, GaussianProcess, masked
from xanes_hpc.models.kernels import Kernel, Laplacian
from xanes_hpc.models.scaling import Absorbers, Array, Scalers
from xanes_hpc.models.training_sites import REFERENCE_SITES

MOST_VALIDATION_SITES = 10_000
"""Validation sites that the rate and the share are chosen on; a seeded sample if there are more."""
NOISE = 1e-3
"""Variance of the noise, added to the diagonal of the kernel. Its amplitude is relative to it."""
JITTER = 1e-5
"""Added to the diagonal of the landmarks' kernel before its Cholesky decomposition, against rounding errors."""
RATES = (0.7, 1.4, 2.8)
"""Rates to try."""
SHARES = np.linspace(0.0, 0.8, 17)
"""Shares to try. The networks always keep some weight, because the spread of their draws gives the uncertainty."""
KERNEL, SHARE = Laplacian(1.4), 0.5
"""Kernel and share without a validation set to choose them on."""


def choose(
    sites: SiteSet,
    validation: SiteSet,
    scalers: Scalers,
    networks: Callable[[npt.NDArray[np.floating], Absorbers], npt.NDArray[np.float64]],
    seed: int,
) -> tuple[Kernel, float]:
    """Return the kernel and the share that give the lowest validation error when averaged with the networks' spectra.

    The rate of the kernel is chosen with landmarks only.
    """
    sampled = iterate(validation.sample(MOST_VALIDATION_SITES, seed))
    x, absorbers, y = (np.concatenate(arrays) for arrays in zip(*sampled, strict=True))
    found = networks(x, absorbers)

    def best(some: SiteSet, kernel: Kernel) -> tuple[float, float]:
        return best_share(y, found, fit(some, scalers, kernel, SHARE, seed).spectra(x, absorbers))

    landmarks = sites.sample(REFERENCE_SITES, seed)
    tried = {rate: best(landmarks, Laplacian(rate)) for rate in RATES}
    rate = min(tried, key=lambda r: tried[r][1])
    share = best(sites, Laplacian(rate))[0] if sites.n_sites > REFERENCE_SITES else tried[rate][0]
    return Laplacian(rate), share


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
