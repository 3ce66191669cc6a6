"""The distribution of a spectrum's errors about its prediction: Gaussian, or Student's t, which has heavier tails."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

LEVELS = (0.6827, 0.9, 0.9545, 0.9973)
"""Nominal coverage of the intervals of predictions."""


@dataclass(frozen=True)
class Distribution:
    """Student's t with mean 0 and standard deviation 1.

    All values are in standard deviations σ of the prediction.

    Attributes
    ----------
    degrees
        Degrees of freedom, above 2; infinite for a Gaussian.

    Examples
    --------
    >>> [round(Distribution().half_width(level), 3) for level in LEVELS]
    [1.0, 1.645, 2.0, 3.0]
    >>> [round(Distribution(5.0).half_width(level), 3) for level in LEVELS]
    [0.86, 1.561, 2.052, 4.266]
    """

    degrees: float = math.inf

    @classmethod
    def of(cls, degrees: float | None) -> Self:
        """Return the distribution whose degrees of freedom a file gives; None stands for a Gaussian."""
        return cls() if degrees is None else cls(float(degrees))

    @property
    def value(self) -> float | None:
        """The degrees of freedom as files have them."""
        return None if self._gaussian else self.degrees

    @property
    def name(self) -> str:
        """``gaussian`` or ``student-t``."""
        return "gaussian" if self._gaussian else "student-t"

    def half_width(self, level: float) -> float:
        """Return half the width of the central interval with this coverage."""
        return float(self.quantiles(np.array([0.5 + level / 2.0]))[0])

    def quantiles(self, levels: Array) -> Array:
        """Return quantiles at levels between 0 and 1."""
        from scipy.special import ndtri, stdtrit

        return np.asarray(ndtri(levels) if self._gaussian else self._scale * stdtrit(self.degrees, levels))

    def below(self, z: Array) -> Array:
        """Return the probability of a value below each z."""
        from scipy.special import ndtr, stdtr

        return np.asarray(ndtr(z) if self._gaussian else stdtr(self.degrees, z / self._scale))

    def crps(self, z: Array) -> Array:
        """Return the continuous ranked probability score, in σ, of the prediction for errors z.

        With scale s, u = z / s, density f, distribution F and degrees ν, it is s [u (2 F(u) - 1) + 2 f(u) (ν + u²) /
        (ν - 1) - 2 √ν B(1/2, ν - 1/2) / ((ν - 1) B(1/2, ν/2)²)] (Jordan, Krüger & Lerch, doi:10.18637/jss.v090.i12).
        """
        from scipy.special import beta

        inside = z * (2.0 * self.below(z) - 1.0)
        if self._gaussian:
            return np.asarray(inside + 2.0 * np.exp(-0.5 * z**2) / math.sqrt(2.0 * math.pi) - 1.0 / math.sqrt(math.pi))
        n, u = self.degrees, z / self._scale
        norm = beta(0.5, 0.5 * n)
        density = (1.0 + u**2 / n) ** (-0.5 * (n + 1.0)) / (math.sqrt(n) * norm)
        outside = 2.0 * density * (n + u**2) - 2.0 * math.sqrt(n) * beta(0.5, n - 0.5) / norm**2
        return np.asarray(inside + self._scale * outside / (n - 1.0))

    @property
    def _gaussian(self) -> bool:
        return math.isinf(self.degrees)

    @property
    def _scale(self) -> float:
        """Scale of the t distribution that has the standard deviation 1."""
        return math.sqrt((self.degrees - 2.0) / self.degrees)


GAUSSIAN = Distribution()
