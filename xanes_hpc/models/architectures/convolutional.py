"""A network of dense layers, which return a coarse spectrum with many channels, and convolutions that refine it."""

from collections.abc import Mapping
from typing import Any

from xanes_hpc.models.architectures._parameters import resolve
from xanes_hpc.models.layers import Layer

DEFAULTS: dict[str, Any] = {
    "hidden": [512, 512],
    "channels": 32,
    "stages": 3,
    "kernel": 5,
    "activation": "gelu",
    "dropout": 0.1,
}


def convolutional(
    parameters: Mapping[str, Any], n_features: int, n_energies: int
) -> tuple[dict[str, Any], tuple[Layer, ...]]:
    """Return hidden layers of widths ``hidden``, a coarse grid of ``channels``, and ``stages`` that double its size.

    A stage repeats every position, convolves the result with a kernel of ``kernel`` positions, and adds that to it.
    Hidden layers and convolutions are followed by ``activation`` and ``dropout``, which drops whole channels in stages.
    The last convolution has one channel.

    Raises
    ------
    ModelError
        If a parameter is unknown or out of range.
    """
    resolved = resolve("convolutional", parameters, DEFAULTS)
    activation, rate = resolved["activation"], float(resolved["dropout"])
    channels, stages, kernel = resolved["channels"], resolved["stages"], resolved["kernel"]
    coarse = -(-n_energies // 2**stages)
    layers: list[Layer] = []
    for i, units in enumerate(resolved["hidden"]):
        layers += [
            Layer("dense", f"hidden_{i}", units=units),
            Layer("activation", f"activation_{i}", function=activation),
            Layer("dropout", f"dropout_{i}", rate=rate),
        ]
    layers += [
        Layer("dense", "coarse", units=coarse * channels),
        Layer("reshape", "grid", size=coarse, units=channels),
    ]
    for i in range(stages):
        layers += [
            Layer("upsample", f"finer_{i}", size=2),
            Layer("convolution", f"convolution_{i}", units=channels, size=kernel),
            Layer("activation", f"stage_activation_{i}", function=activation),
            Layer("dropout", f"stage_dropout_{i}", rate=rate),
            Layer("add", f"stage_{i}", (f"finer_{i}", f"stage_dropout_{i}")),
        ]
    layers += [
        Layer("convolution", "spectrum", units=1, size=kernel),
        Layer("crop", "output", units=n_energies),
    ]
    return resolved, tuple(layers)


PLUGIN = convolutional
