"""Gaussian process regression, which is averaged with the networks.

The mean of the process at a site is a sum over landmarks: the training sites or a sample of them (Williams & Seeger's
Nyström method, NIPS 13, 682 (2000)). The regression and the networks make different errors, so their average is better
than either.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from xanes_hpc.models.aligned import Aligned
from xanes_hpc.models.calibration import smoothed
from xanes_hpc.models.kernels import Columns, Kernel, Matern, coupling, same_absorber
from xanes_hpc.models.landmarks import Landmarks
from xanes_hpc.models.numpy_network import Sample
from xanes_hpc.models.scaling import Absorbers, Array, Scalers

ROWS_AT_ONCE = 1024
"""Number of sites whose kernel is in memory at a time."""
PREPARED_FROM = 32
"""Number of sites at a time from which landmarks are prepared, which takes as long as some hundred comparisons."""
SHARPER = 8.0
"""How many times faster the weights of local errors fall off than the kernel."""


@dataclass(frozen=True)
class AtSites:
    """A process at sites: spectra, (n_sites, n_energies), and the remoteness of landmarks, (n_sites, n_landmarks)."""

    spectra: npt.NDArray[np.float64]
    remoteness: Array


@dataclass(frozen=True)
class GaussianProcess:
    """A fitted regression.

    Attributes
    ----------
    landmarks : (n_landmarks, n_features) float32
        Standardised features.
    absorbers : (n_landmarks,)
        Indices of the landmarks' elements and edges.
    coefficients : (n_landmarks, n_energies) or (n_landmarks, aligned.n_columns) float32
        Coefficients of the kernel, for scaled targets.
    kernel
        The kernel between standardised features.
    share
        Weight of the regression in the mean with the networks.
    scalers
        Scalers of features and targets.
    errors : (n_landmarks, n_energies) float32, or None
        Absolute error of each landmark's scaled target when the regression is fitted without the sites of its label.
    aligned
        How shifts and shapes are averaged with plain spectra; None for plain spectra alone.
    residuals : (n_fitted, n_energies) float32, or None
        Of a process that was just fitted: scaled targets of its sites, the last landmarks, minus the spectra predicted
        without the sites of their labels. They are not stored.
    """

    landmarks: Array
    absorbers: npt.NDArray[np.integer]
    coefficients: Array
    kernel: Kernel
    share: float
    scalers: Scalers
    errors: Array | None = None
    aligned: Aligned | None = None
    residuals: Array | None = None

    def __str__(self) -> str:
        return shares_in_words(self.share, None if self.aligned is None else self.aligned.share)

    def terms(self, x: npt.NDArray[np.floating], columns: Columns | None = None) -> Array:
        """Return the kernel's terms, (n_terms, n_sites, n_landmarks), from features as stored."""
        return self.kernel.terms(self.scalers.features(x), self.landmarks, columns)

    def spectra(self, x: npt.NDArray[np.floating], absorbers: Absorbers) -> npt.NDArray[np.float64]:
        """Return spectra, (n_sites, n_energies), from features as stored; not negative if targets are positive."""
        spectra = np.empty((len(x), self.scalers.target_mean.shape[1]))
        for start in range(0, len(x), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            spectra[rows] = self.at(x[rows], absorbers[rows]).spectra
        return spectra

    def at(self, x: npt.NDArray[np.floating], absorbers: Absorbers) -> AtSites:
        """Return the process at sites, from features as stored."""
        if self._prepared is None or len(x) < PREPARED_FROM:
            terms = self.terms(x)
            return AtSites(self.spectra_at(terms, absorbers), self.kernel.remoteness(terms))
        columns, remote = self._prepared.columns(self.scalers.features(x), absorbers)
        return AtSites(self._spectra_of(columns, absorbers), remote)

    @cached_property
    def _prepared(self) -> Landmarks | None:
        if not isinstance(self.kernel, Matern):
            return None
        return Landmarks(self.kernel, self.landmarks, self.absorbers, self.coefficients)

    def spectra_at(self, terms: Array, absorbers: Absorbers) -> npt.NDArray[np.float64]:
        """Return spectra, (n_sites, n_energies), from the kernel's terms, (n_terms, n_sites, n_landmarks)."""
        return self._spectra_of(self.similarities(terms, absorbers) @ self.coefficients, absorbers)

    def _spectra_of(self, columns: Array, absorbers: Absorbers) -> npt.NDArray[np.float64]:
        z: npt.NDArray[np.floating] = columns
        if self.aligned is not None:
            z = self.aligned.joined(z, absorbers)
        spectra = z * self.scalers.target_scale[absorbers] + self.scalers.target_mean[absorbers]
        return np.asarray(spectra if self.scalers.softness is None else np.maximum(spectra, 0.0))

    def similarities(self, terms: Array, absorbers: Absorbers) -> Array:
        """Return the coupled kernel, (n_sites, n_landmarks), from its terms, (n_terms, n_sites, n_landmarks)."""
        found = self.kernel.values(terms)
        found *= coupling(self.kernel, absorbers, self.absorbers)
        return found

    def nearest(self, x: npt.NDArray[np.floating], remoteness: Array) -> npt.NDArray[np.float64]:
        """Return the kernel distance of sites to their nearest landmark, (n_sites,); only for a Matérn kernel.

        It is that of the kernel's largest component, √3 d: its similarity of two sites is (1 + √3 d) exp(-√3 d).
        Features are as stored; the landmarks' remoteness is (n_sites, n_landmarks).
        """
        assert isinstance(self.kernel, Matern)
        marks = self.landmarks[remoteness.argmin(axis=1)]
        return self.kernel.distances(self.scalers.features(x), marks)

    def joined(self, networks: Array, terms: Array, absorbers: Absorbers) -> npt.NDArray[np.floating]:
        """Return the weighted mean of networks' spectra, (…, n_sites, n_energies), and the regression's.

        The kernel's terms are (n_terms, n_sites, n_landmarks).
        """
        return (1.0 - self.share) * networks + self.share * self.spectra_at(terms, absorbers)

    def averaged(self, drawn: Sample, spectra: npt.NDArray[np.float64], energies: npt.NDArray[np.float64]) -> Sample:
        """Return the networks' draws averaged with the regression.

        The distance of the regression from the mean, smoothed over energies, adds to the spread of the draws: where the
        two kinds of model disagree, at least one is wrong.

        Parameters
        ----------
        drawn
            Draws of the networks.
        spectra : (n_sites, n_energies)
            Spectra of the regression.
        energies : (n_energies,), eV
        """
        rest = 1.0 - self.share
        mean = rest * drawn.mean + self.share * spectra
        apart = smoothed(np.abs(spectra - mean), energies)
        draws = drawn.draws
        if draws is not None:
            draws = (rest * draws + self.share * spectra[:, None]).astype(np.float32)
        return Sample(mean, rest * np.hypot(drawn.std, apart), draws)

    def local_errors(
        self, remoteness: Array, absorbers: Absorbers, energies: npt.NDArray[np.float64],
        left_out: npt.NDArray[np.bool_] | None = None,
    ) -> npt.NDArray[np.float64] | None:  # fmt: skip
        """Return the mean error at the landmarks near each site, (n_sites, n_energies), or None if errors are unknown.

        The mean is over landmarks of the same element and edge. Their weights fall off with the distance beyond the
        nearest one, ``SHARPER`` times as fast as the kernel. The result is smoothed over the energies, eV.
        Remoteness is (n_sites, n_landmarks), and so are landmarks that are left out, which do not count.
        """
        if self.errors is None:
            return None
        remote = remoteness if left_out is None else np.where(left_out, np.float32(np.inf), remoteness)
        own = np.where(same_absorber(self.kernel, absorbers, self.absorbers), remote, np.float32(np.inf))
        nearest = own.min(axis=1, initial=np.inf)[:, None]
        new = ~np.isfinite(nearest[:, 0])  # sites of an element and edge without landmarks: average over all of them
        own[new], nearest[new] = remote[new], remote[new].min(axis=1, initial=np.inf)[:, None]
        weights = np.exp(np.float32(-SHARPER) * (own - nearest))
        weights /= weights.sum(axis=1, keepdims=True)
        return smoothed((weights @ self.errors) * self.scalers.target_scale[absorbers], energies)


def shares_in_words(share: float, aligned: float | None) -> str:
    """Return the shares of the regression in the mean, and of shift and shape in the regression, for users."""
    return f"share {share:.2f}" + ("" if aligned is None else f", {aligned:.2f} of it by shift and shape")
