"""How much the noise of a measured spectrum moves its normalisation, and with it every point at once.

Noise in the pre-edge window moves the line p(E), which is extrapolated to the edge; noise in the post-edge window moves
the curve q(E) above it. To first order the normalised spectrum y changes by

    -dp - y dq(E0)                below the edge, and where it is not flattened
    -dp - dq - (y - 1) dq(E0)     above it

with dp and dq in units of the edge step. The edge energy shifts the windows only, and is left out.
"""

import numpy as np
import numpy.typing as npt

from xanes_hpc.experiment.normalised import NormalisedSpectrum
from xanes_hpc.spectra.edge_step import window
from xanes_hpc.spectra.scatter import noise_level
from xanes_hpc.spectra.spectrum import Spectrum

Array = npt.NDArray[np.float64]
UNIT = 100.0
"""Unit of energy in the fits of the background, eV, so that their terms are of one size."""
SMALLEST = 1e-12
"""Variance added to those of the background, so that spectra without noise have a Cholesky factor."""


def point_noise(spectrum: Spectrum) -> Array:
    """Return the standard deviation of each point, (n_points,): the file's own, or the scatter about its neighbours."""
    if spectrum.sigma is not None:
        return spectrum.sigma
    return np.full(spectrum.energies.size, noise_level(spectrum.energies, spectrum.intensities))


def normalisation_errors(sample: NormalisedSpectrum, noise: Array | None = None) -> Array:
    """Return the independent errors of a normalisation, one standard deviation each, (n_terms, n_points).

    The covariance of two points of the normalised spectrum is the sum over the terms of their product. Without a
    normalisation there are no terms.

    Parameters
    ----------
    sample
        The measured spectrum, normalised.
    noise
        Standard deviations of its normalised points, (n_points,); by default as ``point_noise``.

    Examples
    --------
    >>> from xanes_hpc.experiment.normalised import normalised
    >>> energies, rng = np.arange(6950.0, 7500.0, 1.0), np.random.default_rng(0)
    >>> edge = np.arctan((energies - 7120.0) / 2.0) / np.pi + 0.5
    >>> made = [normalised(Spectrum(energies, edge + 0.01 * rng.standard_normal(550))) for _ in range(100)]
    >>> scatter = np.std([own.spectrum.intensities[165:175].mean() for own in made])
    >>> errors = np.linalg.norm(normalisation_errors(made[0])[:, 165:175].mean(axis=1))
    >>> bool(0.7 < np.hypot(errors, 0.01 / np.sqrt(10)) / scatter < 1.4)
    True
    """
    own, background = sample.spectrum, sample.background
    if background is None:
        return np.empty((0, own.energies.size))
    noise = point_noise(own) if noise is None else noise
    energies, windows = own.energies - sample.e0, background.windows
    before = window(own.source, "pre-edge window", energies, *windows.pre, 2)
    after = window(own.source, "post-edge window", energies, *windows.post, windows.order + 1)
    line, curve = (np.vander(energies / UNIT, n, increasing=True) for n in (2, windows.order + 1))
    of_line = np.linalg.pinv(line[before]) * noise[before]
    to_curve = np.linalg.pinv(curve[after])
    of_curve = to_curve * noise[after]
    moved = line @ _factor(of_line)
    pre = np.hstack([moved, np.zeros((energies.size, windows.order + 1))])
    at = np.hstack([-to_curve @ moved[after], _factor(of_curve)])
    y, above = own.intensities[:, None], (energies >= 0)[:, None] & sample.flattened
    errors = -pre - np.where(above, curve @ at + (y - 1.0) * at[0], y * at[0])
    return np.asarray(errors.T)


def interpolated(energies: Array, own: Array, errors: Array) -> Array:
    """Return errors (n_terms, n_points) at other energies than their ``own``, (n_terms, n_energies)."""
    return np.array([np.interp(energies, own, one) for one in errors]).reshape(len(errors), energies.size)


def _factor(rows: Array) -> Array:
    """Return a matrix L with the covariance L L^T of what rows make of independent noise."""
    covariance = rows @ rows.T
    return np.asarray(np.linalg.cholesky(covariance + SMALLEST * np.eye(len(covariance))))
