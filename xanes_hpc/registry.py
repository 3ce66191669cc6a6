"""Parts found by name: a module of one of our packages, or another distribution's entry point."""

import difflib
import importlib
import pkgutil
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

from xanes_hpc.errors import XanesHpcError


def names(package: ModuleType) -> list[str]:
    """Names of all parts of ``package``: its modules that define ``PART``, and entry points of the package's name."""
    own = [m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_")]
    own = [n for n in own if n not in package.NOT_PARTS]
    return sorted({*own, *(e.name for e in entry_points(group=package.__name__))})


def find(package: ModuleType, name: str, error: type[XanesHpcError]) -> Any:
    """The part called ``name``.

    Raises
    ------
    XanesHpcError
        Of the type ``error``, naming the nearest part there is.
    """
    known = names(package)
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(known)}"
        raise error(f"no {package.__name__.rpartition('.')[2].rstrip('s')} is called {name!r}{hint}")
    for entry in entry_points(group=package.__name__, name=name):
        return entry.load()
    return importlib.import_module(f"{package.__name__}.{name}").PART
