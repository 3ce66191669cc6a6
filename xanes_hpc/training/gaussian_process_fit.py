"""Fit a Gaussian process with a given kernel to sites."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xanes_hpc.data.datasets import SiteSet, iterate
from xanes_hpc.models.aligned import Aligned
from xanes_hpc.models.gaussian_process import ROWS_AT_ONCE, GaussianProcess
from xanes_hpc.models.kernels import Kernel, coupling
from xanes_hpc.models.scaling import Absorbers, Array, Scalers
from xanes_hpc.models.training_sites import REFERENCE_SITES
from xanes_hpc.training.kernel_flow import NOISE

JITTER = 1e-4
"""Added to the diagonal of the landmarks' kernel before its Cholesky decomposition, against rounding errors."""


@dataclass(frozen=True)
class Solved:
    """The solution of a regression, for any share of shift and shape.

    Attributes
    ----------
    x, absorbers, y
        Standardised features, absorbers and columns of the fitted landmarks.
    coefficients : (n_landmarks, n_columns)
        Coefficients of the landmarks.
    residuals : (n_landmarks, n_columns), or None
        Leave-group-out residuals.
    """

    x: Array
    absorbers: Absorbers
    y: Array
    coefficients: npt.NDArray[np.float64]
    residuals: npt.NDArray[np.float64] | None

    def of_spectra(self, aligned: Aligned | None) -> Array | None:
        """Return the leave-group-out residuals of scaled spectra, (n_landmarks, n_energies)."""
        residuals = self.residuals
        if residuals is not None and aligned is not None:
            residuals = self.y[:, : aligned.energies.size] - aligned.joined(self.y - residuals, self.absorbers)
        return None if residuals is None else residuals.astype(np.float32)

    def process(self, kernel: Kernel, share: float, scalers: Scalers, aligned: Aligned | None) -> GaussianProcess:
        """Return the process."""
        residuals = self.of_spectra(aligned)
        errors = None if residuals is None else np.abs(residuals)
        return GaussianProcess(
            self.x, self.absorbers.astype(np.int32), self.coefficients.astype(np.float32), kernel, share, scalers,
            errors, aligned, residuals,
        )  # fmt: skip


def fit(
    sites: SiteSet, scalers: Scalers, kernel: Kernel, share: float, seed: int,
    together: npt.NDArray[np.str_] | None = None, aligned: Aligned | None = None, n_landmarks: int = REFERENCE_SITES,
) -> GaussianProcess:  # fmt: skip
    """Fit the process to a set, as ``solve`` explains."""
    solved = solve(sites, scalers, kernel, seed, together, aligned, n_landmarks)
    return solved.process(kernel, share, scalers, aligned)


def solve(
    sites: SiteSet, scalers: Scalers, kernel: Kernel, seed: int, together: npt.NDArray[np.str_] | None = None,
    aligned: Aligned | None = None, n_landmarks: int = REFERENCE_SITES,
) -> Solved:  # fmt: skip
    """Solve the regression of a set. Landmarks are all of its sites, or a sample of ``n_landmarks``.

    If all sites are landmarks, the coefficients solve (K + noise) c = y. Otherwise, with the landmarks' kernel
    K = C C^T and features P = K_SL C^-T of all sites, they are c = C^-T (P^T P + noise)^-1 P^T y.

    With ``together``, a label for every site of the sources, the landmarks' leave-group-out errors are computed too.
    For the landmarks of a label L they are exactly (I - H)_LL^-1 times the residuals, where the hat matrix H maps given
    to fitted spectra (Allen, doi:10.1080/00401706.1974.10489157). With ``aligned``, shifts and shapes are further
    columns of y.
    """
    from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular

    landmarks, residuals = sites.sample(n_landmarks, seed), None
    columns = zip(*scaled(landmarks, scalers, aligned), strict=True)
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
            residuals = left_out(coefficients, inverse, together[landmarks.chosen])
    else:
        matrix[np.diag_indices_from(matrix)] += JITTER
        root = cholesky(matrix, lower=True, overwrite_a=True)
        matrix, right = NOISE * np.eye(len(x)), np.zeros((len(x), y.shape[1]))
        for some, own, targets in scaled(sites, scalers, aligned):
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
            residuals = left_out(y - root @ solution, rest, together[landmarks.chosen])
    return Solved(x, absorbers, y, coefficients, residuals)


def left_out(
    residuals: npt.NDArray[np.float64], rest: npt.NDArray[np.float64], labels: npt.NDArray[np.str_]
) -> npt.NDArray[np.float64]:
    """Return landmarks' leave-label-out residuals, from those of the fit and I - H, or one multiple of both."""
    _, groups, counts = np.unique(labels, return_inverse=True, return_counts=True)
    found = residuals / np.diag(rest)[:, None]
    for group in np.flatnonzero(counts > 1):
        rows = np.flatnonzero(groups == group)
        found[rows] = np.linalg.solve(rest[np.ix_(rows, rows)], residuals[rows])
    return found


def scaled(sites: SiteSet, scalers: Scalers, aligned: Aligned | None) -> Iterator[tuple[Array, Absorbers, Array]]:
    """Yield standardised features, absorbers and the columns to fit, in chunks."""
    columns = scalers.targets if aligned is None else aligned.columns
    for x, absorbers, y in iterate(sites):
        yield scalers.features(x), absorbers, columns(y, absorbers)
