"""Standardisation of features and of spectra: what stands between a store and a network."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Absorbers = npt.NDArray[np.integer]
"""Per site the index of its element and edge among those that a model has seen."""


def _signed_root(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    root: npt.NDArray[Any] = np.abs(x)
    np.sqrt(root, out=root)
    np.copysign(root, x, out=root)
    return root


TRANSFORMS: dict[str, Callable[[npt.NDArray[Any]], npt.NDArray[Any]]] = {
    "none": lambda x: x.copy(),
    "sqrt": _signed_root,
}
"""What may be done to features before they are standardised; ``sqrt`` draws in the tails of sums over neighbours."""
CLIP = 10.0
"""Standard deviations beyond which a standardised feature is cut off."""


@dataclass(frozen=True)
class Scalers:
    """Standardisation of features and targets, fitted on a member's training sites.

    Attributes
    ----------
    feature_mean, feature_scale : (n_features,) float64
        Of the transformed features.
    target_mean, target_scale : (n_absorbers, n_energies) float64
        For every element and edge its own.
    softness : (n_absorbers, n_energies) float64, or None
        Where targets are positive: a spectrum is softness · log(1 + exp(z / softness)) of what the network says, which
        is z itself where z is some softnesses above zero.
    transform
        One of ``TRANSFORMS``, applied to the features before they are standardised.
    """

    feature_mean: npt.NDArray[np.float64]
    feature_scale: npt.NDArray[np.float64]
    target_mean: npt.NDArray[np.float64]
    target_scale: npt.NDArray[np.float64]
    softness: npt.NDArray[np.float64] | None = None
    transform: str = "none"

    def features(self, x: npt.NDArray[np.floating]) -> Array:
        """Standardised features, float32, clipped to ±``CLIP``.

        So a feature that hardly varied in training (a rare element's, say) does not carry a site off.
        """
        scaled = TRANSFORMS[self.transform](x)
        scaled -= self.feature_mean.astype(x.dtype)
        scaled /= self.feature_scale.astype(x.dtype)
        np.clip(scaled, -CLIP, CLIP, out=scaled)
        return scaled.astype(np.float32, copy=False)

    def targets(self, y: npt.NDArray[np.floating], absorbers: Absorbers) -> Array:
        """Scaled targets, float32, from spectra (n_sites, n_energies)."""
        return ((y - self.target_mean[absorbers]) / self.target_scale[absorbers]).astype(np.float32)

    def spectra(self, y: npt.NDArray[np.floating], absorbers: Absorbers) -> npt.NDArray[np.float64]:
        """Spectra from what a network gives, (…, n_sites, n_energies)."""
        z = y * self.target_scale[absorbers] + self.target_mean[absorbers]
        if self.softness is not None:
            softness = self.softness[absorbers]
            z = softness * np.logaddexp(0.0, z / softness)
        return np.asarray(z, np.float64)
