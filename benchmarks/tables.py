"""Markdown tables and the numbers in them."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

DIGITS = 5
"""That are kept of a figure."""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table."""
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def number(value: float) -> str:
    """Three digits at least, and thousands apart."""
    if value == 0:
        return "0"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:,.{digits}f}"


def percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def times(value: float) -> str:
    return f"{number(value)} ×"


def paragraph(text: str) -> str:
    """The words of a text, in lines of 140 characters."""
    return textwrap.fill(" ".join(text.split()), 140, break_long_words=False, break_on_hyphens=False)


def rounded(value: Any) -> Any:
    """With figures cut to a few digits."""
    if isinstance(value, Mapping):
        return {key: rounded(v) for key, v in value.items()}
    if isinstance(value, list):
        return [rounded(v) for v in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def aims(goals: Iterable[tuple[str, str, bool]]) -> list[str]:
    """What was aimed at, what was measured, and whether that is reached, as a table."""
    rows = [[aim, measured, "reached" if reached else "**missed**"] for aim, measured, reached in goals]
    return table(["aim", "measured", ""], rows)
