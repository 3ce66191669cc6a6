"""A multilayer perceptron with Monte Carlo dropout after every hidden layer (Gal & Ghahramani, arXiv:1506.02142)."""

from collections.abc import Mapping
from typing import Any

from xanes_hpc.models.architectures._parameters import resolve
from xanes_hpc.models.layers import Layer

DEFAULTS: dict[str, Any] = {"hidden": [512, 512], "activation": "gelu", "dropout": 0.1}


def mlp(parameters: Mapping[str, Any], n_features: int, n_energies: int) -> tuple[dict[str, Any], tuple[Layer, ...]]:
    """Return hidden layers of widths ``hidden``, each with ``activation`` and ``dropout``, and one value per energy.

    Raises
    ------
    ModelError
        If a parameter is unknown or out of range.
    """
    resolved = resolve("mlp", parameters, DEFAULTS)
    layers: list[Layer] = []
    for i, units in enumerate(resolved["hidden"]):
        layers += [
            Layer("dense", f"hidden_{i}", units=units),
            Layer("activation", f"activation_{i}", function=resolved["activation"]),
            Layer("dropout", f"dropout_{i}", rate=float(resolved["dropout"])),
        ]
    return resolved, (*layers, Layer("dense", "output", units=n_energies))


PLUGIN = mlp
