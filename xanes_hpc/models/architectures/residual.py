"""A residual multilayer perceptron: the output of every block is added to its input (He et al., arXiv:1512.03385)."""

from collections.abc import Mapping
from typing import Any

from xanes_hpc.models.architectures._parameters import resolve
from xanes_hpc.models.layers import Layer

DEFAULTS: dict[str, Any] = {"width": 256, "blocks": 3, "activation": "silu", "dropout": 0.1}


def residual(
    parameters: Mapping[str, Any], n_features: int, n_energies: int
) -> tuple[dict[str, Any], tuple[Layer, ...]]:
    """Return a hidden layer of ``width``, ``blocks`` more, each added to its input, and one value per energy.

    Every hidden layer is followed by ``activation`` and ``dropout``.

    Raises
    ------
    ModelError
        If a parameter is unknown or out of range.
    """
    resolved = resolve("residual", parameters, DEFAULTS)
    layers: list[Layer] = []
    for i in range(resolved["blocks"] + 1):
        before = layers[-1].name if layers else ""
        layers += [
            Layer("dense", f"hidden_{i}", units=resolved["width"]),
            Layer("activation", f"activation_{i}", function=resolved["activation"]),
            Layer("dropout", f"dropout_{i}", rate=float(resolved["dropout"])),
        ]
        if before:
            layers.append(Layer("add", f"sum_{i}", (before, layers[-1].name)))
    return resolved, (*layers, Layer("dense", "output", units=n_energies))


PLUGIN = residual
