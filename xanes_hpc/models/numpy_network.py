"""Run trained networks with NumPy, without TensorFlow.

Each site's draws are Monte Carlo dropout (Gal & Ghahramani, arXiv:1506.02142). The dropout masks of draw d come from a
counter-based generator with the key (seed, member, d) and are the same for all sites. A draw is therefore one network:
averages over sites or frames can be taken draw by draw, and no draw depends on how sites are batched.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
import numpy.typing as npt

from xanes_hpc.models.layers import ABSORBER, FEATURES, Layer, Shape, dropout_widths, shapes, stochastic, wired
from xanes_hpc.models.scaling import Absorbers, Array, Scalers

VALUES_AT_ONCE = 1 << 20
"""Number of values of the widest layer, over draws and sites, that are computed at a time."""


@dataclass(frozen=True)
class Member:
    """One trained network.

    Attributes
    ----------
    layers
        Layers of the architecture.
    weights
        Kernel and bias, float32, of each layer with weights, by name.
    scalers
        Scalers of features and targets.
    index
        Index of the member in its model.
    """

    layers: Sequence[Layer]
    weights: dict[str, tuple[Array, Array]]
    scalers: Scalers
    index: int = 0

    @cached_property
    def _shapes(self) -> dict[str, Shape]:
        return shapes(self.layers, self.scalers.feature_mean.size, len(self.scalers.target_mean))

    @cached_property
    def _steps(self) -> list[tuple[Layer, tuple[str, ...], list[str]]]:
        """Each layer with the names of its inputs, and the names that no later layer needs."""
        steps, needed = [], {self.layers[-1].name}
        for layer, inputs in reversed(wired(self.layers)):
            steps.append((layer, inputs, [name for name in set(inputs) if name not in needed]))
            needed.update(inputs)
        return steps[::-1]

    def mean_network(self, x: npt.NDArray[np.floating], absorbers: Absorbers) -> npt.NDArray[np.float64]:
        """Return spectra without dropout, (n_sites, n_energies), from features as stored, (n_sites, n_features)."""
        values = self._inputs(x, absorbers)
        for layer, inputs, last_used in self._steps:
            taken = [values[name] for name in inputs]
            values[layer.name] = taken[0] if layer.kind == "dropout" else self._run(layer, taken)
            for name in last_used:
                del values[name]
        return self.scalers.spectra(values[self.layers[-1].name][0], absorbers)

    def draws(
        self, x: npt.NDArray[np.floating], absorbers: Absorbers, draws: Sequence[int], seed: int
    ) -> Iterator[npt.NDArray[np.float64]]:
        """Yield the spectra of the numbered draws in blocks (n_draws, n_sites, n_energies).

        Layers before the first dropout layer are computed once.
        """
        random = stochastic(self.layers)
        start = self._inputs(x, absorbers)
        for layer, inputs, _ in self._steps:
            if layer.name not in random:
                start[layer.name] = self._run(layer, [start[name] for name in inputs])
        rows_at_once = max(1, VALUES_AT_ONCE // max(prod(shape) for shape in self._shapes.values()))
        draws_at_once = max(1, rows_at_once // max(1, len(x)))
        for first in range(0, len(draws), draws_at_once):
            some = draws[first : first + draws_at_once]
            masks = self._masks(seed, some)
            outputs = np.empty((len(some), len(x), self.scalers.target_mean.shape[1]), np.float32)
            for row in range(0, len(x), rows_at_once):
                here = slice(row, row + rows_at_once)
                outputs[:, here] = self._dropped({name: v[:, here] for name, v in start.items()}, masks, random)
            yield self.scalers.spectra(outputs, absorbers)

    def _dropped(self, values: dict[str, Array], masks: dict[str, Array], random: set[str]) -> Array:
        """Return the network's output with dropout masks, from the outputs of the layers before the first dropout."""
        for layer, inputs, last_used in self._steps:
            if layer.name in random:
                taken = [values[name] for name in inputs]
                values[layer.name] = (
                    taken[0] * masks[layer.name] if layer.kind == "dropout" else self._run(layer, taken)
                )
            for name in last_used:
                del values[name]
        return values[self.layers[-1].name]

    def _inputs(self, x: npt.NDArray[np.floating], absorbers: Absorbers) -> dict[str, Array]:
        """Return the network's inputs with a first axis for draws, which has length 1 until draws differ."""
        one_hot = np.eye(len(self.scalers.target_mean), dtype=np.float32)[absorbers]
        return {FEATURES: self.scalers.features(x)[None], ABSORBER: one_hot[None]}

    def _masks(self, seed: int, draws: Sequence[int]) -> dict[str, Array]:
        """Return the mask of each dropout layer, (n_draws, 1, width), or (n_draws, 1, 1, width) for whole channels."""
        widths = dropout_widths(self.layers, self._shapes)
        masks: dict[str, list[Array]] = {name: [] for name in widths}
        rates = {layer.name: layer.rate for layer in self.layers}
        for draw in draws:
            generator = np.random.Generator(np.random.Philox(key=[seed, (self.index << 40) + draw]))
            for name, width in widths.items():
                keep = generator.random(width, np.float32) >= rates[name]
                masks[name].append(keep.astype(np.float32) / np.float32(1.0 - rates[name]))
        return {
            name: np.stack(several).reshape(len(draws), *[1] * len(self._shapes[name]), widths[name])
            for name, several in masks.items()
        }

    def _run(self, layer: Layer, taken: list[Array]) -> Array:
        x = taken[0]
        match layer.kind:
            case "dense":
                kernel, bias = self.weights[layer.name]
                y = (x.reshape(-1, x.shape[-1]) @ kernel).reshape(*x.shape[:-1], layer.units)
                y += bias
                return y
            case "convolution":
                return _convolved(x, *self.weights[layer.name])
            case "activation":
                return ACTIVATIONS[layer.function](x)
            case "add":
                return sum(taken[1:], start=x)
            case "multiply":
                for other in taken[1:]:
                    x = x * other
                return x
            case "concatenate":
                shape = np.broadcast_shapes(*(t.shape[:-1] for t in taken))
                return np.concatenate([np.broadcast_to(t, (*shape, t.shape[-1])) for t in taken], axis=-1)
            case "upsample":
                return np.repeat(x, layer.size, axis=-2)
            case "reshape":
                return x.reshape(*x.shape[:-1], layer.size, layer.units)
            case "crop":
                return x.reshape(*x.shape[:2], prod(x.shape[2:]))[..., : layer.units]
        raise ValueError(f"unknown kind of layer: {layer.kind}")


def _convolved(x: Array, kernel: Array, bias: Array) -> Array:
    """Return sum_k x[i + k - (size - 1) / 2] kernel[k] + bias along the second last axis, with zero padding."""
    size, channels, _ = kernel.shape
    half, length = size // 2, x.shape[-2]
    wide = np.zeros((*x.shape[:-2], length + 2 * half, channels), np.float32)
    wide[..., half : half + length, :] = x
    y: Array = wide[..., :length, :] @ kernel[0]
    part = np.empty_like(y)
    for k in range(1, size):
        y += np.matmul(wide[..., k : k + length, :], kernel[k], out=part)
    y += bias
    return y


@dataclass(frozen=True)
class Sample:
    """Mean and standard deviation over draws, (n_sites, n_energies); draws (n_sites, n_draws, n_energies) if kept."""

    mean: npt.NDArray[np.float64]
    std: npt.NDArray[np.float64]
    draws: npt.NDArray[np.float32] | None = None


def n_draws(members: Sequence[Member], wanted: int, dropout: bool) -> int:
    """Return the number of draws of ``sample``: with dropout at least one per member, otherwise exactly one."""
    return max(wanted, len(members)) if dropout else len(members)


def sample(
    members: Sequence[Member],
    x: npt.NDArray[np.floating],
    absorbers: Absorbers,
    wanted: int,
    seed: int,
    dropout: bool = True,
    keep_draws: bool = False,
) -> Sample:
    """Return mean and standard deviation over draws of an ensemble's spectra.

    With dropout, draw d comes from member d mod n_members; without, every member is one draw. Sums are over deviations
    from the networks without dropout, so that squares keep their precision.

    Parameters
    ----------
    members
        The networks.
    x : (n_sites, n_features)
        Features as stored.
    absorbers : (n_sites,)
        Indices of the sites' elements and edges.
    wanted, seed
        Number of draws, as for ``n_draws``, and their seed.
    dropout
        Whether to draw with dropout.
    keep_draws
        Whether to return the draws too.
    """
    plain = [member.mean_network(x, absorbers) for member in members]
    centre = np.mean(plain, axis=0)
    n = n_draws(members, wanted, dropout)
    total, squares = np.zeros_like(centre), np.zeros_like(centre)
    kept = np.empty((len(x), n, centre.shape[1]), np.float32) if keep_draws else None
    for i, member in enumerate(members):
        numbers = range(i, n, len(members))
        blocks = member.draws(x, absorbers, numbers, seed) if dropout else iter([plain[i][None]])
        done = 0
        for block in blocks:
            if kept is not None:
                kept[:, numbers[done : done + len(block)]] = block.transpose(1, 0, 2)
            done += len(block)
            block = block - centre
            total += block.sum(axis=0)
            squares += np.einsum("dse,dse->se", block, block)
    mean = total / n
    variance = np.maximum(squares / n - mean * mean, 0.0) * (n / max(n - 1, 1))
    return Sample(centre + mean, np.sqrt(variance), kept)


P = tuple(map(np.float32, (0.50000226, 0.22687705, 0.044039104)))
Q = tuple(map(np.float32, (1.0, 1.2517124, 0.58639425, 0.10907419)))
"""Coefficients of P(a) / Q(a) = exp(a² / 2) Φ(-a), a minimax fit to gelu.

Its error is 4e-8, or 3e-7 with the rounding of single precision, up to |x| = 10.
"""
FARTHEST = np.float32(12.5)
"""Largest |x| at which the tail is computed: beyond it the tail is negligible; up to it, powers stay in range."""
ACTIVATED_AT_ONCE = 1 << 16
"""Number of values whose intermediate results fit into the processor's cache."""


def gelu(x: Array) -> Array:
    """Return the Gaussian error linear unit of every value."""
    values = np.ascontiguousarray(x).reshape(-1)
    result = np.maximum(values, np.float32(0.0))
    for start in range(0, values.size, ACTIVATED_AT_ONCE):
        part = slice(start, start + ACTIVATED_AT_ONCE)
        result[part] -= _tail(values[part])
    return result.reshape(x.shape)


def _tail(x: Array) -> Array:
    """Return |x| Φ(-|x|)."""
    a = np.abs(x)
    np.minimum(a, FARTHEST, out=a)
    above, below = a * P[2], a * Q[3]
    above += P[1]
    above *= a
    above += P[0]
    above *= a
    below += Q[2]
    below *= a
    below += Q[1]
    below *= a
    below += Q[0]
    above /= below
    a *= a
    a *= np.float32(-0.5)
    np.exp(a, out=a)
    above *= a
    return above


def silu(x: Array) -> Array:
    """Return the sigmoid linear unit of every value, x / (1 + exp(-x))."""
    y: Array = x * (np.float32(0.5) * (np.tanh(np.float32(0.5) * x) + np.float32(1.0)))
    return y


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": gelu,
    "relu": lambda x: np.maximum(x, np.float32(0)),
    "silu": silu,
    "tanh": lambda x: np.tanh(x),
    "linear": lambda x: x,
}
"""Activation functions by the names in ``models.layers.ACTIVATIONS``."""
