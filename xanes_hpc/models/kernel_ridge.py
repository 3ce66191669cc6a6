"""Kernel ridge regression, which is averaged with the networks.

The kernel is Laplacian, exp(-rate · mean_f |x_f - l_f|), between the standardised features of a site and of landmarks:
the training sites or a sample of them (Williams & Seeger's Nyström method, NIPS 13, 682 (2000)). The regression and the
networks make different errors, so their average is better than either.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xanes_hpc.models.calibration import smoothed
from xanes_hpc.models.feature_distance import mean_differences
from xanes_hpc.models.numpy_network import Sample
from xanes_hpc.models.scaling import Absorbers, Array, Scalers

ROWS_AT_ONCE = 1024
"""Number of sites whose kernel is in memory at a time."""
SHARPER = 8.0
"""How many times faster the weights of local errors fall off than the kernel."""


@dataclass(frozen=True)
class KernelRidge:
    """A fitted regression.

    Attributes
    ----------
    landmarks : (n_landmarks, n_features) float32
        Standardised features.
    absorbers : (n_landmarks,)
        Indices of the landmarks' elements and edges; the kernel with sites of any other is zero.
    coefficients : (n_landmarks, n_energies) float32
        Coefficients of the kernel, for scaled targets.
    rate
        Rate at which the kernel falls off.
    share
        Weight of the regression in the mean with the networks.
    scalers
        Scalers of features and targets.
    errors : (n_landmarks, n_energies) float32, or None
        Absolute error of each landmark's scaled target when the regression is fitted without the sites of its label.
    """

    landmarks: Array
    absorbers: npt.NDArray[np.integer]
    coefficients: Array
    rate: float
    share: float
    scalers: Scalers
    errors: Array | None = None

    def spectra(self, x: npt.NDArray[np.floating], absorbers: Absorbers) -> npt.NDArray[np.float64]:
        """Return spectra, (n_sites, n_energies), from features as stored; not negative if targets are positive."""
        spectra = np.empty((len(x), self.coefficients.shape[1]))
        for start in range(0, len(x), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            differences = mean_differences(self.scalers.features(x[rows]), self.landmarks)
            spectra[rows] = self.spectra_at(differences, absorbers[rows])
        return spectra

    def spectra_at(self, differences: Array, absorbers: Absorbers) -> npt.NDArray[np.float64]:
        """Return spectra, (n_sites, n_energies), from distances to the landmarks, (n_sites, n_landmarks)."""
        z = kernel(differences, absorbers, self.absorbers, self.rate) @ self.coefficients
        spectra = z * self.scalers.target_scale[absorbers] + self.scalers.target_mean[absorbers]
        return np.asarray(spectra if self.scalers.softness is None else np.maximum(spectra, 0.0))

    def joined(self, networks: Array, differences: Array, absorbers: Absorbers) -> npt.NDArray[np.floating]:
        """Return the weighted mean of networks' spectra, (…, n_sites, n_energies), and the regression's.

        Distances to the landmarks are (n_sites, n_landmarks).
        """
        return (1.0 - self.share) * networks + self.share * self.spectra_at(differences, absorbers)

    def averaged(
        self, drawn: Sample, differences: Array, absorbers: Absorbers, energies: npt.NDArray[np.float64]
    ) -> Sample:
        """Return the networks' draws averaged with the regression.

        The distance of the regression from the mean, smoothed over energies, adds to the spread of the draws: where the
        two kinds of model disagree, at least one is wrong.

        Parameters
        ----------
        drawn
            Draws of the networks.
        differences : (n_sites, n_landmarks)
            Distances to the landmarks.
        absorbers : (n_sites,)
        energies : (n_energies,), eV
        """
        spectra, rest = self.spectra_at(differences, absorbers), 1.0 - self.share
        mean = rest * drawn.mean + self.share * spectra
        apart = smoothed(np.abs(spectra - mean), energies)
        draws = drawn.draws
        if draws is not None:
            draws = (rest * draws + self.share * spectra[:, None]).astype(np.float32)
        return Sample(mean, rest * np.hypot(drawn.std, apart), draws)

    def local_errors(
        self, differences: Array, absorbers: Absorbers, energies: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64] | None:
        """Return the mean error at the landmarks near each site, (n_sites, n_energies), or None if errors are unknown.

        The mean is over landmarks of the same element and edge. Their weights fall off with the distance beyond the
        nearest one, ``SHARPER`` times as fast as the kernel. The result is smoothed over the energies, eV.
        """
        if self.errors is None:
            return None
        own = np.where(absorbers[:, None] == self.absorbers, differences, np.float32(np.inf))
        nearest = own.min(axis=1, initial=np.inf)[:, None]
        new = ~np.isfinite(nearest[:, 0])  # sites of an element and edge without landmarks: average over all of them
        own[new], nearest[new] = differences[new], differences[new].min(axis=1, initial=np.inf)[:, None]
        weights = np.exp(np.float32(-self.rate * SHARPER) * (own - nearest))
        weights /= weights.sum(axis=1, keepdims=True)
        return smoothed((weights @ self.errors) * self.scalers.target_scale[absorbers], energies)


def similarities(
    x: Array, absorbers: Absorbers, landmarks: Array, their_absorbers: Absorbers, rate: float
) -> npt.NDArray[np.float32]:
    """Return the kernel, (n_sites, n_landmarks), between the features of sites and landmarks, (…, n_features)."""
    return kernel(mean_differences(x, landmarks), absorbers, their_absorbers, rate)


def kernel(
    differences: Array, absorbers: Absorbers, their_absorbers: Absorbers, rate: float
) -> npt.NDArray[np.float32]:
    """Return the kernel at distances (n_sites, n_landmarks)."""
    found = differences * np.float32(-rate)
    np.exp(found, out=found)
    found *= absorbers[:, None] == their_absorbers
    return found
