"""Factors of sigma: quantities that are related to the error of a predicted spectrum, and their effect on sigma.

Every quantity u enters as a factor (u / typical)^exponent. The exponents maximise the likelihood of error / sigma under
Student's t: a log-linear model of the scale (Harvey, doi:10.2307/1913974) that is robust to a few unpredictable errors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.models.domain import Scores

Array = npt.NDArray[np.float64]

FEWEST_FOR_FACTORS = 30
"""Smallest number of calibration sites to fit exponents to."""
DEGREES = 6.0
"""Degrees of freedom of Student's t."""
PRIOR_SITES = 2.0
"""Weight of the prior (no factor), in sites, for a quantity that varies by a factor of e."""
LOW_QUANTILE, LEAST_FRACTION, HIGH_QUANTILE = 0.02, 0.01, 0.9
"""Over the calibration points, a quantity is raised to its low quantile, or to a fraction of its high quantile if that
is larger. Otherwise, energies at which it nearly vanishes would dominate the fit."""
FARTHER = 2.0
"""Upper limit of a quantity, as a multiple of its largest value in calibration."""
SPREAD_BOUNDS, OTHER_BOUNDS = (-1.0, 0.0), (0.0, 10.0)
"""Bounds of exponents, also in stored models: sigma is at most proportional to the spread, and never decreases."""
N_ITERATIONS = 300
CONVERGED = 1e-4


@dataclass(frozen=True)
class Evidence:
    """Quantities that are related to the errors of predictions.

    Attributes
    ----------
    spread : (n_sites, n_energies)
        Standard deviation of the draws.
    distance : (n_sites,), or None
        Distance to the nearest training site.
    steepness : (n_sites, n_energies), or None
        Absolute slope of the mean spectrum per eV, smoothed: on a steep edge, a small shift is a large error.
    local_error : (n_sites, n_energies), or None
        Mean error at nearby training sites, each predicted without the sites of its formula.
    intensity : (n_sites, n_energies), or None
        Absolute value of the mean spectrum, smoothed: large intensities have large errors.
    absorbers : (n_sites,), or None
        Indices of the sites' elements and edges; None if all are the first.
    scores
        How far the sites are from the model's domain; sigma does not depend on them.
    """

    spread: Array
    distance: Array | None = None
    steepness: Array | None = None
    local_error: Array | None = None
    intensity: Array | None = None
    absorbers: npt.NDArray[np.integer] | None = None
    scores: Scores | None = None

    @classmethod
    def joined(cls, several: Sequence["Evidence"]) -> "Evidence":
        """Return the evidence of all sites; quantities that are missing from one are missing from the result."""
        columns = {name: [getattr(e, name) for e in several] for name in (*NAMES, "absorbers")}
        joined: dict[str, Any] = {
            name: None if any(a is None for a in column) else np.concatenate(column) for name, column in columns.items()
        }
        return cls(**joined)

    def rows(self, n: int) -> npt.NDArray[np.integer]:
        """Return each site's row in an array of ``n`` rows: one for every element and edge, or one for all of them."""
        none = self.absorbers is None or n == 1
        return np.zeros(len(self.spread), np.intp) if none else np.asarray(self.absorbers)

    def units(self, sizes: Array) -> Array:
        """Return the typical size of each site's spectra, (n_sites, 1), from ``sizes`` (n_absorbers,), or (1,)."""
        return sizes[self.rows(sizes.size), None]

    def relative(self, sizes: Array) -> dict[str, Array]:
        """Return the known quantities by name, (n_sites, n_energies) or (n_sites, 1), relative to ``sizes``."""
        size = self.units(sizes)
        found = {"spread": self.spread / size}
        for name in ("steepness", "local_error", "intensity"):
            if (values := getattr(self, name)) is not None:
                found[name] = values / size
        if self.distance is not None:
            found["distance"] = self.distance[:, None]
        return found


NAMES = tuple(field.name for field in fields(Evidence) if field.name not in ("absorbers", "scores"))


@dataclass(frozen=True)
class Factor:
    """A factor (u / typical)^exponent, with u clipped to ``low`` and ``high``."""

    exponent: float
    typical: float
    low: float
    high: float

    def values(self, u: Array) -> Array:
        """Return the factor for every value of ``u``."""
        return np.asarray((np.clip(u, self.low, self.high) / self.typical) ** self.exponent)


def fit_factors(error: Array, sigma: Array, quantities: Mapping[str, Array]) -> dict[str, Factor]:
    """Return the factors on ``sigma``, by quantity, that maximise the likelihood of the errors.

    A scale at every energy is fitted at the same time and discarded. A quantity gets no factor if it does not vary, or
    if errors do not grow with it. Sigma is already proportional to the spread, so the factor of the spread can only
    reduce that dependence, at most to none.

    Parameters
    ----------
    error : (n_sites, n_energies)
        Absolute errors.
    sigma : (n_sites, n_energies)
        Sigma before the factors.
    quantities
        Arrays (n_sites, n_energies) or (n_sites, 1), by name.
    """
    if len(error) < FEWEST_FOR_FACTORS:
        return {}
    used = error.any(axis=0)
    raised: dict[str, tuple[float, Array]] = {}
    for name, u in quantities.items():
        positive = u[u > 0]
        if positive.size and used.any():
            small, large = np.quantile(positive, [LOW_QUANTILE, HIGH_QUANTILE])
            low = max(float(small), LEAST_FRACTION * float(large))
            raised[name] = low, np.maximum(u, low)
    columns = {n: np.broadcast_to(np.log(u), error.shape)[:, used] for n, (_, u) in raised.items()}
    found = {}
    for name, exponent in _exponents((error / sigma)[:, used], columns).items():
        low, u = raised[name]
        found[name] = Factor(exponent, float(np.exp(np.log(u).mean())), low, FARTHER * float(u.max()))
    return found


def _exponents(z: Array, columns: Mapping[str, Array]) -> dict[str, float]:
    """Return exponents within their bounds: those beyond are fixed at the bound, and the others are fitted again."""
    held: dict[str, float] = {}
    while True:
        free = [name for name in columns if name not in held]
        fixed = sum((exponent * columns[name] for name, exponent in held.items()), start=np.zeros_like(z))
        found = dict(zip(free, _most_likely(z * np.exp(-fixed), [columns[name] for name in free]), strict=True))
        bounds = {name: SPREAD_BOUNDS if name == "spread" else OTHER_BOUNDS for name in free}
        beyond = {n: min(max(found[n], low), high) for n, (low, high) in bounds.items() if not low <= found[n] <= high}
        if not beyond:
            return {name: e for name, e in {**held, **found}.items() if abs(e) > CONVERGED}
        held |= beyond


def _most_likely(z: Array, columns: list[Array]) -> list[float]:
    """Return the most likely exponents of columns of logarithms, (n_sites, n_energies), with a scale at every energy.

    Steps are scaled by the largest possible curvature of the likelihood, so every step increases it.
    """
    if not columns:
        return []
    x = np.stack([c - c.mean(axis=0) for c in columns])  # centred, to decouple the exponents from the scales
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
