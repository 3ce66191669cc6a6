"""Proposes the nearest known name for one that is unknown."""

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like another; None if none is.

    Examples
    --------
    >>> nearest("epoch", ["epochs", "seed"])
    'epochs'
    """
    return next(iter(difflib.get_close_matches(name, list(known), 1)), None)


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return the end of an error about an unknown name: the nearest known one, or ``otherwise``.

    Examples
    --------
    >>> "unknown key 'epoch'" + did_you_mean("epoch", ["epochs", "seed"])
    "unknown key 'epoch'; did you mean 'epochs'?"
    >>> "unknown key 'x'" + did_you_mean("x", ["epochs", "seed"], "there are epochs, seed")
    "unknown key 'x'; there are epochs, seed"
    """
    found = nearest(name, known)
    if found is None:
        return f"; {otherwise}" if otherwise else ""
    return f"; did you mean {found!r}?"
