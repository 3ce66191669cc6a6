"""Checks of values that were read from JSON."""

from typing import Any

TOO_LARGE = 1e300
"""For a number: NaN is not below it either."""


def is_count(value: Any) -> bool:
    """Whether a value is a positive whole number."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def is_number(value: Any) -> bool:
    """Whether a value is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < TOO_LARGE


def is_text(value: Any) -> bool:
    """Whether a value is text."""
    return isinstance(value, str)


def is_object(value: Any) -> bool:
    """Whether a value is an object."""
    return isinstance(value, dict)
