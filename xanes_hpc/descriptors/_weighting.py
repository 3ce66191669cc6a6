"""Weightings of symmetry functions as read from a description: weights of elements, and the weighted functions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xanes_hpc.descriptors._elements import Vector, channels, table
from xanes_hpc.descriptors._functions import FUNCTIONS, KINDS, Functions
from xanes_hpc.descriptors._values import is_number
from xanes_hpc.descriptors.base import check_keys
from xanes_hpc.errors import DescriptorError


@dataclass(frozen=True)
class Weighting:
    """Weight tables over Z (n_channels, 119), one name per channel, and the weighted functions.

    ``given`` is its description with every number filled in; ``cutoff`` is the cutoff of its functions, in Å.
    """

    given: dict[str, Any]
    names: list[str]
    tables: Vector
    functions: tuple[Functions, ...]
    cutoff: float

    @classmethod
    def read(cls, index: int, given: Mapping[str, Any], longest: float) -> "Weighting":
        """Read one ``[[weighting]]`` of a description whose cutoff is ``longest``."""
        where = f"weighting {index + 1}"
        check_keys(where, given, {"weights", "scale", "elements", "cutoff", *FUNCTIONS})
        if ("weights" in given) == ("elements" in given):
            raise DescriptorError(f"{where}: expected either weights or elements")
        told: dict[str, Any]
        if "elements" in given:
            check_keys(f"{where} by elements", given, {"elements", "cutoff", *FUNCTIONS})
            names, tables = channels(where, given["elements"])
            told = {"elements": [list(e) if isinstance(e, (list, tuple)) else e for e in given["elements"]]}
        else:
            scale = given.get("scale", 1.0)
            if not is_number(scale):
                raise DescriptorError(f"{where}: expected a finite number for scale, received {scale!r}")
            told = {"weights": given["weights"], "scale": float(scale)}
            names, tables = table(where, **told)
        cutoff = given.get("cutoff", longest)
        if not is_number(cutoff) or not 0 < cutoff <= longest:
            raise DescriptorError(f"{where}: expected a cutoff above 0 and up to {longest:g} Å, received {cutoff!r}")
        if cutoff < longest:
            told["cutoff"] = float(cutoff)
        functions = tuple(kind.read(f"{where}, {kind.key}", given[kind.key]) for kind in KINDS if kind.key in given)
        if not functions:
            raise DescriptorError(f"{where}: expected at least one of {', '.join(FUNCTIONS)}")
        told |= {own.key: own.describe() for own in functions}
        return cls(told, names, tables, functions, float(cutoff))
