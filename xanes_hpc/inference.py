"""Running trained networks with NumPy: no TensorFlow, and draws that depend on their seed and nothing else.

Draw d of a member is one network: its dropout masks come from a counter-based generator keyed by (seed, member,
d), and hold for every site. Per site that is Monte Carlo dropout (Gal & Ghahramani, arXiv:1506.02142); and
because a draw is the same network everywhere, averages over sites or frames can be taken draw by draw, and no
draw depends on how sites are batched.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.models.network import Layer

Array = npt.NDArray[np.float32]


def _gelu(x: Array) -> Array:
    from scipy.special import erf

    y = 0.5 * x * (1.0 + erf(x * np.float32(0.7071067811865476)))
    result: Array = y.astype(np.float32)
    return result


def _silu(x: Array) -> Array:
    y: Array = x * (0.5 * (np.tanh(0.5 * x) + 1.0))
    return y


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": _gelu,
    "relu": lambda x: np.maximum(x, np.float32(0)),
    "silu": _silu,
    "tanh": lambda x: np.tanh(x),
    "linear": lambda x: x,
}


TRANSFORMS: dict[str, Callable[[npt.NDArray[Any]], npt.NDArray[Any]]] = {
    "none": lambda x: x,
    "sqrt": lambda x: np.sign(x) * np.sqrt(np.abs(x)),
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
    target_mean, target_scale : (n_energies,) float64
    transform
        One of ``TRANSFORMS``, applied to the features before they are standardised.
    """

    feature_mean: npt.NDArray[np.float64]
    feature_scale: npt.NDArray[np.float64]
    target_mean: npt.NDArray[np.float64]
    target_scale: npt.NDArray[np.float64]
    transform: str = "none"

    def features(self, x: npt.NDArray[np.floating]) -> Array:
        """Standardised features, float32, clipped to ±``CLIP``.

        So a feature that hardly varied in training (a rare element's, say) does not carry a site off.
        """
        standardised = (TRANSFORMS[self.transform](x) - self.feature_mean) / self.feature_scale
        return np.clip(standardised, -CLIP, CLIP).astype(np.float32)

    def targets(self, y: npt.NDArray[np.floating]) -> Array:
        """Scaled targets, float32."""
        return ((y - self.target_mean) / self.target_scale).astype(np.float32)

    def spectra(self, y: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Spectra from scaled targets."""
        return np.asarray(y * self.target_scale + self.target_mean, np.float64)


@dataclass(frozen=True)
class Member:
    """One trained network.

    Attributes
    ----------
    layers
        As its architecture gives them.
    weights
        Per dense layer's name: kernel (n_in, units) and bias (units,), float32.
    scalers
        Its own.
    index
        Its place in the model.
    """

    layers: Sequence[Layer]
    weights: dict[str, tuple[Array, Array]]
    scalers: Scalers
    index: int = 0

    def mean_network(self, x: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Spectra without dropout, (n_sites, n_energies), from features as stored."""
        layers = [layer for layer in self.layers if layer.kind != "dropout"]
        return self.scalers.spectra(self._run(layers, self.scalers.features(x), {}))

    def draws(self, x: npt.NDArray[np.floating], n_draws: int, seed: int) -> Iterator[npt.NDArray[np.float64]]:
        """Spectra of each draw, (n_sites, n_energies); what comes before the first dropout is computed once."""
        first = next((i for i, layer in enumerate(self.layers) if layer.kind == "dropout"), len(self.layers))
        start = self._run(self.layers[:first], self.scalers.features(x), {})
        for draw in range(n_draws):
            masks = self._masks(seed, draw)
            yield self.scalers.spectra(self._run(self.layers[first:], start, masks))

    def _masks(self, seed: int, draw: int) -> dict[str, Array]:
        generator = np.random.Generator(np.random.Philox(key=[seed, (self.index << 40) + draw]))
        masks, width = {}, 0
        for layer in self.layers:
            if layer.kind == "dense":
                width = layer.units
            elif layer.kind == "dropout":
                keep = generator.random(width, np.float32) >= layer.rate
                masks[layer.name] = keep.astype(np.float32) / np.float32(1.0 - layer.rate)
        return masks

    def _run(self, layers: Sequence[Layer], x: Array, masks: dict[str, Array]) -> Array:
        for layer in layers:
            if layer.kind == "dense":
                kernel, bias = self.weights[layer.name]
                x = x @ kernel
                x += bias
            elif layer.kind == "activation":
                x = ACTIVATIONS[layer.function](x)
            else:
                x = x * masks[layer.name]
        return x


@dataclass(frozen=True)
class Sample:
    """Mean and standard deviation over draws, (n_sites, n_energies); draws (n_sites, n_draws, n_energies) if kept."""

    mean: npt.NDArray[np.float64]
    std: npt.NDArray[np.float64]
    draws: npt.NDArray[np.float32] | None = None


def sample(
    members: Sequence[Member], x: npt.NDArray[np.floating], n_draws: int, seed: int, keep_draws: bool = False
) -> Sample:
    """``n_draws`` draws of each member for features as stored, (n_sites, n_features); members' draws one after another.

    Deviations are taken from a network without dropout, so that their squares lose no digits.
    """
    centre = members[0].mean_network(x)
    total, squares = np.zeros_like(centre), np.zeros_like(centre)
    n = n_draws * len(members)
    kept = np.empty((len(x), n, centre.shape[1]), np.float32) if keep_draws else None
    every = (draw for member in members for draw in member.draws(x, n_draws, seed))
    for i, draw in enumerate(every):
        if kept is not None:
            kept[:, i] = draw
        draw -= centre
        total += draw
        squares += draw * draw
    mean = total / n
    variance = np.maximum(squares / n - mean * mean, 0.0) * (n / max(n - 1, 1))
    return Sample(centre + mean, np.sqrt(variance), kept)
