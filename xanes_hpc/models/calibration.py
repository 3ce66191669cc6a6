"""Turning the spread of draws into uncertainties that hold.

Calibrated sigma is scale(E) · sqrt(spread² + floor(E)²) · the factors of ``sigma_factors``: the floor, a fraction of
the mean spread at its energy, keeps sites whose draws happen to agree from claiming too much; the factors say how much
more is to be expected of a site far from the training sites, among others that were hard to predict, and where its
spectrum is steep or large; the scale makes the figures nominal.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.models.sigma_factors import Evidence, Factor, fit_factors

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
FEWEST_SITES = 2
N_CANDIDATES = 400
"""Scales that are tried."""


@dataclass(frozen=True)
class Calibration:
    """What a calibration split says of the draws' spread.

    Attributes
    ----------
    scale : (n_energies,)
    floor : (n_absorbers, n_energies)
        Calibrated sigma is ``scale * sqrt(spread**2 + floor**2)`` times the factors; one row of floors is that of all
        elements and edges.
    conformal
        By nominal level, the number of calibrated sigmas either side of the mean.
    n_sites
        Sites of the calibration split; 0 where there was none and sigma is as drawn.
    factors
        By name of what is known of a prediction; that of the spread is of ``sqrt(spread**2 + floor**2)``.
    sizes : (n_absorbers,)
        Of the spectra of each element and edge: the unit of the factors' quantities.
    """

    scale: Array
    floor: Array
    conformal: tuple[tuple[float, float], ...] = ()
    n_sites: int = 0
    factors: Mapping[str, Factor] = field(default_factory=dict)
    sizes: Array = field(default_factory=lambda: np.ones(1))

    def sigma(self, evidence: Evidence) -> Array:
        """Calibrated sigma, (n_sites, n_energies).

        What the evidence lacks counts as typical.
        """
        floor = self.floor[evidence.rows(len(self.floor))]
        widened = replace(evidence, spread=np.hypot(np.asarray(evidence.spread, np.float64), floor))
        result = self.scale * widened.spread
        if self.factors:
            known = widened.relative(self.sizes)
            for name, factor in self.factors.items():
                if name in known:
                    result = result * factor.values(known[name])
        return np.asarray(result)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "scale": self.scale.tolist(),
            "floor": self.floor.tolist(),
            "conformal": [{"level": level, "score": score} for level, score in self.conformal],
            "n_sites": self.n_sites,
            "factors": {name: asdict(factor) for name, factor in self.factors.items()},
            "sizes": self.sizes.tolist(),
        }


def not_calibrated(n_energies: int) -> Calibration:
    """Sigma as drawn."""
    return Calibration(np.ones(n_energies), np.zeros((1, n_energies)))


def calibrate(
    reference: Array, mean: Array, evidence: Evidence, energies: Array, sizes: Array | None = None
) -> Calibration:
    """Calibration from sites that no weight has seen; arrays (n_sites, n_energies), energies (n_energies,) in eV.

    Spectra of several elements and edges may be of different size (and unit): the floor is a fraction of the typical
    ``sizes`` (n_absorbers,), by each site's absorber in the evidence.

    At each energy the scale is that whose 1, 2 and 3 sigma cover nearest to their nominal fractions (least greatest
    deviation), drawn to one scale for all energies where sites are few, and smoothed over energies; of ``FLOORS``, with
    the factors fitted to each, the one with the least greatest deviation is taken. Conformal scores are |y - mean| over
    sigma, pooled over energies, at the quantile ceil((n + 1) level) / n (Vovk, Gammerman & Shafer,
    doi:10.1007/b106715); points of one spectrum go together, so that this is finite-sample exact only for independent
    points. Levels that so many scores cannot tell are left out. Where draws do not differ at all, the floor stands
    alone.
    """
    n_sites, n_energies = reference.shape
    sizes = np.ones(1) if sizes is None else sizes
    error = np.abs(reference - mean) / evidence.units(sizes)
    if n_sites < FEWEST_SITES or not (error > 0).any():
        return not_calibrated(n_energies)
    known = evidence.relative(sizes)
    spread = known["spread"]
    typical = _typical(spread, error)
    best: tuple[float, Calibration] | None = None
    for fraction in FLOORS:
        floor = fraction * typical
        widened = np.hypot(spread, floor)
        factors = fit_factors(error, widened, known | {"spread": widened})
        z = error / widened
        for name, factor in factors.items():
            z /= factor.values(widened if name == "spread" else known[name])
        scale = _scales(z, energies)
        scale *= _overall(z / scale)  # drawing together and smoothing have moved the whole
        deviation = _deviation(z / scale)
        if best is None or deviation < best[0]:
            own = sizes[:, None] * floor
            best = deviation, Calibration(scale, own, n_sites=n_sites, factors=factors, sizes=sizes)
    assert best is not None
    return replace(best[1], conformal=conformal_scores(np.abs(reference - mean) / best[1].sigma(evidence)))


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
