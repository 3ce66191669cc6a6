"""Errors that users can cause; the command line prints their one-line message and exits with code 2."""

import re
from collections.abc import Sequence

MOST_NAMED = 5
"""Largest number of reasons that the message of an error names."""
MOST_LISTED = 10_000
"""Largest number of skipped items that a summary lists with their reasons; all of them are counted."""


def note_reason(reasons: list[str], reason: object) -> None:
    """Append a reason to a list, unless the list has ``MOST_LISTED`` already."""
    if len(reasons) < MOST_LISTED:
        reasons.append(str(reason))


def first_reasons(reasons: Sequence[str], n: int) -> str:
    """Return the first of ``n`` reasons in one line, and how many more there are.

    Examples
    --------
    >>> first_reasons(["a: no atoms", "b: no cell"], 2)
    'a: no atoms; b: no cell'
    """
    more = f"; and {n - MOST_NAMED:,} more" if n > MOST_NAMED else ""
    return "; ".join(reasons[:MOST_NAMED]) + more


class XanesHpcError(Exception):
    """Base class of the errors that this package raises for bad input; the message is one line."""


class FormatError(XanesHpcError, ValueError):
    """A foreign file, such as a structure or spectrum, cannot be used."""


class AbsorberError(XanesHpcError, ValueError):
    """A structure has no absorber, or several where one is expected."""


class SpectrumError(XanesHpcError, ValueError):
    """A spectrum cannot be used."""


class RecurringError(SpectrumError):
    """A spectrum cannot be used for a reason that many spectra of a set may share.

    Parameters
    ----------
    fact
        What is wrong with this spectrum.
    advice
        What to do about it.
    kind
        The reason in words that fit all such spectra.
    advice_for_all
        What to do about several; by default as for one.
    shift
        Energy in eV that would put this spectrum's edge at e0, if that is what is wrong.
    """

    def __init__(
        self, fact: str, advice: str, kind: str, advice_for_all: str | None = None, shift: float | None = None
    ) -> None:
        super().__init__(fact, advice, kind, advice_for_all, shift)
        self.advice, self.kind, self.advice_for_all, self.shift = advice, kind, advice_for_all or advice, shift

    def __str__(self) -> str:
        return f"{self.args[0]}; {self.advice}"


class UnlikeError(SpectrumError):
    """A measured spectrum resembles none of the spectra it was compared with."""


class StoreError(XanesHpcError, OSError):
    """A store or model folder is missing, damaged or of another kind, or an output may not be replaced."""


class SourceError(StoreError):
    """The structure store of a feature store is not recorded, is missing, or has other structures."""


class DescriptorError(XanesHpcError, ValueError):
    """A descriptor's description is invalid, or does not match the data."""


class ConfigError(XanesHpcError, ValueError):
    """A setting or parameter is invalid."""


class ModelError(XanesHpcError, ValueError):
    """A model does not match its input."""


def reworded(error: XanesHpcError, message: str) -> XanesHpcError:
    """Return an error of the same class, with the same advice, and another message."""
    return type(error)(message, *error.args[1:])


def first_line(error: BaseException) -> str:
    """Return the first line of another library's error, or its type if it has no message."""
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)  # a KeyError quotes its message
    return text.splitlines()[0] if text else type(error).__name__


def without_backticks(message: str) -> str:
    """Return an error's message with parameter names as plain words, for readers who do not use Python.

    Examples
    --------
    >>> without_backticks("choose one with `site`")
    'choose one with site'
    """
    return re.sub(r"`(\w+)`", r"\1", message)
