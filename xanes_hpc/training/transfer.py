"""Starting from a trained model: its weights, brought to the new network's absorbers and energies."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import ModelError
from xanes_hpc.models.architectures import Layer
from xanes_hpc.models.layers import ABSORBER, weight_shapes, wired
from xanes_hpc.models.model import Model
from xanes_hpc.models.numpy_network import Member
from xanes_hpc.models.scaling import Array, Scalers
from xanes_hpc.spectra.grid import Grid

Weights = dict[str, tuple[Array, Array]]


class Start:
    """What a new model takes over from a trained one.

    Parameters
    ----------
    model
        The trained model.
    layers, n_features
        The new network, and the length of its features.
    descriptor_hash
        Of the descriptor of the new model's features.
    absorbers
        Elements (symbols) and edges of the new model.
    grid
        Its energies.
    frozen
        Names of the layers that keep the trained weights.

    Raises
    ------
    ModelError
        If the features are of another descriptor, or the model has no weights that fit, or none for a frozen layer.
    """

    def __init__(
        self, model: Model, layers: Sequence[Layer], n_features: int, descriptor_hash: str,
        absorbers: Sequence[tuple[str, str]], grid: Grid, frozen: Sequence[str] = (),
    ) -> None:  # fmt: skip
        if model.descriptor_hash != descriptor_hash:
            raise ModelError(
                f"{model.path}: takes features of descriptor {model.descriptor_hash}, received {descriptor_hash}; "
                "featurise with the model's descriptor"
            )
        self._model, self._layers, self._absorbers, self._grid = model, layers, absorbers, grid
        self._wanted = weight_shapes(layers, n_features, len(absorbers))
        taken = self.weights(0)
        if not taken:
            raise ModelError(f"{model.path}: its network has no layer in common with the new one: use its architecture")
        for name in frozen:
            if name not in taken:
                raise ModelError(
                    f"`freeze` {len(frozen)}: {model.path} has no weights for layer {name}; freeze fewer layers, or "
                    "use its architecture"
                )

    @property
    def taken_over(self) -> tuple[int, int]:
        """How many layers begin with its weights, and how many have weights at all."""
        return len(self.weights(0)), len(self._wanted)

    @property
    def sites(self) -> list[tuple[str, str]]:
        """Names and formulas of the sites that its weights were fitted to."""
        return self._model.training_sites.fitted

    def scalers(self, own: Scalers) -> Scalers:
        """The new model's scalers: features as the trained model takes them, targets by the new ones."""
        trained = self._model.members[0].scalers
        return replace(
            own,
            feature_mean=trained.feature_mean,
            feature_scale=trained.feature_scale,
            transform=trained.transform,
        )

    def weights(self, member: int) -> Weights:
        """Weights for a member, by layer: those whose shapes fit, and those that can be brought to fit."""
        trained = self._model.members[member % len(self._model.members)]
        found = {}
        for layer, inputs in wired(self._layers):
            if layer.name in self._wanted and layer.name in trained.weights:
                own = self._fitted(layer, inputs, trained)
                if own is not None and tuple(w.shape for w in own) == self._wanted[layer.name]:
                    found[layer.name] = own
        return found

    def _fitted(self, layer: Layer, inputs: tuple[str, ...], trained: Member) -> tuple[Array, Array] | None:
        kernel, bias = trained.weights[layer.name]
        if inputs == (ABSORBER,):
            if len(kernel) != len(self._model.seen):
                return None
            known = self._model.trained_absorbers
            typical = kernel[list(known.values())].mean(axis=0)
            rows = [kernel[known[a]] if a in known else typical for a in self._absorbers]
            return np.stack(rows), bias
        energies, origin = self._model.grid
        if layer is not self._layers[-1] or layer.kind != "dense":
            return kernel, bias
        if origin != self._grid.origin or kernel.shape[-1] != energies.size:
            return None
        return _at(kernel, energies, self._grid.energies), _at(bias, energies, self._grid.energies)


def _at(values: Array, energies: npt.NDArray[np.float64], wanted: npt.NDArray[np.float64]) -> Array:
    """Values along their last axis, of ``energies``, interpolated to the wanted ones."""
    rows = np.atleast_2d(values)
    found = np.stack([np.interp(wanted, energies, row) for row in rows]).astype(np.float32)
    return found.reshape(*values.shape[:-1], wanted.size)


def frozen_layers(layers: Sequence[Layer], n: int) -> list[str]:
    """Names of the first ``n`` layers that have weights.

    Raises
    ------
    ModelError
        If that leaves none to train.
    """
    names = [layer.name for layer in layers if layer.kind in ("dense", "convolution")]
    if n >= len(names):
        raise ModelError(f"`freeze` {n}: the network has {len(names)} layers with weights; leave at least one to train")
    return names[:n]
