"""Values of options that the shell proposes; the library decides what is taken, and says what is wrong with others."""

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

from xanes_hpc.errors import XanesHpcError


class Known(click.types.StringParamType):
    """Text, of which some is known.

    Parameters
    ----------
    module
        Of the package, with the names: imported only when they are asked for.
    attribute
        The names, or a function that gives them.
    key
        Of a mapping, whose value the names are.
    """

    name = "text"

    def __init__(self, module: str, attribute: str, key: str | None = None) -> None:
        self._module, self._attribute, self._key = module, attribute, key

    def names(self) -> list[str]:
        """What is known."""
        found: Callable[[], Iterable[str]] | Iterable[str] = getattr(
            import_module(f"xanes_hpc.{self._module}"), self._attribute
        )
        if callable(found):
            found = found()
        return list(found[self._key] if isinstance(found, dict) and self._key is not None else found)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The text; one that is nearly known is a slip."""
        try:
            known = {name.lower(): name for name in self.names()}
        except XanesHpcError:  # another distribution's part, broken: the library says so if it is wanted
            known = {}
        text = str(value).lower()
        if text not in known and (near := get_close_matches(text, list(known), 1)):
            self.fail(f"{_expected(known.values(), value)}; did you mean {known[near[0]]!r}?", param, ctx)
        return super().convert(value, param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Those that begin as what is typed."""
        return [CompletionItem(name) for name in self.names() if name.startswith(incomplete)]


def _expected(names: Iterable[str], value: Any) -> str:
    return f"expected {', '.join(names)}, received {value!r}"


class Choice(click.Choice):  # type: ignore[type-arg]  # not generic in all versions
    """One of several texts; the nearest is proposed in the place of one that is none of them."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The text."""
        names = [str(choice) for choice in self.choices]
        if isinstance(value, str) and value not in names and (near := get_close_matches(value, names, 1)):
            self.fail(f"{_expected(names, value)}; did you mean {near[0]!r}?", param, ctx)
        return super().convert(value, param, ctx)


def choice(key: str) -> Known:
    """The values that a key of the configuration may have."""
    return Known("config.checks", "CHOICES", key)


EDGE = Known("spectra.edges", "EDGES")
PART = Known("models.training_sites", "PARTS")
PRESET = Known("descriptors", "presets")
BROADENING = Known("spectra.recipe", "BROADENINGS")
