"""The noise of a measured spectrum in a comparison: its own standard deviations, and what is assumed besides."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

ASSUMED, ROUNDING = 0.01, 1e-4
"""Noise assumed of a spectrum without standard deviations, and what is added to those of others, as fractions."""


@dataclass(frozen=True)
class Noise:
    """The noise of a measured spectrum.

    Attributes
    ----------
    y : (n_energies,)
        The measured spectrum.
    sigma : (n_energies,)
        Its standard deviations; None if its file has none.
    given
        Noise that is to be assumed, as a fraction of a prediction's largest value; None for the default.
    scaled
        Whether a factor brings the spectrum to each prediction.
    """

    y: Array
    sigma: Array | None
    given: float | None
    scaled: bool

    @property
    def fraction(self) -> float:
        """What is assumed, as a fraction of a prediction's largest value."""
        return self.given or (ASSUMED if self.sigma is None else ROUNDING)

    def variance(self, mean: Array, std: Array | None) -> Array:
        """Return the variance of the difference between predictions and the measured spectrum, (…, n_energies)."""
        noise = np.square(self.fraction * np.abs(mean).max(axis=-1, keepdims=True))
        noise = np.where(noise > 0, noise, 1.0)
        if self.sigma is not None:
            size = float(self.y @ self.y) if self.scaled else 0.0
            factor = np.square(mean).sum(axis=-1, keepdims=True) / size if size else 1.0
            noise = noise + factor * np.square(self.sigma)
        return np.asarray(noise + (np.zeros_like(mean) if std is None else np.square(std)))

    @property
    def level(self) -> int | None:
        """The size of the standard deviations in steps of a factor of 1.6; None without any."""
        return None if self.sigma is None else round(2.0 * float(np.log(self._relative(self.sigma))))

    @property
    def in_words(self) -> str:
        """The noise as a phrase."""
        assumed = f"{100 * self.fraction:.3g} % of a prediction's largest value"
        if self.sigma is None:
            return f"{assumed}, assumed"
        more = f", and {assumed}" if self.given else ""
        return f"σ from the file, median {100 * self._relative(self.sigma):.2g} % of the largest value{more}"

    def _relative(self, sigma: Array) -> float:
        """Return the median standard deviation over the spectrum's largest value."""
        size = float(np.abs(self.y).max())
        return max(float(np.median(sigma)) / size, ROUNDING) if size else ROUNDING
