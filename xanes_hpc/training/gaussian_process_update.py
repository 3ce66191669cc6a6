"""Update the Gaussian process of a trained model with sites whose spectra are of another kind.

The process of the trained model, moved among the new spectra, is that of its landmarks with pseudo-targets
(K_LL + noise) c, where c are its coefficients. A process of these and of the new sites has

    S = K_NN - K_NL A^-1 K_LN + noise,   A = K_LL + noise,   d = S^-1 (y - K_NL c),   c' = c - A^-1 K_LN d,          (1)

with the coefficients c' of the landmarks and d of the new sites: the posterior of the first is the prior of the second
(Rasmussen & Williams, Gaussian Processes for Machine Learning, section 2.2, and the inverse of a block matrix).
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from xanes_hpc.models.aligned import Aligned
from xanes_hpc.models.gaussian_process import GaussianProcess
from xanes_hpc.models.kernels import Matern, coupling
from xanes_hpc.models.scaling import Absorbers, Array
from xanes_hpc.models.training_sites import REFERENCE_SITES
from xanes_hpc.training.gaussian_process_fit import Observations, Solved, left_out
from xanes_hpc.training.kernel_flow import NOISE

DISCREPANCIES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Discrepancies from an earlier process to try: factors of the kernel's own variance."""
MOST_DISCREPANT = 1000
"""Sites that the discrepancy is chosen on; a seeded sample if there are more."""


@dataclass(frozen=True)
class Earlier:
    """The process of a trained model, moved among the spectra of a new one.

    Attributes
    ----------
    landmarks, absorbers, coefficients, errors
        As those of ``GaussianProcess``, for the new scalers of targets. The absorbers follow on those of the new model.
    kernel
        The kernel between sites of all these absorbers.
    share, aligned
        The shares of the process in the trained model, and of shift and shape in the process, if it has them.
    """

    landmarks: Array
    absorbers: npt.NDArray[np.integer]
    coefficients: Array
    errors: Array | None
    kernel: Matern
    share: float
    aligned: float | None

    def discrepant(self, discrepancy: float) -> Matern:
        """Return the kernel with a discrepancy between the new spectra and the moved ones.

        New spectra are those of the trained model, plus a discrepancy with the same kernel times a factor (Kennedy &
        O'Hagan, doi:10.1093/biomet/87.1.1). So the kernel between new sites is larger by this factor.
        """
        assert self.kernel.coupling is not None
        coupled, n_new = self.kernel.coupling.copy(), int(self.absorbers.min())
        coupled[:n_new, :n_new] *= 1.0 + discrepancy
        return replace(self.kernel, coupling=coupled)


@dataclass(frozen=True)
class Updated(Solved):
    """The solution of an update. Landmarks of the process are the earlier ones, with their errors, then the new sites.

    The coefficients are those of all these landmarks, the other arrays those of the new sites.
    """

    earlier: Earlier

    def process(self, share: float, aligned: Aligned | None) -> GaussianProcess:
        """Return the process with a share in the mean with the networks."""
        own, earlier = super().process(share, aligned), self.earlier
        errors, theirs = own.errors, earlier.errors
        if errors is not None:
            if theirs is None:
                theirs = np.broadcast_to(errors.mean(axis=0), (len(earlier.landmarks), errors.shape[1]))
            errors = np.concatenate([theirs, errors])
        return replace(
            own, landmarks=np.concatenate([earlier.landmarks, own.landmarks]),
            absorbers=np.concatenate([earlier.absorbers, own.absorbers]).astype(np.int32), errors=errors,
        )  # fmt: skip


def kernel_of_update(seen: Observations, earlier: Earlier) -> Matern:
    """Return the kernel with the discrepancy whose leave-group-out errors are lowest for new sites with labels."""
    sampled = seen.sample(MOST_DISCREPANT)
    labels, n = sampled.labels, seen.scalers.target_mean.shape[1]
    joint = _Joint(sampled, earlier, earlier.kernel)
    assert labels is not None

    def error(discrepancy: float) -> float:
        inverse = np.linalg.inv(joint.matrix + discrepancy * joint.own)
        residuals = left_out(inverse @ joint.residuals[:, :n], inverse, labels)
        return float(np.abs(residuals).mean())

    return earlier.discrepant(min(DISCREPANCIES, key=error))


def update(seen: Observations, earlier: Earlier, kernel: Matern) -> Updated:
    """Solve equation (1) for new sites, a sample if there are more than ``REFERENCE_SITES``.

    The kernel is that between the sites of all absorbers, new and earlier. If the new sites have labels, their
    leave-group-out residuals are computed too.
    """
    seen = seen.sample(REFERENCE_SITES)
    joint = _Joint(seen, earlier, kernel)
    inverse = np.linalg.inv(joint.matrix)
    own = inverse @ joint.residuals
    coefficients = np.concatenate([joint.coefficients - joint.weights @ own, own])
    residuals = None if seen.labels is None else left_out(own, inverse, seen.labels)
    return Updated(kernel, seen.scalers, joint.x, joint.absorbers, joint.y, coefficients, residuals, earlier)


class _Joint:
    """The matrices of equation (1).

    Attributes
    ----------
    x, absorbers, y
        Standardised features, absorbers and columns of the new sites.
    coefficients : (n_landmarks, n_columns)
        c.
    weights : (n_landmarks, n_sites)
        A^-1 K_LN.
    own, matrix : (n_sites, n_sites)
        K_NN, and S.
    residuals : (n_sites, n_columns)
        y - K_NL c.
    """

    def __init__(self, seen: Observations, earlier: Earlier, kernel: Matern) -> None:
        from scipy.linalg import cho_factor, cho_solve

        self.x, self.absorbers, self.y = seen.arrays()
        landmarks, theirs = earlier.landmarks, earlier.absorbers

        def values(x: Array, absorbers: Absorbers, others: Array, of_others: Absorbers) -> npt.NDArray[np.float64]:
            return (kernel.between(x, others) * coupling(kernel, absorbers, of_others)).astype(np.float64)

        matrix = values(landmarks, theirs, landmarks, theirs)
        matrix[np.diag_indices_from(matrix)] += NOISE
        cross = values(self.x, self.absorbers, landmarks, theirs)
        self.own = values(self.x, self.absorbers, self.x, self.absorbers)
        self.coefficients = earlier.coefficients[:, : self.y.shape[1]].astype(np.float64)
        self.weights = cho_solve(cho_factor(matrix, overwrite_a=True), cross.T)
        self.matrix = self.own - cross @ self.weights
        self.matrix[np.diag_indices_from(self.matrix)] += NOISE
        self.residuals = self.y - cross @ self.coefficients
