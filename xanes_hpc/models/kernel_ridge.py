"""Kernel ridge regression beside the networks: spectra from how near a site is to landmarks, in closed form.

The kernel is Laplacian, exp(-rate · mean_f |x_f - l_f|) between the standardised features of a site and of landmarks:
training sites, all of them or a sample (Williams & Seeger's Nyström method, NIPS 13, 682 (2000)). What it gets wrong is
something else than what networks get wrong, so that their average is better than either.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xanes_hpc.models.calibration import smoothed
from xanes_hpc.models.feature_distance import mean_differences
from xanes_hpc.models.numpy_network import Sample
from xanes_hpc.models.scaling import Absorbers, Array, Scalers

ROWS_AT_ONCE = 1024
"""Sites whose kernel is in memory at a time."""
SHARPER = 8.0
"""By what factor the weights of local errors fall off faster than the kernel."""


@dataclass(frozen=True)
class KernelRidge:
    """A fitted regression.

    Attributes
    ----------
    landmarks : (n_landmarks, n_features) float32
        Standardised features.
    absorbers : (n_landmarks,)
        Their elements and edges; sites of others have nothing in common with them.
    coefficients : (n_landmarks, n_energies) float32
        Of the kernel, for scaled targets.
    rate
        Of the kernel.
    share
        Of this regression in the mean with the networks.
    scalers
        Of features and targets.
    errors : (n_landmarks, n_energies) float32, or None
        How far off each landmark's scaled target is when the regression is fitted without those of its label.
    """

    landmarks: Array
    absorbers: npt.NDArray[np.integer]
    coefficients: Array
    rate: float
    share: float
    scalers: Scalers
    errors: Array | None = None

    def spectra(self, x: npt.NDArray[np.floating], absorbers: Absorbers) -> npt.NDArray[np.float64]:
        """Spectra, (n_sites, n_energies), from features as stored; none below zero where targets are positive."""
        spectra = np.empty((len(x), self.coefficients.shape[1]))
        for start in range(0, len(x), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            differences = mean_differences(self.scalers.features(x[rows]), self.landmarks)
            spectra[rows] = self.spectra_at(differences, absorbers[rows])
        return spectra

    def spectra_at(self, differences: Array, absorbers: Absorbers) -> npt.NDArray[np.float64]:
        """The same from ``mean_differences`` to the landmarks, (n_sites, n_landmarks)."""
        z = kernel(differences, absorbers, self.absorbers, self.rate) @ self.coefficients
        spectra = z * self.scalers.target_scale[absorbers] + self.scalers.target_mean[absorbers]
        return np.asarray(spectra if self.scalers.softness is None else np.maximum(spectra, 0.0))

    def averaged(
        self, drawn: Sample, differences: Array, absorbers: Absorbers, energies: npt.NDArray[np.float64]
    ) -> Sample:
        """The networks' draws with this regression's share in them, by ``differences`` as ``spectra_at`` takes them.

        How far the regression lies from the mean, smoothed over the energies (n_energies,) in eV, counts as spread
        beside that of the draws: where the two kinds of model disagree, at least one of them is wrong.
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
        """How wrong the regression is about the landmarks around sites, (n_sites, n_energies); None if it can't tell.

        A mean over landmarks of the same element and edge, with weights that fall off from the nearest on with
        ``differences`` (n_sites, n_landmarks) as the kernel does, but faster; smoothed over the energies in eV.
        """
        if self.errors is None:
            return None
        own = np.where(absorbers[:, None] == self.absorbers, differences, np.float32(np.inf))
        nearest = own.min(axis=1, initial=np.inf)[:, None]
        new = ~np.isfinite(nearest[:, 0])  # of an element and edge without landmarks
        own[new], nearest[new] = differences[new], differences[new].min(axis=1, initial=np.inf)[:, None]
        weights = np.exp(np.float32(-self.rate * SHARPER) * (own - nearest))
        weights /= weights.sum(axis=1, keepdims=True)
        return smoothed((weights @ self.errors) * self.scalers.target_scale[absorbers], energies)


def similarities(
    x: Array, absorbers: Absorbers, landmarks: Array, their_absorbers: Absorbers, rate: float
) -> npt.NDArray[np.float32]:
    """The kernel between sites (n_sites, n_features) and landmarks, (n_sites, n_landmarks)."""
    return kernel(mean_differences(x, landmarks), absorbers, their_absorbers, rate)


def kernel(
    differences: Array, absorbers: Absorbers, their_absorbers: Absorbers, rate: float
) -> npt.NDArray[np.float32]:
    """The kernel of ``mean_differences``, (n_sites, n_landmarks)."""
    found = differences * np.float32(-rate)
    np.exp(found, out=found)
    found *= absorbers[:, None] == their_absorbers
    return found
