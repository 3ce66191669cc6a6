"""Start from a trained model: bring its weights to the new network's absorbers and energies."""

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
    """A trained model as the starting point of a new one.

    Parameters
    ----------
    model
        The trained model.
    layers, n_features
        The new model's network and number of features.
    descriptor_hash
        Hash of the descriptor of the new model's features.
    absorbers
        Elements (symbols) and edges of the new model.
    grid
        The new model's energies.
    frozen
        Names of the layers that keep the trained weights.

    Raises
    ------
    ModelError
        If the descriptors differ, no weights of the trained model match, or a frozen layer has none.
    """

    def __init__(
        self, model: Model, layers: Sequence[Layer], n_features: int, descriptor_hash: str,
        absorbers: Sequence[tuple[str, str]], grid: Grid, frozen: Sequence[str] = (),
    ) -> None:  # fmt: skip
        if model.descriptor_hash != descriptor_hash:
            raise ModelError(
                f"{model.path}: expected features of descriptor {model.descriptor_hash}, received {descriptor_hash}; "
                "featurise with the model's descriptor"
            )
        self._model, self._layers, self._absorbers, self._grid = model, layers, absorbers, grid
        self._wanted = weight_shapes(layers, n_features, len(absorbers))
        taken = self.weights(0)
        if not taken:
            raise ModelError(f"{model.path}: no layer matches the new network; use this model's architecture")
        for name in frozen:
            if name not in taken:
                raise ModelError(
                    f"`freeze` {len(frozen)}: {model.path} has no weights for layer {name}; freeze fewer layers, or "
                    "use its architecture"
                )

    @property
    def taken_over(self) -> tuple[int, int]:
        """Number of layers that start with the trained model's weights, and number of all layers with weights."""
        return len(self.weights(0)), len(self._wanted)

    @property
    def sites(self) -> list[tuple[str, str]]:
        """Names and formulas of the sites that the trained model was trained on."""
        return self._model.training_sites.trained_on

    def scalers(self, own: Scalers) -> Scalers:
        """Return the new model's scalers, with the trained model's scaling of the features."""
        trained = self._model.members[0].scalers
        return replace(
            own,
            feature_mean=trained.feature_mean,
            feature_scale=trained.feature_scale,
            transform=trained.transform,
        )

    def weights(self, member: int) -> Weights:
        """Return a member's initial weights by layer, for the layers whose trained weights match or can be adapted."""
        trained = self._model.members[member % len(self._model.members)]
        found = {}
        for layer, inputs in wired(self._layers):
            if layer.name in self._wanted and layer.name in trained.weights:
                own = self._adapted(layer, inputs, trained)
                if own is not None and tuple(w.shape for w in own) == self._wanted[layer.name]:
                    found[layer.name] = own
        return found

    def _adapted(self, layer: Layer, inputs: tuple[str, ...], trained: Member) -> tuple[Array, Array] | None:
        """Return a layer's weights for the new absorbers or energies; None if they cannot be adapted."""
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
        new = self._grid.energies
        return _interpolated(kernel, energies, new), _interpolated(bias, energies, new)


def _interpolated(values: Array, energies: npt.NDArray[np.float64], wanted: npt.NDArray[np.float64]) -> Array:
    """Return values interpolated along their last axis from ``energies`` to ``wanted``."""
    rows = np.atleast_2d(values)
    found = np.stack([np.interp(wanted, energies, row) for row in rows]).astype(np.float32)
    return found.reshape(*values.shape[:-1], wanted.size)


def frozen_layers(layers: Sequence[Layer], n: int) -> list[str]:
    """Return the names of the first ``n`` layers that have weights.

    Raises
    ------
    ModelError
        If that leaves no layer to train.
    """
    names = [layer.name for layer in layers if layer.kind in ("dense", "convolution", "embedding")]
    if n >= len(names):
        raise ModelError(f"`freeze` {n}: the network has {len(names)} layers with weights; leave at least one to train")
    return names[:n]
