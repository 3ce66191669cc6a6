"""Fit the Gaussian process that runs beside the networks: learn its kernel, and choose its share in the mean."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from xanes_hpc.data.datasets import SiteSet, TrainingData, iterate
from xanes_hpc.descriptors.foreign import Foreign
from xanes_hpc.models.aligned import Aligned
from xanes_hpc.models.gaussian_process import ROWS_AT_ONCE, GaussianProcess, shares_in_words
from xanes_hpc.models.kernels import Kernel, Matern, coupling
from xanes_hpc.models.scaling import Absorbers, Array, Scalers
from xanes_hpc.models.training_sites import REFERENCE_SITES
from xanes_hpc.training.kernel_flow import NOISE, Sites, blocks_of, first_coupling, first_kernel, learn

MOST_VALIDATION_SITES = 10_000
"""Validation sites that the share is chosen on; a seeded sample if there are more."""
LENGTHS = (0.7, 2.0)
"""Initial length scales of the kernel's components."""
JITTER = 1e-4
"""Added to the diagonal of the landmarks' kernel before its Cholesky decomposition, against rounding errors."""
SHARES = np.linspace(0.0, 0.95, 20)
"""Shares to try. The networks always keep some weight, because the spread of their draws gives the uncertainty."""
ALIGNED_SHARES = np.linspace(0.0, 1.0, 21)
"""Shares of shift and shape in the process to try."""
SHARE = 0.5
"""Shares without a validation set, or folds, to choose them on."""

Networks = Callable[[SiteSet], npt.NDArray[np.float64]]
"""Returns the networks' spectra of a set, (n_sites, n_energies)."""


@dataclass(frozen=True)
class Choice:
    """What all fits of the process share.

    Attributes
    ----------
    kernel
        The kernel.
    share
        Share of the process in the mean with the networks.
    aligned
        Share of shift and shape in the spectra of the process; None if it has plain spectra alone.
    """

    kernel: Matern
    share: float
    aligned: float | None = None

    def __str__(self) -> str:
        return shares_in_words(self.share, self.aligned)

    def fit(self, data: TrainingData, sets: Sequence[str], scalers: Scalers, seed: int) -> GaussianProcess:
        """Fit the process to sets of the split, and compute its leave-group-out errors."""
        aligned = Aligned(data.first.targets.grid.energies, scalers, self.aligned) if self.aligned else None
        return fit(data.sites_in(*sets), scalers, self.kernel, self.share, seed, data.together, aligned)


def choose(
    data: TrainingData, sets: Sequence[str], scalers: Scalers, aligned: bool, seed: int,
    networks: Networks | None = None, share: float = SHARE, aligned_share: float | None = SHARE,
) -> Choice:  # fmt: skip
    """Learn the kernel from sets of the split, and choose the shares with the lowest validation errors.

    Parameters
    ----------
    data, sets, scalers
        The data, the sets, and the scalers fitted to them.
    aligned
        Whether the process learns shifts and shapes too.
    seed
        Seed of the samples of sites.
    networks
        Networks trained on the same sets.
    share, aligned_share
        Shares without networks.
    """
    parts = Aligned(data.first.targets.grid.energies, scalers, SHARE) if aligned else None
    kernel = learn_kernel(data, sets, scalers, seed, parts)
    if networks is None:
        return Choice(kernel, share, aligned_share if aligned else None)
    return choose_shares(data, sets, scalers, networks, kernel, seed, parts)


def learn_kernel(
    data: TrainingData, sets: Sequence[str], scalers: Scalers, seed: int, aligned: Aligned | None = None
) -> Matern:
    """Return the kernel that predicts held-out formulas best, learned from sets of the split.

    A seeded sample of ``REFERENCE_SITES`` is used if they have more. The seed also draws the sites to hold out.
    """
    sampled = data.sites_in(*sets).sample(REFERENCE_SITES, seed)
    z, absorbers, targets = (np.concatenate(arrays) for arrays in zip(*_scaled(sampled, scalers, aligned), strict=True))
    _, groups = np.unique(data.together[sampled.chosen], return_inverse=True)
    offsets = scalers.feature_mean / scalers.feature_scale if scalers.transform == "sqrt" else None
    first = first_kernel(z, LENGTHS, offsets, first_coupling(data.seen))
    described, labels = data.first.features.description, data.first.features.labels
    n_foreign = described["features"] if described["name"] == Foreign.name else 0
    return learn(Sites(z, targets, absorbers, groups), blocks_of(labels, n_foreign), first, seed)


def choose_shares(
    data: TrainingData, sets: Sequence[str], scalers: Scalers, networks: Networks, kernel: Matern, seed: int,
    aligned: Aligned | None = None,
) -> Choice:  # fmt: skip
    """Return the shares that give the lowest validation errors of the process, then of its mean with the networks."""
    sampled = data.sites_in("validation").sample(MOST_VALIDATION_SITES, seed)
    x, absorbers, y = (np.concatenate(arrays) for arrays in zip(*iterate(sampled), strict=True))
    process = fit(data.sites_in(*sets), scalers, kernel, SHARE, seed, aligned=aligned)
    if aligned is None:
        return Choice(kernel, best_share(y, networks(sampled), process.spectra(x, absorbers))[0])
    plain, moved = (
        replace(process, aligned=replace(aligned, share=share)).spectra(x, absorbers) for share in (0.0, 1.0)
    )
    own = best_share(y, plain, moved, ALIGNED_SHARES)[0]
    return Choice(kernel, best_share(y, networks(sampled), (1.0 - own) * plain + own * moved)[0], own)


def fit(
    sites: SiteSet, scalers: Scalers, kernel: Kernel, share: float, seed: int,
    together: npt.NDArray[np.str_] | None = None, aligned: Aligned | None = None, n_landmarks: int = REFERENCE_SITES,
) -> GaussianProcess:  # fmt: skip
    """Fit the process to a set. Landmarks are all of its sites, or a sample of ``n_landmarks``.

    If all sites are landmarks, the coefficients solve (K + noise) c = y. Otherwise, with the landmarks' kernel
    K = C C^T and features P = K_SL C^-T of all sites, they are c = C^-T (P^T P + noise)^-1 P^T y.

    With ``together``, a label for every site of the sources, the landmarks' leave-group-out errors are computed too.
    For the landmarks of a label L they are exactly (I - H)_LL^-1 times the residuals, where the hat matrix H maps given
    to fitted spectra (Allen, doi:10.1080/00401706.1974.10489157). With ``aligned``, shifts and shapes are further
    columns of y, and the errors are those of the spectra averaged from all columns.
    """
    from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular

    landmarks, residuals = sites.sample(n_landmarks, seed), None
    columns = zip(*_scaled(landmarks, scalers, aligned), strict=True)
    x, absorbers, y = (np.concatenate(arrays) for arrays in columns)

    def values(some: Array, own: Absorbers) -> npt.NDArray[np.float64]:
        return (kernel.values(kernel.terms(some, x)) * coupling(kernel, own, absorbers)).astype(np.float64)

    matrix = values(x, absorbers)
    if landmarks.n_sites == sites.n_sites:
        matrix[np.diag_indices_from(matrix)] += NOISE
        factor = cho_factor(matrix, overwrite_a=True)
        coefficients = cho_solve(factor, y.astype(np.float64))
        if together is not None:  # I - H is noise * inverse and the residuals are noise * coefficients: noise cancels
            inverse = cho_solve(factor, np.eye(len(x)), overwrite_b=True)
            residuals = _left_out(coefficients, inverse, together[landmarks.chosen])
    else:
        matrix[np.diag_indices_from(matrix)] += JITTER
        root = cholesky(matrix, lower=True, overwrite_a=True)
        matrix, right = NOISE * np.eye(len(x)), np.zeros((len(x), y.shape[1]))
        for some, own, targets in _scaled(sites, scalers, aligned):
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
            residuals = _left_out(y - root @ solution, rest, together[landmarks.chosen])
    if residuals is not None and aligned is not None:
        residuals = y[:, : aligned.energies.size] - aligned.joined(y - residuals, absorbers)
    errors = None if residuals is None else np.abs(residuals).astype(np.float32)
    return GaussianProcess(
        x, absorbers.astype(np.int32), coefficients.astype(np.float32), kernel, share, scalers, errors, aligned
    )


def _left_out(
    residuals: npt.NDArray[np.float64], rest: npt.NDArray[np.float64], labels: npt.NDArray[np.str_]
) -> npt.NDArray[np.float64]:
    """Return landmarks' leave-label-out residuals, from those of the fit and I - H, or one multiple of both."""
    _, groups, counts = np.unique(labels, return_inverse=True, return_counts=True)
    found = residuals / np.diag(rest)[:, None]
    for group in np.flatnonzero(counts > 1):
        rows = np.flatnonzero(groups == group)
        found[rows] = np.linalg.solve(rest[np.ix_(rows, rows)], residuals[rows])
    return found


def _scaled(sites: SiteSet, scalers: Scalers, aligned: Aligned | None) -> Iterator[tuple[Array, Absorbers, Array]]:
    columns = scalers.targets if aligned is None else aligned.columns
    for x, absorbers, y in iterate(sites):
        yield scalers.features(x), absorbers, columns(y, absorbers)


def best_share(
    reference: npt.NDArray[np.floating], first: npt.NDArray[np.floating], second: npt.NDArray[np.floating],
    shares: npt.NDArray[np.float64] = SHARES,
) -> tuple[float, float]:  # fmt: skip
    """Return the share of the second spectra in the mean that gives the lowest mean error %, and that error.

    The first three arguments are (n_sites, n_energies); ``shares`` are those to try.
    """
    there = np.abs(reference).sum(axis=1) > 0
    y, a, b = reference[there], second[there], first[there]
    level = np.abs(y).sum(axis=1)
    errors = [
        float(np.mean(100.0 * np.abs(share * a + (1.0 - share) * b - y).sum(axis=1) / level)) if there.any() else 0.0
        for share in shares
    ]
    best = int(np.argmin(errors))
    return float(shares[best]), errors[best]
