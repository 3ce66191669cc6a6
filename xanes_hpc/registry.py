"""Parts found by name: a module of one of our packages, or another distribution's entry point.

A name that both have is our module's.
"""

import difflib
import importlib
import pkgutil
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

from xanes_hpc.errors import XanesHpcError


def own_names(package: ModuleType) -> list[str]:
    """Names of the parts that are modules of ``package``: those that define ``PART``."""
    modules = [m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_")]
    return sorted(n for n in modules if n not in package.NOT_PARTS)


def names(package: ModuleType) -> list[str]:
    """Names of all parts of ``package``: its own, and entry points of the package's name."""
    return sorted({*own_names(package), *(e.name for e in entry_points(group=package.__name__))})


def find(package: ModuleType, name: str, error: type[XanesHpcError]) -> Any:
    """The part called ``name``.

    Raises
    ------
    XanesHpcError
        Of the type ``error``, naming the nearest part there is, or the distribution whose part cannot be loaded.
    """
    if name in own_names(package):  # without a look at all distributions there are
        return importlib.import_module(f"{package.__name__}.{name}").PART
    known, kind = names(package), package.__name__.rpartition(".")[2].rstrip("s")
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(known)}"
        raise error(f"no {kind} is called {name!r}{hint}")
    (entry, *_) = entry_points(group=package.__name__, name=name)
    try:
        return entry.load()
    except Exception as problem:
        source = entry.dist.name if entry.dist else entry.value
        why = " ".join(f"{type(problem).__name__}: {problem}".split())
        raise error(f"{kind} {name} of {source} cannot be loaded: {why}") from problem
