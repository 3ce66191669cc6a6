"""Standardise the features and spectra of stores for networks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc_kernels.standardising import rescale, standardise

Array = npt.NDArray[np.float32]
Absorbers = npt.NDArray[np.integer]
"""Per site, the index of its element and edge among those of a model."""


def signed_root(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the square root of the absolute value, with the sign of the value."""
    root: npt.NDArray[Any] = np.sqrt(np.abs(x))
    np.copysign(root, x, out=root)
    return root


TRANSFORMS: dict[str, Callable[[npt.NDArray[Any]], npt.NDArray[Any]]] = {"none": np.copy, "sqrt": signed_root}
"""Transforms of features before standardisation; ``sqrt`` shortens the long tails of sums over neighbours."""
CONSTANT = 1e-12
"""A standard deviation below this fraction of a typical one is rounding, and counts as zero."""
CLIP = 10.0
"""Largest absolute value of a standardised feature, in standard deviations."""


def scale_of_features(std: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the scale of features with these standard deviations; constant features are not scaled."""
    return np.where(std > CONSTANT * std.max(initial=0.0), std, 1.0)


@dataclass(frozen=True)
class Scalers:
    """Standardisation of features and targets, fitted on a member's training sites.

    Attributes
    ----------
    feature_mean, feature_scale : (n_features,) float64
        Mean and scale of the transformed features.
    target_mean, target_scale : (n_absorbers, n_energies) float64
        Mean and scale of the targets of each element and edge.
    softness : (n_absorbers, n_energies) float64, or None
        For positive targets: the spectrum is softness · log(1 + exp(z / softness)), where z is the rescaled output of
        the network. It equals z if z is a few times the softness above zero.
    transform
        One of ``TRANSFORMS``, applied to the features before standardisation.
    """

    feature_mean: npt.NDArray[np.float64]
    feature_scale: npt.NDArray[np.float64]
    target_mean: npt.NDArray[np.float64]
    target_scale: npt.NDArray[np.float64]
    softness: npt.NDArray[np.float64] | None = None
    transform: str = "none"

    def features(self, x: npt.NDArray[np.floating]) -> Array:
        """Return standardised features, float32, clipped to ±``CLIP``.

        Clipping limits the effect of features that hardly varied in training, such as those of rare elements.
        """
        scaled = np.empty(x.shape, np.float32)
        self.put_features(x, np.arange(len(x)), scaled)
        return scaled

    def targets(self, y: npt.NDArray[np.floating], absorbers: Absorbers) -> Array:
        """Return scaled targets, float32, from spectra (n_sites, n_energies)."""
        scaled = np.empty(y.shape, np.float32)
        self.put_targets(y, absorbers, np.arange(len(y)), scaled)
        return scaled

    def put_features(self, x: npt.NDArray[np.floating], rows: npt.NDArray[np.integer], out: Array) -> None:
        """Write standardised features, as from ``features``, into ``rows`` of ``out``."""
        mean, scale = (values.astype(x.dtype)[None] for values in (self.feature_mean, self.feature_scale))
        kinds = np.zeros(len(x), np.int64)
        standardise(np.ascontiguousarray(x), self.transform == "sqrt", kinds, mean, scale, CLIP, rows, out)

    def put_targets(
        self, y: npt.NDArray[np.floating], absorbers: Absorbers, rows: npt.NDArray[np.integer], out: Array
    ) -> None:
        """Write scaled targets, as from ``targets``, into ``rows`` of ``out``."""
        kinds = absorbers.astype(np.int64)
        standardise(np.ascontiguousarray(y), False, kinds, self.target_mean, self.target_scale, np.inf, rows, out)

    def spectra(self, y: npt.NDArray[np.floating], absorbers: Absorbers) -> npt.NDArray[np.float64]:
        """Return spectra from a network's output, (…, n_sites, n_energies)."""
        rows = np.ascontiguousarray(y).reshape(-1, y.shape[-1])
        kinds = np.resize(absorbers.astype(np.int64), len(rows))
        softness = np.empty((0, y.shape[-1])) if self.softness is None else self.softness
        spectra = np.empty(rows.shape)
        rescale(rows, kinds, self.target_mean, self.target_scale, softness, spectra)
        return spectra.reshape(y.shape)
