"""Turning the spread of draws into uncertainties that hold.

Calibrated sigma is scale(E) · sqrt(spread² + floor(E)²) · (d / typical)^slope: the floor, a fraction of the mean spread
at its energy, keeps sites whose draws happen to agree from claiming too much; what is far from the training sites, by
its distance d to the nearest, is given more; the scale makes the figures nominal.
"""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

LEVELS = (0.6827, 0.9, 0.9545, 0.9973)
"""Nominal coverage of the conformal intervals."""
SIGMAS = (1.0, 2.0, 3.0)
NOMINAL = np.array([math.erf(k / math.sqrt(2.0)) for k in SIGMAS])
"""Fractions that 1, 2 and 3 sigma of a Gaussian cover."""
FLOORS = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
"""Fractions of the mean spread that are tried as floor."""
LEAST_TYPICAL = 1e-3
"""Of the mean spread at all energies: the least that counts as mean spread at one."""
SMOOTHED_EV = 1.0
"""Standard deviation of the Gaussian that smooths over energies."""
SHRINKAGE = 20.0
"""Sites' worth of evidence for one scale at all energies."""
FEWEST_SITES, FEWEST_FOR_SLOPE = 2, 30
FARTHER = 2.0
"""How much farther than any calibration site, or nearer, a distance may count as."""
N_CANDIDATES = 400
"""Scales that are tried."""


@dataclass(frozen=True)
class Distance:
    """sigma's factor (d / typical)^slope, with d held between ``low`` and ``high``."""

    slope: float = 0.0
    typical: float = 1.0
    low: float = 0.0
    high: float = 1.0

    def factors(self, nearest: Array) -> Array:
        """One for each distance, (n_sites,)."""
        if not self.slope:
            return np.ones(len(nearest))
        return np.asarray((np.clip(nearest, self.low, self.high) / self.typical) ** self.slope)


@dataclass(frozen=True)
class Calibration:
    """What a calibration split says of the draws' spread.

    Attributes
    ----------
    scale : (n_energies,)
    floor : (n_absorbers, n_energies)
        Calibrated sigma is ``scale * sqrt(spread**2 + floor**2)``; one row of floors is that of all elements and edges.
    conformal
        By nominal level, the number of calibrated sigmas either side of the mean.
    n_sites
        Sites of the calibration split; 0 where there was none and sigma is as drawn.
    distance
        What a site's distance to the nearest training site does to its sigma.
    """

    scale: Array
    floor: Array
    conformal: tuple[tuple[float, float], ...] = ()
    n_sites: int = 0
    distance: Distance = Distance()

    def sigma(
        self,
        spread: npt.NDArray[np.floating],
        nearest: Array | None = None,
        absorbers: npt.NDArray[np.integer] | None = None,
    ) -> Array:
        """Calibrated sigma of the draws' standard deviation, (n_sites, n_energies).

        ``nearest`` (n_sites,) are the distances to the nearest training site; without, all sites count as typical.
        ``absorbers`` (n_sites,) are the numbers of their elements and edges; without, all are of the first.
        """
        rows = np.zeros(len(spread), np.intp) if absorbers is None else np.minimum(absorbers, len(self.floor) - 1)
        widened = np.hypot(np.asarray(spread, np.float64), self.floor[rows])
        if nearest is not None:
            widened *= self.distance.factors(nearest)[:, None]
        return np.asarray(self.scale * widened)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "scale": self.scale.tolist(),
            "floor": self.floor.tolist(),
            "conformal": [{"level": level, "score": score} for level, score in self.conformal],
            "n_sites": self.n_sites,
            "distance": asdict(self.distance),
        }


def not_calibrated(n_energies: int) -> Calibration:
    """Sigma as drawn."""
    return Calibration(np.ones(n_energies), np.zeros((1, n_energies)))


def calibrate(
    reference: Array,
    mean: Array,
    spread: Array,
    energies: Array,
    nearest: Array | None = None,
    absorbers: npt.NDArray[np.integer] | None = None,
    sizes: Array | None = None,
) -> Calibration:
    """Calibration from sites that no weight has seen; arrays (n_sites, n_energies), energies (n_energies,) in eV.

    Spectra of several elements and edges may be of different size (and unit): the floor is a fraction of the typical
    ``sizes`` (n_absorbers,), by each site's number in ``absorbers`` (n_sites,).

    At each energy the scale is that whose 1, 2 and 3 sigma cover nearest to their nominal fractions (least greatest
    deviation), drawn to one scale for all energies where sites are few, and smoothed over energies; of ``FLOORS`` the
    one with the least greatest deviation is taken. The slope over the distances ``nearest`` (n_sites,) is that of a
    line through the logarithms of each site's root mean square error in sigmas. Conformal scores are |y - mean| over
    sigma, pooled over energies, at the quantile ceil((n + 1) level) / n (Vovk, Gammerman & Shafer,
    doi:10.1007/b106715); points of one spectrum go together, so that this is finite-sample exact only for independent
    points. Levels that so many scores cannot tell are left out. Where draws do not differ at all, the floor stands
    alone.
    """
    n_sites, n_energies = reference.shape
    rows = np.zeros(n_sites, np.intp) if absorbers is None else absorbers
    sizes = np.ones(1) if sizes is None else sizes
    error, spread = np.abs(reference - mean) / sizes[rows, None], spread / sizes[rows, None]
    if n_sites < FEWEST_SITES or not (error > 0).any():
        return not_calibrated(n_energies)
    typical = _typical(spread, error)
    best: tuple[float, Calibration] | None = None
    for fraction in FLOORS:
        floor = fraction * typical
        z = error / np.hypot(spread, floor)
        distance = Distance() if nearest is None else _distance(z / _scales(z, energies), nearest)
        if nearest is not None:
            z /= distance.factors(nearest)[:, None]
        scale = _scales(z, energies)
        scale *= _overall(z / scale)  # drawing together and smoothing have moved the whole
        deviation = _deviation(z / scale)
        if best is None or deviation < best[0]:
            best = deviation, Calibration(scale, floor[None], n_sites=n_sites, distance=distance)
    assert best is not None
    scores = conformal_scores(error / best[1].sigma(spread, nearest))
    return replace(best[1], floor=sizes[:, None] * best[1].floor, conformal=scores)


def _distance(z: Array, nearest: Array) -> Distance:
    """How the sites' errors in sigmas, (n_sites, n_energies), grow with their distance; never shrinking."""
    size = np.sqrt(np.mean(z**2, axis=1))
    there = (nearest > 0) & (size > 0)
    if there.sum() < FEWEST_FOR_SLOPE or not np.ptp(nearest[there]):
        return Distance()
    log_d, log_size = np.log(nearest[there]), np.log(size[there])
    apart = log_d - log_d.mean()
    slope = float(apart @ (log_size - log_size.mean()) / (apart @ apart))
    if slope <= 0:
        return Distance()
    low, high = nearest[there].min() / FARTHER, nearest[there].max() * FARTHER
    return Distance(slope, float(np.exp(log_d.mean())), float(low), float(high))


def conformal_scores(z: Array) -> tuple[tuple[float, float], ...]:
    """Level and score of the conformal intervals from |error| / sigma of any shape; ``calibrate`` says how."""
    ordered = np.sort(z.ravel())
    ranks = [(level, math.ceil((ordered.size + 1) * level - 1e-9)) for level in LEVELS]
    return tuple((level, float(ordered[rank - 1])) for level, rank in ranks if rank <= ordered.size)


def smoothed(values: Array, energies: Array) -> Array:
    """Values (..., n_energies) smoothed over the energies (n_energies,) in eV by a Gaussian."""
    weights = np.exp(-0.5 * ((energies[:, None] - energies) / SMOOTHED_EV) ** 2)
    return np.asarray(values @ (weights / weights.sum(axis=1, keepdims=True)).T)


def _typical(spread: Array, error: Array) -> Array:
    """Root mean square of the spread at each energy, never next to nothing; of the error where draws do not differ."""
    squares = np.mean(np.square(spread), axis=0)
    elsewhere = squares[squares > 0].mean() if squares.any() else np.mean(np.square(error))
    return np.asarray(np.sqrt(np.maximum(squares, LEAST_TYPICAL**2 * elsewhere)))


def _scales(z: Array, energies: Array) -> Array:
    """A scale for each energy from |error| / sigma, (n_sites, n_energies); energies without any error say nothing."""
    overall = _overall(z)
    own = np.array([_scale(np.sort(column)) if column.any() else overall for column in z.T])
    drawn = (len(z) * np.log(own) + SHRINKAGE * np.log(overall)) / (len(z) + SHRINKAGE)
    return np.exp(smoothed(drawn, energies))


def _overall(z: Array) -> float:
    """One scale for all energies that have errors."""
    return _scale(np.sort(z[:, z.any(axis=0)].ravel()))


def _scale(ordered: Array) -> float:
    """The scale of sorted scores, not all zero, whose coverages deviate least from the nominal ones.

    Few scores leave a range of such scales: its middle.
    """
    low, high = ordered[int(0.5 * (ordered.size - 1))], ordered[-1]
    candidates = np.geomspace(max(low / 3.0, 1e-6 * high), high, N_CANDIDATES)
    reached = np.searchsorted(ordered, candidates[:, None] * np.array(SIGMAS), side="right") / ordered.size
    deviations = np.abs(reached - NOMINAL).max(axis=1)
    best = np.flatnonzero(deviations <= deviations.min() + 1e-12)
    return float(candidates[best[len(best) // 2]])


def _deviation(z: Array) -> float:
    reached = np.array([np.mean(z <= k) for k in SIGMAS])
    return float(np.abs(reached - NOMINAL).max())
