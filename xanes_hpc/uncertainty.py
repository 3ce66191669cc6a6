"""Turning the spread of draws into uncertainties that hold."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

ONE_SIGMA = 0.6826894921370859
LEVELS = (0.9, 0.9973)
"""Nominal coverage of the conformal intervals."""


@dataclass(frozen=True)
class Calibration:
    """What a calibration split says of the draws' spread.

    Attributes
    ----------
    sigma_scale
        Factor on the standard deviation of the draws.
    conformal
        By nominal level, the number of calibrated sigmas either side of the mean.
    n_sites
        Sites of the calibration split; 0 where there was none and sigma is as drawn.
    """

    sigma_scale: float = 1.0
    conformal: tuple[tuple[float, float], ...] = ()
    n_sites: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "sigma_scale": self.sigma_scale,
            "conformal": [{"level": level, "score": score} for level, score in self.conformal],
            "n_sites": self.n_sites,
        }


def calibrate(
    reference: npt.NDArray[np.floating], mean: npt.NDArray[np.floating], std: npt.NDArray[np.floating]
) -> Calibration:
    """Calibration from sites that no weight has seen; all arrays (n_sites, n_energies).

    Sigma is scaled so that one sigma covers 68.27 % of all points. Conformal scores are |y - mean| / sigma,
    pooled over energies, at the quantile ceil((n + 1) level) / n (Vovk, Gammerman & Shafer,
    doi:10.1007/b106715); points of one spectrum go together, so that this is finite-sample exact only for
    independent points.
    """
    scores = np.sort((np.abs(reference - mean) / std)[np.isfinite(reference) & (std > 0)])
    if not scores.size:
        return Calibration()
    scale = float(np.quantile(scores, ONE_SIGMA))
    if not scale > 0:
        return Calibration(n_sites=len(reference))
    n = scores.size
    conformal = tuple((level, float(scores[min(int(np.ceil((n + 1) * level)), n) - 1]) / scale) for level in LEVELS)
    return Calibration(scale, conformal, len(reference))
