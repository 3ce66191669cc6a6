"""What is used of a model's description, ``model.json``, and what each value of it must be."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from xanes_hpc.errors import StoreError


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and bool(np.isfinite(value))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_grid(value: Any) -> bool:
    return (
        isinstance(value, list) and len(value) > 1 and all(map(_is_number, value)) and bool((np.diff(value) > 0).all())
    )


def _is_seen(value: Any) -> bool:
    return isinstance(value, list) and all(
        _is_object(s) and _is_text(s.get("element")) and _is_text(s.get("edge")) and _is_number(s.get("e0"))
        for s in value
    )


def is_calibration(value: Any) -> bool:
    """Whether a value is a calibration: a positive factor on sigma and conformal scores; empty beforehand."""
    if not _is_object(value) or not value:
        return _is_object(value)
    scores = value.get("conformal")
    return (
        _is_number(value.get("sigma_scale"))
        and value["sigma_scale"] > 0
        and isinstance(scores, list)
        and all(_is_object(s) and _is_number(s.get("level")) and _is_number(s.get("score")) for s in scores)
    )


NOT_CALIBRATED = {"sigma_scale": 1.0, "conformal": []}
"""In place of an empty calibration."""
CALIBRATION = "an object with a positive sigma_scale and a list conformal of levels and scores"
_USED: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(
        ("creator", "architecture.name", "target.kind", "target.treatment", "target.unit", "descriptor.hash"),
        (_is_text, "text"),
    ),
    **dict.fromkeys(("architecture.parameters", "descriptor.description", "provenance"), (_is_object, "an object")),
    **dict.fromkeys(("n_features", "members"), (_is_count, "a positive integer")),
    "grid.energies": (_is_grid, "a list of two or more ascending finite numbers"),
    "grid.origin": (lambda value: value in ("e0", "absolute"), "e0 or absolute"),
    "seen": (_is_seen, "a list of objects with element, edge and e0"),
    "calibration": (is_calibration, CALIBRATION),
}
"""What is used of ``model.json``: what each value must be, and in words."""


def check_description(file: Path, description: dict[str, Any]) -> None:
    """Hold a model's description to what is used of it.

    Raises
    ------
    StoreError
        Naming the file and the first key that is missing or wrong.
    """
    for key, (fits, expected) in _USED.items():
        value: Any = description
        for name in key.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if not fits(value):
            received = "nothing" if value is None else json.dumps(value, ensure_ascii=False)
            received = received if len(received) <= 60 else received[:57] + "..."
            raise StoreError(f"{file}: damaged: {key}: expected {expected}, received {received}")
