"""The closed set of layers that networks are made of, as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xanes_hpc.errors import ModelError

ACTIVATIONS = ("gelu", "relu", "silu", "tanh", "linear")
WIDEST = 1 << 16


@dataclass(frozen=True)
class Layer:
    """One layer; it takes what the layer before it gives.

    Attributes
    ----------
    kind
        ``dense`` (``units``, weights ``kernel`` (n_in, units) and ``bias`` (units,)), ``activation`` (``function``),
        or ``dropout`` (``rate``; active in training and in prediction).
    name
        Unique in its network; the weights file knows the layer by it.
    """

    kind: str
    name: str
    units: int = 0
    function: str = "linear"
    rate: float = 0.0


def resolve(name: str, parameters: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters over their defaults.

    Raises
    ------
    ModelError
        If a parameter is unknown.
    """
    for key in parameters:
        if key not in defaults:
            raise ModelError(f"architecture {name} has no parameter {key!r}; it has {', '.join(sorted(defaults))}")
    return {**defaults, **parameters}
