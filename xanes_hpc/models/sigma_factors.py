"""What tells how wrong a predicted spectrum may be, and how much of it goes into sigma.

Every quantity u enters as a factor (u / typical)^exponent. The exponents are those with which errors over sigma are
most like Student's t, by maximum likelihood: a log-linear model of the scale (Harvey, doi:10.2307/1913974), robust to
the few errors that nothing foretells.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

FEWEST_FOR_FACTORS = 30
"""Sites of which exponents are told."""
DEGREES = 6.0
"""Of freedom, of Student's t."""
PRIOR_SITES = 2.0
"""How many sites, with a quantity that varies by a factor of e, the prior (no factor) counts for."""
LOWEST, LEAST, OF_QUANTILE = 0.02, 0.01, 0.9
"""Quantile over the calibration points, and fraction of another one: below the larger of both a quantity counts as so
large. What is next to nothing at some energies would say more than all others otherwise."""
FARTHER = 2.0
"""How far beyond the largest value that was calibrated with a quantity may count as."""
OF_SPREAD, OF_OTHERS = (-1.0, 0.0), (0.0, 10.0)
"""Bounds of exponents, in models too: sigma grows with the spread at most in proportion, and falls with nothing."""
N_ITERATIONS = 300
CONVERGED = 1e-4


@dataclass(frozen=True)
class Evidence:
    """What is known of predictions besides their mean.

    Attributes
    ----------
    spread : (n_sites, n_energies)
        Standard deviation of the draws.
    distance : (n_sites,), or None
        To the nearest training site.
    steepness : (n_sites, n_energies), or None
        Slope of the mean spectrum per eV, smoothed: where it is steep, an edge shifted a little is a large error.
    local_error : (n_sites, n_energies), or None
        Of the training sites around, each predicted without those of its formula.
    intensity : (n_sites, n_energies), or None
        Absolute value of the mean spectrum, smoothed: where it is large, so may be the error.
    absorbers : (n_sites,), or None
        Numbers of the sites' elements and edges; None where all are of the first.
    """

    spread: Array
    distance: Array | None = None
    steepness: Array | None = None
    local_error: Array | None = None
    intensity: Array | None = None
    absorbers: npt.NDArray[np.integer] | None = None

    @classmethod
    def joined(cls, several: Sequence["Evidence"]) -> "Evidence":
        """That of all sites; all must have the same."""
        columns = {name: [getattr(e, name) for e in several] for name in (*NAMES, "absorbers")}
        joined: dict[str, Any] = {
            name: None if any(a is None for a in column) else np.concatenate(column) for name, column in columns.items()
        }
        return cls(**joined)

    def rows(self, n: int) -> npt.NDArray[np.integer]:
        """Each site's row of something that has ``n``: one for every element and edge, or one for all of them."""
        none = self.absorbers is None or n == 1
        return np.zeros(len(self.spread), np.intp) if none else np.asarray(self.absorbers)

    def units(self, sizes: Array) -> Array:
        """The size of each site's spectra, (n_sites, 1), of ``sizes`` (n_absorbers,), or (1,) for all."""
        return sizes[self.rows(sizes.size), None]

    def relative(self, sizes: Array) -> dict[str, Array]:
        """What there is by name, (n_sites, n_energies) or (n_sites, 1), with spectra in ``sizes``."""
        size = self.units(sizes)
        found = {"spread": self.spread / size}
        for name in ("steepness", "local_error", "intensity"):
            if (values := getattr(self, name)) is not None:
                found[name] = values / size
        if self.distance is not None:
            found["distance"] = self.distance[:, None]
        return found


NAMES = tuple(field.name for field in fields(Evidence) if field.name != "absorbers")


@dataclass(frozen=True)
class Factor:
    """(u / typical)^exponent, with u held between ``low`` and ``high``."""

    exponent: float
    typical: float
    low: float
    high: float

    def values(self, u: Array) -> Array:
        """The factor for every value, of the shape of ``u``."""
        return np.asarray((np.clip(u, self.low, self.high) / self.typical) ** self.exponent)


def fit_factors(error: Array, sigma: Array, quantities: Mapping[str, Array]) -> dict[str, Factor]:
    """Factors on ``sigma`` for which |error| (n_sites, n_energies) over it is most likely, by quantity.

    A scale at every energy is fitted beside them and left to the caller. No factor is of a quantity that does not vary,
    nor of one with which errors do not grow; that of the spread, which sigma is in proportion to already, only takes
    away from it, all of it at most.
    """
    if len(error) < FEWEST_FOR_FACTORS:
        return {}
    there = error.any(axis=0)
    held: dict[str, tuple[float, Array]] = {}
    for name, u in quantities.items():
        positive = u[u > 0]
        if positive.size and there.any():
            lowest, large = np.quantile(positive, [LOWEST, OF_QUANTILE])
            low = max(float(lowest), LEAST * float(large))
            held[name] = low, np.maximum(u, low)
    columns = {n: np.broadcast_to(np.log(u), error.shape)[:, there] for n, (_, u) in held.items()}
    found = {}
    for name, exponent in _exponents((error / sigma)[:, there], columns).items():
        low, u = held[name]
        found[name] = Factor(exponent, float(np.exp(np.log(u).mean())), low, FARTHER * float(u.max()))
    return found


def _exponents(z: Array, columns: Mapping[str, Array]) -> dict[str, float]:
    """Exponents within their bounds: what would leave them is held there, the others fitted again."""
    held: dict[str, float] = {}
    while True:
        free = [name for name in columns if name not in held]
        fixed = sum((exponent * columns[name] for name, exponent in held.items()), start=np.zeros_like(z))
        found = dict(zip(free, _most_likely(z * np.exp(-fixed), [columns[name] for name in free]), strict=True))
        bounds = {name: OF_SPREAD if name == "spread" else OF_OTHERS for name in free}
        beyond = {n: min(max(found[n], low), high) for n, (low, high) in bounds.items() if not low <= found[n] <= high}
        if not beyond:
            return {name: e for name, e in {**held, **found}.items() if abs(e) > CONVERGED}
        held |= beyond


def _most_likely(z: Array, columns: list[Array]) -> list[float]:
    """Exponents, with a scale at every energy; columns (n_sites, n_energies) are logarithms.

    Steps by the largest curvature that the likelihood can have anywhere: each makes it larger.
    """
    if not columns:
        return []
    x = np.stack([c - c.mean(axis=0) for c in columns])  # so that scale and exponents do not speak of one another
    information, steepest = 2.0 * DEGREES / (DEGREES + 3.0), (DEGREES + 1.0) / 2.0
    prior = information * PRIOR_SITES * z.shape[1]
    matrix = steepest * np.tensordot(x, x, ([1, 2], [1, 2])) + prior * np.eye(len(x))
    log_scale = 0.5 * np.log(np.maximum(np.mean(z**2, axis=0), np.finfo(np.float64).tiny))
    exponents = np.zeros(len(x))
    for _ in range(N_ITERATIONS):
        squares = z**2 * np.exp(-2.0 * (log_scale + np.tensordot(exponents, x, 1)))
        score = (DEGREES + 1.0) * squares / (DEGREES + squares) - 1.0
        log_scale = log_scale + score.mean(axis=0) / steepest
        step = np.linalg.solve(matrix, np.tensordot(x, score, ([1, 2], [0, 1])) - prior * exponents)
        exponents = exponents + step
        if np.abs(step).max() < CONVERGED:
            break
    return [float(e) for e in exponents]
