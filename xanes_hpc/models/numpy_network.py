"""Running trained networks with NumPy: no TensorFlow, and draws that depend on their seed and nothing else.

Draw d is one network: its dropout masks come from a counter-based generator keyed by (seed, member, d), and hold for
every site. Per site that is Monte Carlo dropout (Gal & Ghahramani, arXiv:1506.02142); and because a draw is the same
network everywhere, averages over sites or frames can be taken draw by draw, and no draw depends on how sites are
batched.
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
"""Numbers of the widest layer, over draws and sites, that are computed at a time."""


@dataclass(frozen=True)
class Member:
    """One trained network.

    Attributes
    ----------
    layers
        As its architecture gives them.
    weights
        Kernel and bias of each layer that has some, by its name, float32.
    scalers
        Its own.
    index
        Its place in the model.
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
        """Each layer, the names of what it takes, and of what is not needed after it."""
        steps, needed = [], {self.layers[-1].name}
        for layer, inputs in reversed(wired(self.layers)):
            steps.append((layer, inputs, [name for name in set(inputs) if name not in needed]))
            needed.update(inputs)
        return steps[::-1]

    def mean_network(self, x: npt.NDArray[np.floating], absorbers: Absorbers) -> npt.NDArray[np.float64]:
        """Spectra without dropout, (n_sites, n_energies), from features as stored, (n_sites, n_features)."""
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
        """Spectra of the numbered draws, some at a time: (n_draws, n_sites, n_energies).

        What comes before the first dropout is computed once.
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
        """What the network gives with masks, from what its layers before the first dropout give."""
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
        """Values have a first axis for the draws, of length one until they differ."""
        one_hot = np.eye(len(self.scalers.target_mean), dtype=np.float32)[absorbers]
        return {FEATURES: self.scalers.features(x)[None], ABSORBER: one_hot[None]}

    def _masks(self, seed: int, draws: Sequence[int]) -> dict[str, Array]:
        """By dropout, (n_draws, 1, width), with an axis for positions where there is one."""
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
        raise ValueError(f"layer of no known kind: {layer.kind}")


def _convolved(x: Array, kernel: Array, bias: Array) -> Array:
    """Along the axis before the last, with zeros beyond its ends: sum_k x[i + k - (size - 1) / 2] kernel[k] + bias."""
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
    """Draws that ``sample`` takes: as many as wanted, or one of each member where those are not dropped from."""
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
    """Draws of an ensemble's spectra for features as stored, (n_sites, n_features).

    With dropout, draw d is of member d mod n_members; without, every member is one draw. Deviations are taken from the
    networks without dropout, so that their squares lose no digits.
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
"""Least greatest error of gelu, 4e-8; with the rounding of single precision it is 3e-7 up to |x| = 10."""


FARTHEST = np.float32(12.5)
"""|x| from which on the tail is nothing, and before which its powers neither overflow nor lose their digits."""


ACTIVATED_AT_ONCE = 1 << 16
"""Values whose intermediate results stay in the processor's cache."""


def gelu(x: Array) -> Array:
    """The Gaussian error linear unit of every value."""
    values = np.ascontiguousarray(x).reshape(-1)
    result = np.maximum(values, np.float32(0.0))
    for start in range(0, values.size, ACTIVATED_AT_ONCE):
        part = slice(start, start + ACTIVATED_AT_ONCE)
        result[part] -= _tail(values[part])
    return result.reshape(x.shape)


def _tail(x: Array) -> Array:
    """|x| Φ(-|x|)."""
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
    """The sigmoid linear unit of every value: x / (1 + exp(-x))."""
    y: Array = x * (np.float32(0.5) * (np.tanh(np.float32(0.5) * x) + np.float32(1.0)))
    return y


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": gelu,
    "relu": lambda x: np.maximum(x, np.float32(0)),
    "silu": silu,
    "tanh": lambda x: np.tanh(x),
    "linear": lambda x: x,
}
"""By the names that ``models.network`` gives them."""
