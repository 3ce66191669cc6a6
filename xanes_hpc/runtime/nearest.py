"""Suggest the nearest known name for an unknown one."""

import difflib
import os
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

MOST_BESIDE = 10_000
"""Largest number of a folder's entries that are searched for similar names."""


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return the end of an error about an unknown name: the nearest known name, or ``otherwise``.

    Examples
    --------
    >>> "unknown key 'epoch'" + did_you_mean("epoch", ["epochs", "seed"])
    "unknown key 'epoch'; did you mean 'epochs'?"
    >>> "unknown key 'x'" + did_you_mean("x", ["epochs", "seed"], "expected one of epochs, seed")
    "unknown key 'x'; expected one of epochs, seed"
    """
    found = difflib.get_close_matches(name, list(known), 1)
    if not found:
        return f"; {otherwise}" if otherwise else ""
    return f"; did you mean {found[0]!r}?"


def did_you_mean_path(path: Path) -> str:
    """Return the end of an error about a missing path: the entry of its folder with the most similar name, if any."""
    try:
        names = [entry.name for entry in islice(os.scandir(path.parent), MOST_BESIDE)]
    except OSError:
        return ""
    found = difflib.get_close_matches(path.name, names, 1, 0.75)
    return f"; did you mean {path.with_name(found[0])}?" if found else ""
