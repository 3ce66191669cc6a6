"""Weightings of symmetry functions as read from a description: weight tables over Z, and the weighted functions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ase.data import atomic_numbers, chemical_symbols

from xanes_hpc.descriptors._electronegativity import PAULING
from xanes_hpc.descriptors._values import is_number
from xanes_hpc.descriptors.base import N_ELEMENTS, check_keys
from xanes_hpc.errors import DescriptorError

Vector = npt.NDArray[np.float64]
STYLES = {"shifted": {"style", "n", "r_min", "r_max"}, "centred": {"style", "n", "r_min", "r_max", "keep"}}
"""The keys of each style."""
FUNCTIONS = ("g2", "g4", "paths")
"""The keys of functions in a weighting."""


@dataclass(frozen=True)
class Gaussians:
    """Radial Gaussians exp(-eta (r - mu)^2): ``mu`` in Å, ``eta`` in 1/Å², both (n,)."""

    mu: Vector
    eta: Vector

    @classmethod
    def read(cls, where: str, given: Mapping[str, Any], more: frozenset[str] = frozenset()) -> "Gaussians":
        """Read Gaussians given by ``mu`` and ``eta`` or by a style; keys in ``more`` are allowed and ignored."""
        check_keys(where, given, {"mu", "eta", *STYLES["centred"], *more})
        if "style" not in given:
            check_keys(f"{where} without a style", given, {"mu", "eta", *more})
            mu, eta = _numbers(where, given, "mu"), _numbers(where, given, "eta")
            if mu.size != eta.size:
                raise DescriptorError(f"{where}: expected as many mu as eta, received {mu.size} and {eta.size}")
            if (eta < 0).any():
                raise DescriptorError(f"{where}: expected eta >= 0, received {eta.min():g}")
            return cls(mu, eta)
        style, n, low, high = (given.get(key) for key in ("style", "n", "r_min", "r_max"))
        if not isinstance(style, str) or style not in STYLES:
            raise DescriptorError(f"{where}: expected style shifted or centred, received {style!r}")
        check_keys(f"{where} with style {style}", given, {*STYLES[style], *more})
        if type(n) is not int or n < 2 or not is_number(low) or not is_number(high):
            raise DescriptorError(f"{where}: a style needs n (at least 2), r_min and r_max")
        first, last = float(low) + (0.5 if style == "shifted" else 1.0), float(high) - 0.5
        if not 0 < first < last:
            raise DescriptorError(f"{where}: expected ascending radii above 0, received {first:g} to {last:g} Å")
        r = np.linspace(first, last, n)
        if style == "shifted":
            return cls(r, np.full(n, 1.0 / (2.0 * (r[1] - r[0]) ** 2)))
        keep = given.get("keep", n)
        if type(keep) is not int or not 1 <= keep <= n:
            raise DescriptorError(f"{where}: expected keep from 1 to n, received {keep!r}")
        return cls(np.zeros(keep), 1.0 / (2.0 * r[:keep] ** 2))


@dataclass(frozen=True)
class Weighting:
    """Weight tables over Z (n_channels, 119), one label per channel, and the weighted functions.

    ``cutoff`` is the cutoff of these functions, in Å.
    """

    given: dict[str, Any]
    labels: list[str]
    tables: Vector
    g2: Gaussians | None
    g4: Gaussians | None
    lambdas: Vector
    zetas: Vector
    paths: Gaussians | None
    path_zetas: Vector
    cutoff: float

    @classmethod
    def read(cls, index: int, given: Mapping[str, Any], longest: float) -> "Weighting":
        """Read one ``[[weighting]]`` of a description whose cutoff is ``longest``."""
        where = f"weighting {index + 1}"
        check_keys(where, given, {"weights", "scale", "elements", "cutoff", *FUNCTIONS})
        if ("weights" in given) == ("elements" in given):
            raise DescriptorError(f"{where}: expected either weights or elements")
        weights: dict[str, Any]
        if "elements" in given:
            check_keys(f"{where} by elements", given, {"elements", "cutoff", *FUNCTIONS})
            labels, tables = _channels(where, given["elements"])
            weights = {"elements": [list(e) if isinstance(e, (list, tuple)) else e for e in given["elements"]]}
        else:
            scale = given.get("scale", 1.0)
            if not is_number(scale):
                raise DescriptorError(f"{where}: expected a finite number for scale, received {scale!r}")
            weights = {"weights": given["weights"], "scale": float(scale)}
            labels, tables = _table(where, **weights)
        cutoff = given.get("cutoff", longest)
        if not is_number(cutoff) or not 0 < cutoff <= longest:
            raise DescriptorError(f"{where}: expected a cutoff above 0 and up to {longest:g} Å, received {cutoff!r}")
        if cutoff < longest:
            weights["cutoff"] = float(cutoff)
        g2 = g4 = paths = None
        lambdas = zetas = path_zetas = np.empty(0)
        if "g2" in given:
            g2 = Gaussians.read(f"{where}, g2", given["g2"])
            weights["g2"] = {"mu": g2.mu.tolist(), "eta": g2.eta.tolist()}
        if "g4" in given:
            g4 = Gaussians.read(f"{where}, g4", given["g4"], frozenset({"lambda", "zeta"}))
            lambdas, zetas = (_numbers(f"{where}, g4", given["g4"], key) for key in ("lambda", "zeta"))
            if (abs(lambdas) > 1).any() or (zetas <= 0).any():
                raise DescriptorError(f"{where}, g4: expected lambda from -1 to 1 and zeta above 0")
            weights["g4"] = {
                "mu": g4.mu.tolist(),
                "eta": g4.eta.tolist(),
                "lambda": lambdas.tolist(),
                "zeta": zetas.tolist(),
            }
        if "paths" in given:
            paths = Gaussians.read(f"{where}, paths", given["paths"], frozenset({"zeta"}))
            path_zetas = _numbers(f"{where}, paths", given["paths"], "zeta")
            if (path_zetas < 0).any():
                raise DescriptorError(f"{where}, paths: expected zeta of at least 0")
            weights["paths"] = {"mu": paths.mu.tolist(), "eta": paths.eta.tolist(), "zeta": path_zetas.tolist()}
        if not any(name in given for name in FUNCTIONS):
            raise DescriptorError(f"{where}: expected at least one of {', '.join(FUNCTIONS)}")
        return cls(weights, labels, tables, g2, g4, lambdas, zetas, paths, path_zetas, float(cutoff))


def _numbers(where: str, given: Mapping[str, Any], key: str) -> Vector:
    try:
        numbers = np.array(given[key], np.float64).reshape(-1)
    except KeyError:
        raise DescriptorError(f"{where}: {key} is missing") from None
    except (TypeError, ValueError):
        raise DescriptorError(f"{where}: expected numbers for {key}, received {given[key]!r}") from None
    if not numbers.size or not np.isfinite(numbers).all():
        raise DescriptorError(f"{where}: expected finite numbers for {key}, at least one")
    return numbers


def _table(where: str, weights: Any, scale: float) -> tuple[list[str], Vector]:
    z = np.arange(N_ELEMENTS, dtype=np.float64)
    pauling = np.array([PAULING.get(symbol, 0.0) for symbol in chemical_symbols[:N_ELEMENTS]])
    known = {"Z": z, "one": np.where(z > 0, 1.0, 0.0), "electronegativity": pauling}
    if not isinstance(weights, str) or weights not in known:
        raise DescriptorError(f"{where}: expected weights Z, one or electronegativity, received {weights!r}")
    label = weights if scale == 1.0 else f"{scale:g}{weights}"
    return [label], scale * known[weights][None]


def _channels(where: str, entries: Any) -> tuple[list[str], Vector]:
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
