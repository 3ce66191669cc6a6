"""Standardisation of features and of spectra: what stands between a store and a network."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc_kernels.standardising import standardise

Array = npt.NDArray[np.float32]
Absorbers = npt.NDArray[np.integer]
"""Per site the index of its element and edge among those that a model has seen."""


def signed_root(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The square root of the absolute value, with the sign."""
    root: npt.NDArray[Any] = np.sqrt(np.abs(x))
    np.copysign(root, x, out=root)
    return root


TRANSFORMS: dict[str, Callable[[npt.NDArray[Any]], npt.NDArray[Any]]] = {"none": np.copy, "sqrt": signed_root}
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
        scaled = np.empty(x.shape, np.float32)
        self.put_features(x, np.arange(len(x)), scaled)
        return scaled

    def targets(self, y: npt.NDArray[np.floating], absorbers: Absorbers) -> Array:
        """Scaled targets, float32, from spectra (n_sites, n_energies)."""
        scaled = np.empty(y.shape, np.float32)
        self.put_targets(y, absorbers, np.arange(len(y)), scaled)
        return scaled

    def put_features(self, x: npt.NDArray[np.floating], rows: npt.NDArray[np.integer], out: Array) -> None:
        """As ``features``, into ``rows`` of another array."""
        mean, scale = (values.astype(x.dtype)[None] for values in (self.feature_mean, self.feature_scale))
        kinds = np.zeros(len(x), np.int64)
        standardise(np.ascontiguousarray(x), self.transform == "sqrt", kinds, mean, scale, CLIP, rows, out)

    def put_targets(
        self, y: npt.NDArray[np.floating], absorbers: Absorbers, rows: npt.NDArray[np.integer], out: Array
    ) -> None:
        """As ``targets``, into ``rows`` of another array."""
        kinds = absorbers.astype(np.int64)
        standardise(np.ascontiguousarray(y), False, kinds, self.target_mean, self.target_scale, np.inf, rows, out)

    def spectra(self, y: npt.NDArray[np.floating], absorbers: Absorbers) -> npt.NDArray[np.float64]:
        """Spectra from what a network gives, (…, n_sites, n_energies)."""
        z = y * self.target_scale[absorbers] + self.target_mean[absorbers]
        if self.softness is not None:
            softness = self.softness[absorbers]
            z = softness * np.logaddexp(0.0, z / softness)
        return np.asarray(z, np.float64)
