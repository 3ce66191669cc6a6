"""Run trained networks with NumPy, without TensorFlow.

Each site's draws are Monte Carlo dropout (Gal & Ghahramani, arXiv:1506.02142). The dropout masks of draw d come from a
counter-based generator with the key (seed, member, d) and are the same for all sites. A draw is therefore one network:
averages over sites or frames can be taken draw by draw, and no draw depends on how sites are batched.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
import numpy.typing as npt

from xanes_hpc.models.graph_network import on_graphs, site_sums
from xanes_hpc.models.layers import ABSORBER, FEATURES, Layer, Shape, dropout_widths, shapes, stochastic, wired
from xanes_hpc.models.numpy_layers import run_layer
from xanes_hpc.models.scaling import Absorbers, Array, Scalers
from xanes_hpc.structures.graphs import Graphs

Inputs = npt.NDArray[np.floating] | Graphs
"""What networks take of some sites: features as stored, (n_sites, n_features), or graphs."""
DRAWS = 30
"""Number of draws of a prediction unless given, and in calibration. 100 give the same figures."""
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
            if layer.name in self._on_graphs:
                continue
            steps.append((layer, inputs, [name for name in set(inputs) if name not in needed]))
            needed.update(inputs)
        return steps[::-1]

    @cached_property
    def _on_graphs(self) -> set[str]:
        """Names of the layers on graphs."""
        return {layer.name for layer, _, _ in on_graphs(tuple(self.layers))}

    def mean_network(
        self, x: Inputs, absorbers: Absorbers, start: Mapping[str, Array] | None = None
    ) -> npt.NDArray[np.float64]:
        """Return spectra without dropout, (n_sites, n_energies), from features or graphs.

        ``start`` is what ``start`` returns, if it is known already.
        """
        values = dict(start or self.start(x, absorbers))
        for layer, inputs, last_used in self._steps:
            taken = [values[name] for name in inputs]
            values[layer.name] = taken[0] if layer.kind == "dropout" else run_layer(layer, taken, self.weights)
            for name in last_used:
                del values[name]
        return self.scalers.spectra(values[self.layers[-1].name][0], absorbers)

    def draws(
        self, x: Inputs, absorbers: Absorbers, draws: Sequence[int], seed: int,
        start: Mapping[str, Array] | None = None,
    ) -> Iterator[npt.NDArray[np.float64]]:  # fmt: skip
        """Yield the spectra of the numbered draws in blocks (n_draws, n_sites, n_energies).

        Layers before the first dropout layer are computed once. ``start`` is as for ``mean_network``.
        """
        random = stochastic(self.layers)
        known = dict(start or self.start(x, absorbers))
        for layer, inputs, _ in self._steps:
            if layer.name not in random:
                known[layer.name] = run_layer(layer, [known[name] for name in inputs], self.weights)
        widest = max(prod(self._shapes[name]) for name in (*known, *(layer.name for layer, _, _ in self._steps)))
        rows_at_once = max(1, VALUES_AT_ONCE // widest)
        draws_at_once = max(1, rows_at_once // max(1, len(x)))
        for first in range(0, len(draws), draws_at_once):
            some = draws[first : first + draws_at_once]
            masks = self._masks(seed, some)
            outputs = np.empty((len(some), len(x), self.scalers.target_mean.shape[1]), np.float32)
            for row in range(0, len(x), rows_at_once):
                here = slice(row, row + rows_at_once)
                outputs[:, here] = self._dropped({name: v[:, here] for name, v in known.items()}, masks, random)
            yield self.scalers.spectra(outputs, absorbers)

    def _dropped(self, values: dict[str, Array], masks: dict[str, Array], random: set[str]) -> Array:
        """Return the network's output with dropout masks, from the outputs of the layers before the first dropout."""
        for layer, inputs, last_used in self._steps:
            if layer.name in random:
                taken = [values[name] for name in inputs]
                dropped = layer.kind == "dropout"
                values[layer.name] = taken[0] * masks[layer.name] if dropped else run_layer(layer, taken, self.weights)
            for name in last_used:
                del values[name]
        return values[self.layers[-1].name]

    def start(self, x: Inputs, absorbers: Absorbers) -> dict[str, Array]:
        """Return what the layers on sites start from: the inputs, or the sums over the atoms of graphs.

        The first axis is for draws, and has length 1 until draws differ.
        """
        one_hot = np.eye(len(self.scalers.target_mean), dtype=np.float32)[absorbers]
        if isinstance(x, Graphs):
            sums = site_sums(self.layers, self.weights, x)
            return {ABSORBER: one_hot[None], **{name: values[None] for name, values in sums.items()}}
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
    x: Inputs,
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
    x
        Features of the sites as stored, (n_sites, n_features), or their graphs.
    absorbers : (n_sites,)
        Indices of the sites' elements and edges.
    wanted, seed
        Number of draws, as for ``n_draws``, and their seed.
    dropout
        Whether to draw with dropout.
    keep_draws
        Whether to return the draws too.
    """
    starts = [member.start(x, absorbers) for member in members]
    plain = [member.mean_network(x, absorbers, start) for member, start in zip(members, starts, strict=True)]
    centre = np.mean(plain, axis=0)
    n = n_draws(members, wanted, dropout)
    total, squares = np.zeros_like(centre), np.zeros_like(centre)
    kept = np.empty((len(x), n, centre.shape[1]), np.float32) if keep_draws else None
    for i, member in enumerate(members):
        numbers = range(i, n, len(members))
        blocks = member.draws(x, absorbers, numbers, seed, starts[i]) if dropout else iter([plain[i][None]])
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
