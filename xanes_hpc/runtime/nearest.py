"""Suggest the nearest known name for an unknown one."""

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most similar to another; None if none is similar.

    Examples
    --------
    >>> nearest("epoch", ["epochs", "seed"])
    'epochs'
    """
    return next(iter(difflib.get_close_matches(name, list(known), 1)), None)


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return the end of an error about an unknown name: the nearest known name, or ``otherwise``.

    Examples
    --------
    >>> "unknown key 'epoch'" + did_you_mean("epoch", ["epochs", "seed"])
    "unknown key 'epoch'; did you mean 'epochs'?"
    >>> "unknown key 'x'" + did_you_mean("x", ["epochs", "seed"], "expected one of epochs, seed")
    "unknown key 'x'; expected one of epochs, seed"
    """
    found = nearest(name, known)
    if found is None:
        return f"; {otherwise}" if otherwise else ""
    return f"; did you mean {found!r}?"
