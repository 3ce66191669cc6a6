"""Check the parameters of architectures and fill in their defaults."""

from collections.abc import Callable, Mapping
from typing import Any

from xanes_hpc.errors import ModelError
from xanes_hpc.models.layers import ACTIVATIONS
from xanes_hpc.runtime.nearest import did_you_mean

WIDEST = 1 << 16
DEEPEST = 1 << 10
MOST_STAGES = 10
"""Largest number of stages, each of which doubles the number of positions."""

_Check = tuple[Callable[[Any], bool], str]


def _whole(value: Any, most: int) -> bool:
    return type(value) is int and 0 < value <= most


def _is_dropout(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1


_CHECKS: dict[str, _Check] = {
    "hidden": (
        lambda v: isinstance(v, list) and 0 < len(v) <= DEEPEST and all(_whole(n, WIDEST) for n in v),
        "a list of widths such as [512, 512]",
    ),
    "activation": (lambda v: v in ACTIVATIONS, f"one of {', '.join(ACTIVATIONS)}"),
    "dropout": (_is_dropout, "a number from 0 to below 1"),
    **dict.fromkeys(
        ("width", "channels", "filters"), (lambda v: _whole(v, WIDEST), f"a whole number from 1 to {WIDEST}")
    ),
    **dict.fromkeys(("blocks", "layers"), (lambda v: _whole(v, DEEPEST), f"a whole number from 1 to {DEEPEST}")),
    "radial": (lambda v: _whole(v, WIDEST) and v > 1, f"a whole number from 2 to {WIDEST}"),
    "stages": (lambda v: _whole(v, MOST_STAGES), f"a whole number from 1 to {MOST_STAGES}"),
    "kernel": (lambda v: _whole(v, DEEPEST) and v % 2 == 1, f"an odd whole number from 1 to {DEEPEST}"),
}


def resolve(name: str, parameters: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters with their defaults, after checking those that our own architectures have.

    Raises
    ------
    ModelError
        If a parameter is unknown or out of range.
    """
    for key, value in parameters.items():
        if key not in defaults:
            hint = did_you_mean(key, defaults, f"it has {', '.join(sorted(defaults)) or 'none'}")
            raise ModelError(f"architecture {name} has no parameter {key!r}{hint}")
        fits, expected = _CHECKS.get(key, (lambda v: True, ""))
        if not fits(value):
            raise ModelError(f"{name}: expected {key} as {expected}, received {value!r}")
    return {**defaults, **parameters}
