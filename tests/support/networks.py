"""Networks with random weights, in NumPy and in Keras."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from ase import Atoms

from xanes_hpc.models import architectures
from xanes_hpc.models.graph_inputs import GraphInputs
from xanes_hpc.models.layers import Layer, takes_absorber, takes_graphs, weight_shapes
from xanes_hpc.models.numpy_network import Member
from xanes_hpc.models.scaling import Scalers
from xanes_hpc.structures.graph_search import find_graphs
from xanes_hpc.structures.graphs import Graphs, GraphSettings
from xanes_hpc.structures.sites import SiteBatch


def scalers(n_features: int, n_energies: int, n_absorbers: int = 1, positive: bool = False) -> Scalers:
    """Return scalers of random numbers, different for every absorber."""
    generator = np.random.default_rng(0)
    shape = (n_absorbers, n_energies)
    return Scalers(
        generator.normal(size=n_features),
        generator.uniform(0.5, 2, n_features),
        generator.normal(size=shape),
        generator.uniform(0.5, 2, shape),
        generator.uniform(0.05, 0.1, shape) if positive else None,
    )


def member_of(layers: Sequence[Layer], own: Scalers, index: int = 0, seed: int = 4) -> Member:
    """Return a network with random weights, which do not depend on ``index``."""
    generator = np.random.default_rng(seed)
    weights = {}
    for name, (kernel, bias) in weight_shapes(layers, own.feature_mean.size, len(own.target_mean)).items():
        spread = 1.0 / np.sqrt(np.prod(kernel[:-1]))
        weights[name] = tuple(
            (scale * generator.normal(size=shape)).astype(np.float32)
            for shape, scale in ((kernel, spread), (bias, 0.3))
        )
    return Member(layers, weights, own, index)


def network(
    name: str, parameters: Mapping[str, Any] | None = None, n_features: int = 7, n_energies: int = 11,
    n_absorbers: int = 1, index: int = 0, positive: bool = False,
) -> Member:  # fmt: skip
    """Return a network of an architecture, with random weights."""
    _, layers = architectures.build(name, parameters or {}, n_features, n_energies)
    return member_of(layers, scalers(n_features, n_energies, n_absorbers, positive), index)


def sites(member: Member, n: int, seed: int = 1) -> tuple[Any, np.ndarray]:
    """Return random unscaled features, (n, n_features), or the graphs of random surroundings; and absorbers, (n,)."""
    generator = np.random.default_rng(seed)
    n_absorbers = len(member.scalers.target_mean)
    shape = (n, member.scalers.feature_mean.size)
    x = random_graphs(n, generator) if takes_graphs(member.layers) else generator.normal(size=shape)
    return x, generator.integers(n_absorbers, size=n)


def random_graphs(n: int, generator: np.random.Generator) -> Graphs:
    """Return the graphs of Fe among up to 14 atoms; the second site has none, and the third one."""
    every = []
    for i in range(n):
        n_atoms = {1: 0, 2: 1}.get(i, int(generator.integers(4, 15)))
        directions = generator.normal(size=(n_atoms, 3))
        distances = np.linspace(1.7, 5.9, n_atoms) if n_atoms > 1 else np.full(n_atoms, 2.0)
        directions *= (distances / np.linalg.norm(directions, axis=1))[:, None]
        numbers = [26, *generator.choice([1, 6, 7, 8, 17], n_atoms)]
        every.append(Atoms(numbers, positions=np.vstack([np.zeros(3), directions])))
    return find_graphs(SiteBatch.from_atoms(every, "first"), GraphSettings())


class KerasTwin:
    """The same network as Keras models."""

    def __init__(self, member: Member) -> None:
        from xanes_hpc.models.keras_network import keras_models

        own = member.scalers
        self.masked, self.plain = keras_models(member.layers, own.feature_mean.size, len(own.target_mean), seed=0)
        for layer in self.plain.layers:
            if layer.name in member.weights:
                layer.set_weights(member.weights[layer.name])
        self._member = member

    def mean_network(self, x: Any, absorbers: np.ndarray) -> np.ndarray:
        """Return spectra without dropout."""
        return self._member.scalers.spectra(np.asarray(self.plain(self._starts(x, absorbers))), absorbers)

    def draw(self, x: Any, absorbers: np.ndarray, draw: int, seed: int) -> np.ndarray:
        """Return the spectra of a draw, with the dropout masks of the NumPy network."""
        masks = self._member._masks(seed, [draw]).values()
        repeated = [np.repeat(mask.reshape(1, -1), len(x), axis=0) for mask in masks]
        raw = np.asarray(self.masked([*self._starts(x, absorbers), *repeated]))
        return self._member.scalers.spectra(raw, absorbers)

    def _starts(self, x: Any, absorbers: np.ndarray) -> list[np.ndarray]:
        own = self._member.scalers
        one_hot = np.eye(len(own.target_mean), dtype=np.float32)[absorbers]
        given = GraphInputs.of(x).arrays() if isinstance(x, Graphs) else (own.features(x),)
        return [*given, one_hot] if takes_absorber(self._member.layers) else [*given]


def assert_same_spectra(found: np.ndarray, expected: np.ndarray, extent: float | None = None) -> None:
    """Check that spectra agree to 1e-5 of their range, or of ``extent``."""
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=1e-5 * (extent or float(np.ptp(expected))))


def write_weights(path: Path, member: Member) -> None:
    """Write weights as Keras does."""
    with h5py.File(path, "w") as file:
        for i, (name, arrays) in enumerate(member.weights.items()):
            variables = file.create_group(f"layers/layer_{i}/vars")
            variables.attrs["name"] = name
            for number, array in enumerate(arrays):
                variables[str(number)] = array
