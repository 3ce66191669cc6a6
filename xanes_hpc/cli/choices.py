"""Option values that the shell completes; the library decides which ones are valid, and reports the others."""

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

from xanes_hpc.errors import XanesHpcError


class Known(click.types.StringParamType):
    """Text with known values, which the shell completes; near misses are refused.

    Parameters
    ----------
    module
        Module of the package that has the values; imported only when they are needed.
    attribute
        Name of the values in it, or of a function that returns them.
    key
        If the attribute is a dictionary: the key under which the values are.
    """

    name = "text"

    def __init__(self, module: str, attribute: str, key: str | None = None) -> None:
        self._module, self._attribute, self._key = module, attribute, key

    def names(self) -> list[str]:
        """Return the known values."""
        found: Callable[[], Iterable[str]] | Iterable[str] = getattr(
            import_module(f"xanes_hpc.{self._module}"), self._attribute
        )
        if callable(found):
            found = found()
        values = found[self._key] if isinstance(found, dict) and self._key is not None else found
        return [value for value in values if value is not None]

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the text, unless it looks like a misspelt known value."""
        try:
            known = {name.lower(): name for name in self.names()}
        except XanesHpcError:  # a broken plug-in: the library reports it if it is used
            known = {}
        text = str(value).lower()
        if text not in known and (near := get_close_matches(text, list(known), 1)):
            self.fail(f"{_expected(known.values(), value)}; did you mean {known[near[0]]!r}?", param, ctx)
        return super().convert(value, param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Complete the known values."""
        return [CompletionItem(name) for name in self.names() if name.startswith(incomplete)]


def _expected(names: Iterable[str], value: Any) -> str:
    return f"expected {', '.join(names)}, received {value!r}"


class Choice(click.Choice):  # type: ignore[type-arg]  # not generic in all versions
    """One of several texts; the error for any other one suggests the nearest."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the text, or suggest the nearest one."""
        names = [str(choice) for choice in self.choices]
        if isinstance(value, str) and value not in names and (near := get_close_matches(value, names, 1)):
            self.fail(f"{_expected(names, value)}; did you mean {near[0]!r}?", param, ctx)
        return super().convert(value, param, ctx)


def choice(key: str) -> Known:
    """Return the type of an option that sets a key of the configuration."""
    return Known("config.checks", "CHOICES", key)


EDGE = Known("spectra.edges", "EDGES")
SET = Known("models.training_sites", "SETS")
PRESET = Known("descriptors", "presets")
BROADENING = Known("spectra.recipe", "BROADENINGS")
