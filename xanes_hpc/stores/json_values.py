"""Check values read from JSON."""

from typing import Any

TOO_LARGE = 1e300
"""Limit for the magnitude of numbers; a comparison with it rejects NaN too."""


def is_count(value: Any) -> bool:
    """Return whether a value is a positive integer."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def is_number(value: Any) -> bool:
    """Return whether a value is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < TOO_LARGE


def is_text(value: Any) -> bool:
    """Return whether a value is a string."""
    return isinstance(value, str)


def is_object(value: Any) -> bool:
    """Return whether a value is an object."""
    return isinstance(value, dict)
