"""Values of options that the shell proposes; the library decides what is taken, and says what is wrong with others."""

from collections.abc import Callable, Iterable
from importlib import import_module

import click
from click.shell_completion import CompletionItem


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

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Those that begin as what is typed."""
        return [CompletionItem(name) for name in self.names() if name.startswith(incomplete)]


def choice(key: str) -> Known:
    """The values that a key of the configuration may have."""
    return Known("config_checks", "CHOICES", key)


EDGE = Known("spectra.edges", "EDGES")
PART = Known("splits", "PARTS")
PRESET = Known("descriptors", "presets")
BROADENING = Known("config_checks", "BROADENINGS")
