"""Weights of neighbours by element: one number for each, or a channel for each group of elements."""

from typing import Any

import numpy as np
import numpy.typing as npt
from ase.data import atomic_numbers, chemical_symbols

from xanes_hpc.descriptors._electronegativity import PAULING
from xanes_hpc.descriptors.base import N_ELEMENTS
from xanes_hpc.errors import DescriptorError

Vector = npt.NDArray[np.float64]


def table(where: str, weights: Any, scale: float) -> tuple[list[str], Vector]:
    """Return the name of a weighting of all elements, and its table in a list.

    Raises
    ------
    DescriptorError
        If there is no such weighting.
    """
    z = np.arange(N_ELEMENTS, dtype=np.float64)
    pauling = np.array([PAULING.get(symbol, 0.0) for symbol in chemical_symbols[:N_ELEMENTS]])
    known = {"Z": z, "one": np.where(z > 0, 1.0, 0.0), "electronegativity": pauling}
    if not isinstance(weights, str) or weights not in known:
        raise DescriptorError(f"{where}: expected weights Z, one or electronegativity, received {weights!r}")
    label = weights if scale == 1.0 else f"{scale:g}{weights}"
    return [label], scale * known[weights][None]


def channels(where: str, entries: Any) -> tuple[list[str], Vector]:
    """Return the names of groups of elements, and a table of ones for each.

    Raises
    ------
    DescriptorError
        If it is not a list of elements or groups, each element once.
    """
    listed = entries if isinstance(entries, (list, tuple)) else []
    groups = [list(e) if isinstance(e, (list, tuple)) else [e] for e in listed]
    if not groups or not all(groups):
        raise DescriptorError(f"{where}: expected a list of elements or groups of elements, received {entries!r}")
    tables = np.zeros((len(groups), N_ELEMENTS))
    if groups.count(["other"]) > 1:
        raise DescriptorError(f"{where}: elements: 'other' is listed twice")
    for row, group in enumerate(groups):
        for symbol in group:
            if group == ["other"]:
                continue
            if not isinstance(symbol, str) or symbol not in atomic_numbers or symbol == "X":
                raise DescriptorError(f"{where}: expected element symbols or 'other', received {symbol!r}")
            if tables[:, atomic_numbers[symbol]].any():
                raise DescriptorError(f"{where}: elements: {symbol} is listed twice")
            tables[row, atomic_numbers[symbol]] = 1.0
    if ["other"] in groups:
        tables[groups.index(["other"])] = ~tables.any(axis=0)
        tables[:, 0] = 0.0
    return ["+".join(group) for group in groups], tables
