"""Find plug-ins by name: modules of our packages, and entry points of other distributions.

Our module is preferred if both have the same name.
"""

import importlib
import pkgutil
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from xanes_hpc.errors import XanesHpcError
from xanes_hpc.runtime.nearest import did_you_mean


@dataclass(frozen=True)
class Plugins:
    """The plug-ins of one kind.

    Attributes
    ----------
    kind
        What a plug-in is, for errors, such as ``descriptor``.
    package
        Our package, whose public modules define ``PLUGIN``.
    group
        Entry point group of other distributions' plug-ins.
    error
        Type of the error if a plug-in is missing or cannot be loaded.
    others
        Public modules of the package that are not plug-ins.
    """

    kind: str
    package: str
    group: str
    error: type[XanesHpcError]
    others: tuple[str, ...] = ()

    def own_names(self) -> list[str]:
        """Return the names of the plug-ins in our package."""
        path = importlib.import_module(self.package).__path__
        modules = [m.name for m in pkgutil.iter_modules(path) if not m.name.startswith("_")]
        return sorted(name for name in modules if name not in self.others)

    def names(self) -> list[str]:
        """Return the names of all plug-ins, including those of other distributions."""
        return sorted({*self.own_names(), *(entry.name for entry in entry_points(group=self.group))})

    def find(self, name: str) -> Any:
        """Return the plug-in called ``name``.

        Raises
        ------
        XanesHpcError
            Of the type ``error``, naming the nearest plug-in, or the distribution whose plug-in cannot be loaded.
        """
        if name in self.own_names():  # avoids a search through all installed distributions
            return importlib.import_module(f"{self.package}.{name}").PLUGIN
        known = self.names()
        if name not in known:
            hint = did_you_mean(name, known, f"expected one of {', '.join(known)}")
            raise self.error(f"no {self.kind} is called {name!r}{hint}")
        (entry, *_) = entry_points(group=self.group, name=name)
        try:
            return entry.load()
        except Exception as problem:
            source = entry.dist.name if entry.dist else entry.value
            why = " ".join(f"{type(problem).__name__}: {problem}".split())
            raise self.error(f"{self.kind} {name} of {source} cannot be loaded: {why}") from problem
