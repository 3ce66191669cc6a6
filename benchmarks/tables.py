"""Markdown tables and the numbers in them."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

DIGITS = 5
"""Significant digits kept in the results."""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def number(value: float) -> str:
    """Format with at least three digits and with separators between thousands."""
    if value == 0:
        return "0"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:,.{digits}f}"


def percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def times(value: float) -> str:
    return f"{number(value)} ×"


def paragraph(text: str) -> str:
    """Wrap a text at 140 characters."""
    return textwrap.fill(" ".join(text.split()), 140, break_long_words=False, break_on_hyphens=False)


def rounded(value: Any) -> Any:
    """Return a copy of nested results with floats cut to ``DIGITS`` significant digits."""
    if isinstance(value, Mapping):
        return {key: rounded(v) for key, v in value.items()}
    if isinstance(value, list):
        return [rounded(v) for v in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def aims(goals: Iterable[tuple[str, str, bool]]) -> list[str]:
    """Return a table of goals: the goal, the measured figure, and whether it is reached."""
    rows = [[goal, measured, "reached" if reached else "**missed**"] for goal, measured, reached in goals]
    return table(["goal", "measured", ""], rows)
