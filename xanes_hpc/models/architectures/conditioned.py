"""A residual network for several absorbing elements and edges.

The absorber scales and shifts every hidden layer (feature-wise linear modulation, Perez et al., arXiv:1709.07871); all
other weights are shared.
"""

from collections.abc import Mapping
from typing import Any

from xanes_hpc.models.architectures._parameters import resolve
from xanes_hpc.models.layers import ABSORBER, Layer

DEFAULTS: dict[str, Any] = {"width": 256, "blocks": 3, "activation": "silu", "dropout": 0.1}


def conditioned(
    parameters: Mapping[str, Any], n_features: int, n_energies: int
) -> tuple[dict[str, Any], tuple[Layer, ...]]:
    """Return the residual architecture with h + a(absorber) · h + b(absorber) before the activation of hidden layers.

    Raises
    ------
    ModelError
        If a parameter is unknown or out of range.
    """
    resolved = resolve("conditioned", parameters, DEFAULTS)
    width = resolved["width"]
    layers: list[Layer] = []
    for i in range(resolved["blocks"] + 1):
        before = layers[-1].name if layers else ""
        layers += [
            Layer("dense", f"scale_{i}", (ABSORBER,), units=width),
            Layer("dense", f"shift_{i}", (ABSORBER,), units=width),
            Layer("dense", f"hidden_{i}", (before,) if before else ("features",), units=width),
            Layer("multiply", f"scaled_{i}", (f"hidden_{i}", f"scale_{i}")),
            Layer("add", f"modulated_{i}", (f"hidden_{i}", f"scaled_{i}", f"shift_{i}")),
            Layer("activation", f"activation_{i}", function=resolved["activation"]),
            Layer("dropout", f"dropout_{i}", rate=float(resolved["dropout"])),
        ]
        if before:
            layers.append(Layer("add", f"sum_{i}", (before, f"dropout_{i}")))
    return resolved, (*layers, Layer("dense", "output", units=n_energies))


PLUGIN = conditioned
