"""Every error a user can cause. The command line prints their one-line message and exits with code 2."""

import re

MOST_LISTED = 10_000
"""Reasons, of items that could not be used, that a summary lists one by one; all are counted."""


class XanesHpcError(Exception):
    """Root of the errors this package raises on bad input; the message is one line."""


class FormatError(XanesHpcError, ValueError):
    """A foreign file (structure or spectrum) that cannot be used."""


class AbsorberError(XanesHpcError, ValueError):
    """No absorber, or more than one where one is needed."""


class SpectrumError(XanesHpcError, ValueError):
    """A spectrum that cannot be used."""


class UnlikeError(SpectrumError):
    """A measured spectrum that is like none it was held against."""


class StoreError(XanesHpcError, OSError):
    """One of our HDF5 stores, or a model folder, that is missing, damaged, of another kind or in the way."""


class SourceError(StoreError):
    """The structure store behind features that is not named, gone, or of other structures by now."""


class DescriptorError(XanesHpcError, ValueError):
    """A descriptor that is described wrongly or does not fit."""


class ConfigError(XanesHpcError, ValueError):
    """A configuration that cannot be used."""


class ModelError(XanesHpcError, ValueError):
    """A model that does not fit its input."""


def in_a_line(error: Exception) -> str:
    """What an error of another library says, in a line."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def without_backticks(message: str) -> str:
    """Return an error's message with parameter names as plain words, for readers who call no function.

    Examples
    --------
    >>> without_backticks("choose one with `site`")
    'choose one with site'
    """
    return re.sub(r"`(\w+)`", r"\1", message)
