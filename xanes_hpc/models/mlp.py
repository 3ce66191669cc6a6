"""A multilayer perceptron with Monte Carlo dropout after every hidden layer (Gal & Ghahramani, arXiv:1506.02142)."""

from collections.abc import Mapping
from typing import Any

from xanes_hpc.errors import ModelError
from xanes_hpc.models.network import ACTIVATIONS, WIDEST, Layer, resolve

DEFAULTS: dict[str, Any] = {"hidden": [512, 512], "activation": "gelu", "dropout": 0.1}


def mlp(parameters: Mapping[str, Any], n_features: int, n_energies: int) -> tuple[dict[str, Any], tuple[Layer, ...]]:
    """Hidden layers of widths ``hidden``, each followed by ``activation`` and ``dropout``, then one value per energy.

    Raises
    ------
    ModelError
        If a parameter is unknown or out of range.
    """
    resolved = resolve("mlp", parameters, DEFAULTS)
    hidden, activation, rate = resolved["hidden"], resolved["activation"], resolved["dropout"]
    if not isinstance(hidden, list) or not all(type(n) is int and 0 < n <= WIDEST for n in hidden) or not hidden:
        raise ModelError(f"mlp: expected hidden as a list of widths such as [512, 512], received {hidden!r}")
    if activation not in ACTIVATIONS:
        raise ModelError(f"mlp: expected activation {', '.join(ACTIVATIONS)}, received {activation!r}")
    if not isinstance(rate, (int, float)) or not 0 <= rate < 1:
        raise ModelError(f"mlp: expected dropout from 0 to below 1, received {rate!r}")
    layers: list[Layer] = []
    for i, units in enumerate(hidden):
        layers += [
            Layer("dense", f"hidden_{i}", units=units),
            Layer("activation", f"activation_{i}", function=activation),
            Layer("dropout", f"dropout_{i}", rate=float(rate)),
        ]
    return resolved, (*layers, Layer("dense", "output", units=n_energies))


PART = mlp
