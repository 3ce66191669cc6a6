"""What a model's training sites cover: how their neighbours are spaced, and the range of every feature.

The mean distance over all features misses what is absent: a lone atom has no features, and most training sites lack
most of them. Two scores see it. The radial distance is the mean absolute difference to the nearest training site over
the radial functions of the first shells, summed over all elements, which describe how densely the neighbours are
spaced. The excess is the mean over all features of how far a site is beyond the range of the training sites. Features
are standardised.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.models.distances import mean_differences
from xanes_hpc.models.scaling import Array

RADIAL_LABEL = re.compile(r"G2 (\S+) mu=([\d.]+)")
SUMMED = ("Z", "0.1Z", "one")
"""Channels that sum over all elements, by preference."""
SHELLS = (1.5, 4.5)
"""Distances of the first shells, Å."""
QUANTILE, EXCESS_QUANTILE = 0.99, 0.996
"""Fractions of the calibration set within the limits of the radial distance and of the excess."""
LEAST_EXCESS = 1e-4
"""Smallest limit of the excess; a set of few calibration sites may have none beyond the range."""


@dataclass(frozen=True)
class Scores:
    """Scores of sites, (n_sites,) each; ``profile`` is None for descriptors without such radial functions."""

    profile: npt.NDArray[np.float64] | None
    excess: npt.NDArray[np.float64]

    @classmethod
    def joined(cls, several: Sequence["Scores"]) -> "Scores":
        """Return the scores of all sites."""
        profiles = [one.profile for one in several]
        profile = None if any(p is None for p in profiles) else np.concatenate([p for p in profiles if p is not None])
        return cls(profile, np.concatenate([one.excess for one in several]))


class Domain:
    """Scores sites by a sample of the training sites.

    Parameters
    ----------
    features : (n_training, n_features)
        Standardised features of training sites.
    columns
        The radial functions that sum over all elements.
    """

    def __init__(self, features: Array, columns: Sequence[int]) -> None:
        self.columns = list(columns)
        self._low, self._high = features.min(axis=0), features.max(axis=0)
        self._profiles = np.ascontiguousarray(features[:, self.columns])

    def scores(self, x: Array) -> Scores:
        """Return the scores of sites with standardised features ``x``, (n_sites, n_features)."""
        beyond = np.maximum(self._low - x, 0.0) + np.maximum(x - self._high, 0.0)
        profile = None
        if self.columns:
            apart = mean_differences(np.ascontiguousarray(x[:, self.columns]), self._profiles)
            profile = apart.min(axis=1, initial=np.inf).astype(np.float64)
        return Scores(profile, beyond.mean(axis=1, dtype=np.float64))


def profile_columns(labels: Sequence[str]) -> list[int]:
    """Return the radial functions of the first shells that sum over all elements, by the labels of features.

    Examples
    --------
    >>> profile_columns(["G1", "G2 Z mu=0.8", "G2 C mu=1.9 eta=4", "G2 Z mu=1.9 eta=4", "G2 Z mu=5.2 eta=4"])
    [3]
    """
    found = [RADIAL_LABEL.match(label) for label in labels]
    for channel in SUMMED:
        columns = [
            i for i, own in enumerate(found) if own and own[1] == channel and SHELLS[0] <= float(own[2]) <= SHELLS[1]
        ]
        if columns:
            return columns
    return []


def limits(scores: Scores, columns: Sequence[int]) -> dict[str, Any]:
    """Return the limits of both scores for ``model.json``, from those of the calibration set; empty without sites."""
    if not scores.excess.size:
        return {}
    excess = float(np.quantile(scores.excess, EXCESS_QUANTILE, method="higher"))
    found: dict[str, Any] = {"excess": {"limit": max(excess, LEAST_EXCESS)}}
    if scores.profile is not None:
        limit = float(np.quantile(scores.profile, QUANTILE, method="higher"))
        found["profile"] = {"columns": list(columns), "limit": limit}
    return found
