"""Gaussians of distances as read from a description: listed, or made by a style."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.descriptors._meaning import largest_at
from xanes_hpc.descriptors._values import is_number
from xanes_hpc.descriptors.base import check_keys
from xanes_hpc.errors import DescriptorError

Vector = npt.NDArray[np.float64]
STYLES = {"shifted": {"style", "n", "r_min", "r_max"}, "centred": {"style", "n", "r_min", "r_max", "keep"}}
"""The keys of each style."""


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
            mu, eta = numbers(where, given, "mu"), numbers(where, given, "eta")
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

    @property
    def texts(self) -> list[str]:
        """The parameters of each Gaussian, for labels."""
        return [f"mu={m:.4g} eta={e:.4g}" for m, e in zip(self.mu, self.eta, strict=True)]

    @property
    def distances(self) -> list[float]:
        """Distance (Å) at which each Gaussian is largest."""
        return [largest_at(float(m), float(e)) for m, e in zip(self.mu, self.eta, strict=True)]

    def describe(self) -> dict[str, Any]:
        """Return every mu and eta."""
        return {"mu": self.mu.tolist(), "eta": self.eta.tolist()}


def numbers(where: str, given: Mapping[str, Any], key: str) -> Vector:
    """Return the finite numbers under a key, at least one.

    Raises
    ------
    DescriptorError
        If there are none.
    """
    try:
        found = np.array(given[key], np.float64).reshape(-1)
    except KeyError:
        raise DescriptorError(f"{where}: {key} is missing") from None
    except (TypeError, ValueError):
        raise DescriptorError(f"{where}: expected numbers for {key}, received {given[key]!r}") from None
    if not found.size or not np.isfinite(found).all():
        raise DescriptorError(f"{where}: expected finite numbers for {key}, at least one")
    return found
