"""Fit a Gaussian process with a given kernel to sites."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from xanes_hpc.data.datasets import SiteSet, TrainingData, iterate
from xanes_hpc.models.aligned import Aligned
from xanes_hpc.models.gaussian_process import ROWS_AT_ONCE, GaussianProcess
from xanes_hpc.models.kernels import Kernel, coupling
from xanes_hpc.models.scaling import Absorbers, Array, Scalers
from xanes_hpc.models.training_sites import REFERENCE_SITES
from xanes_hpc.training.kernel_flow import NOISE

JITTER = 1e-4
"""Added to the diagonal of the landmarks' kernel before its Cholesky decomposition, against rounding errors."""


@dataclass(frozen=True)
class Observations:
    """Sites with spectra that a process is fitted to.

    Attributes
    ----------
    sites
        The sites.
    scalers
        Scalers of features and targets.
    seed
        Seed of the samples of sites.
    aligned
        How shifts and shapes are found, if the process has them too.
    together : (n_all_sites,), or None
        A label for every site of the sources; sites of one label are left out together. Without labels, a process has
        no leave-group-out errors.
    """

    sites: SiteSet
    scalers: Scalers
    seed: int = 0
    aligned: Aligned | None = None
    together: npt.NDArray[np.str_] | None = None

    @classmethod
    def of(
        cls, data: TrainingData, sets: Sequence[str], scalers: Scalers, seed: int, aligned: float | None
    ) -> "Observations":
        """Return the sites of sets of the split, with their labels; ``aligned`` is the share of shift and shape."""
        parts = Aligned(data.first.targets.grid.energies, scalers, aligned) if aligned else None
        return cls(data.sites_in(*sets), scalers, seed, parts, data.together)

    def sample(self, most: int) -> "Observations":
        """Return the same, or a seeded sample of ``most`` sites if there are more."""
        return replace(self, sites=self.sites.sample(most, self.seed))

    @property
    def labels(self) -> npt.NDArray[np.str_] | None:
        """The sites' labels, (n_sites,)."""
        return None if self.together is None else self.together[self.sites.chosen]

    def chunks(self) -> Iterator[tuple[Array, Absorbers, Array]]:
        """Yield standardised features, absorbers and the columns to fit, chunk by chunk."""
        columns = self.scalers.targets if self.aligned is None else self.aligned.columns
        for x, absorbers, y in iterate(self.sites):
            yield self.scalers.features(x), absorbers, columns(y, absorbers)

    def arrays(self) -> tuple[Array, Absorbers, Array]:
        """Return the features, absorbers and columns of all sites."""
        x, absorbers, y = (np.concatenate(arrays) for arrays in zip(*self.chunks(), strict=True))
        return x, absorbers, y


@dataclass(frozen=True)
class Solved:
    """The solution of a regression, for any share of the process, and of shift and shape in it.

    Attributes
    ----------
    kernel, scalers
        The kernel, and the scalers of features and targets.
    x, absorbers, y
        Standardised features, absorbers and columns of the fitted landmarks.
    coefficients : (n_landmarks, n_columns)
        Coefficients of the landmarks.
    residuals : (n_landmarks, n_columns), or None
        Leave-group-out residuals.
    """

    kernel: Kernel
    scalers: Scalers
    x: Array
    absorbers: Absorbers
    y: Array
    coefficients: npt.NDArray[np.float64]
    residuals: npt.NDArray[np.float64] | None

    def of_spectra(self, aligned: Aligned | None) -> Array | None:
        """Return the leave-group-out residuals of scaled spectra, (n_landmarks, n_energies)."""
        if self.residuals is None:
            return None
        residuals = self.residuals[:, : self._n_energies]
        if aligned is not None:
            left_out = aligned.joined(self.y - self.residuals, self.absorbers)
            residuals = self.y[:, : self._n_energies] - left_out
        return residuals.astype(np.float32)

    @property
    def _n_energies(self) -> int:
        return int(self.scalers.target_mean.shape[1])

    def process(self, share: float, aligned: Aligned | None) -> GaussianProcess:
        """Return the process with a share in the mean with the networks; without shifts if ``aligned`` is None."""
        residuals = self.of_spectra(aligned)
        errors = None if residuals is None else np.abs(residuals)
        coefficients = self.coefficients if aligned is not None else self.coefficients[:, : self._n_energies]
        return GaussianProcess(
            self.x, self.absorbers.astype(np.int32), coefficients.astype(np.float32), self.kernel, share, self.scalers,
            errors, aligned, residuals,
        )  # fmt: skip


def solve(seen: Observations, kernel: Kernel, n_landmarks: int = REFERENCE_SITES) -> Solved:
    """Solve the regression of a set. Landmarks are all of its sites, or a sample of ``n_landmarks``.

    If all sites are landmarks, the coefficients solve (K + noise) c = y. Otherwise, with the landmarks' kernel
    K = C C^T and features P = K_SL C^-T of all sites, they are c = C^-T (P^T P + noise)^-1 P^T y.

    If sites have labels, the landmarks' leave-group-out errors are computed too. For the landmarks of a label L they
    are exactly (I - H)_LL^-1 times the residuals, where the hat matrix H maps given to fitted spectra (Allen,
    doi:10.1080/00401706.1974.10489157). Shifts and shapes are further columns of y.
    """
    from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular
    from scipy.linalg.lapack import dpotri

    landmarks, residuals = seen.sample(n_landmarks), None
    x, absorbers, y = landmarks.arrays()

    def values(some: Array, own: Absorbers) -> npt.NDArray[np.float64]:
        return (kernel.values(kernel.terms(some, x)) * coupling(kernel, own, absorbers)).astype(np.float64)

    matrix = values(x, absorbers)
    if landmarks.sites.n_sites == seen.sites.n_sites:
        matrix[np.diag_indices_from(matrix)] += NOISE
        factor = cho_factor(matrix, overwrite_a=True)
        coefficients = cho_solve(factor, y.astype(np.float64))
        if landmarks.labels is not None:  # I - H is noise * inverse, the residuals are noise * coefficients
            inverse, _ = dpotri(*factor, overwrite_c=True)
            residuals = left_out(coefficients, inverse, landmarks.labels)
    else:
        matrix[np.diag_indices_from(matrix)] += JITTER
        root = cholesky(matrix, lower=True, overwrite_a=True)
        matrix, right = NOISE * np.eye(len(x)), np.zeros((len(x), y.shape[1]))
        for some, own, targets in seen.chunks():
            for start in range(0, len(some), ROWS_AT_ONCE):
                rows = slice(start, start + ROWS_AT_ONCE)
                whitened = solve_triangular(root, values(some[rows], own[rows]).T, lower=True, overwrite_b=True)
                matrix += whitened @ whitened.T
                right += whitened @ targets[rows]
        factor = cho_factor(matrix, overwrite_a=True)
        solution = cho_solve(factor, right)
        coefficients = solve_triangular(root, solution, lower=True, trans="T")
        if landmarks.labels is not None:
            rest = np.eye(len(x)) - root @ cho_solve(factor, root.T)
            residuals = left_out(y - root @ solution, rest, landmarks.labels)
    return Solved(kernel, seen.scalers, x, absorbers, y, coefficients, residuals)


def left_out(
    residuals: npt.NDArray[np.float64], rest: npt.NDArray[np.float64], labels: npt.NDArray[np.str_]
) -> npt.NDArray[np.float64]:
    """Return landmarks' leave-label-out residuals, from those of the fit and I - H, or one multiple of both.

    Only the upper triangle of the symmetric matrix ``rest`` is read.
    """
    from scipy.linalg import solve

    _, groups, counts = np.unique(labels, return_inverse=True, return_counts=True)
    found = residuals / np.diag(rest)[:, None]
    for group in np.flatnonzero(counts > 1):
        rows = np.flatnonzero(groups == group)
        found[rows] = solve(rest[np.ix_(rows, rows)], residuals[rows], assume_a="sym")
    return found
