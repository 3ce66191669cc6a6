"""Turn the spread of draws into calibrated uncertainties.

Calibrated sigma is scale(E) · sqrt(spread² + floor(E)²) times the factors of ``sigma_factors``. The floor, a fraction
of the typical spread at each energy, prevents overconfidence at sites whose draws happen to agree. The factors increase
sigma for sites far from the training sites or near sites that are hard to predict, and where a spectrum is steep or
large. The scale brings the coverage to its nominal value.
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
"""Coverage of 1, 2 and 3 sigma of a Gaussian."""
FLOORS = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
"""Floors to try, as fractions of the typical spread."""
LEAST_TYPICAL = 1e-3
"""Smallest typical spread at one energy, as a fraction of that over all energies."""
SMOOTHED_EV = 1.0
"""Standard deviation of the Gaussian that smooths over energies, eV."""
SHRINKAGE = 20.0
"""Weight of the scale common to all energies, in sites."""
FEWEST_SITES = 2
N_CANDIDATES = 400
"""Number of scales to try."""


@dataclass(frozen=True)
class Calibration:
    """The uncertainty calibration of a model.

    Attributes
    ----------
    scale : (n_energies,)
    floor : (n_absorbers, n_energies)
        Calibrated sigma is ``scale * sqrt(spread**2 + floor**2)`` times the factors. A single row of floors applies to
        all elements and edges.
    conformal
        Nominal level and half width, in calibrated sigmas, of each conformal interval.
    n_sites
        Number of sites in the calibration set; 0 if there is none and sigma is the spread of the draws.
    factors
        Factors by name of their quantity; that of the spread takes ``sqrt(spread**2 + floor**2)``.
    sizes : (n_absorbers,)
        Typical size of the spectra of each element and edge: the unit of the factors' quantities.
    """

    scale: Array
    floor: Array
    conformal: tuple[tuple[float, float], ...] = ()
    n_sites: int = 0
    factors: Mapping[str, Factor] = field(default_factory=dict)
    sizes: Array = field(default_factory=lambda: np.ones(1))

    def sigma(self, evidence: Evidence) -> Array:
        """Return calibrated sigma, (n_sites, n_energies); quantities missing from the evidence count as typical."""
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
        """Return plain values, for JSON."""
        return {
            "scale": self.scale.tolist(),
            "floor": self.floor.tolist(),
            "conformal": [{"level": level, "score": score} for level, score in self.conformal],
            "n_sites": self.n_sites,
            "factors": {name: asdict(factor) for name, factor in self.factors.items()},
            "sizes": self.sizes.tolist(),
        }


def not_calibrated(n_energies: int) -> Calibration:
    """Return the calibration that leaves sigma as the spread of the draws."""
    return Calibration(np.ones(n_energies), np.zeros((1, n_energies)))


def calibrate(
    reference: Array, mean: Array, evidence: Evidence, energies: Array, sizes: Array | None = None
) -> Calibration:
    """Return the calibration from sites that were not used for training.

    At each energy, the scale minimises the largest deviation of the 1, 2 and 3 sigma coverages from their nominal
    values. With few sites it is drawn towards a scale common to all energies; then it is smoothed over energies. The
    factors are fitted for each of ``FLOORS``, and the floor with the smallest deviation of the coverages wins. If the
    draws do not differ at all, sigma comes from the floor alone.

    Conformal scores are |y - mean| over sigma, pooled over energies, at the quantile ceil((n + 1) level) / n (Vovk,
    Gammerman & Shafer, doi:10.1007/b106715). Their coverage is exact for finite samples only if points are independent;
    those of one spectrum are correlated. Levels that need more scores than there are, are left out.

    Parameters
    ----------
    reference, mean : (n_sites, n_energies)
        Targets and predicted means.
    evidence
        What is known of each prediction.
    energies : (n_energies,), eV
    sizes : (n_absorbers,)
        Typical size of the spectra of each element and edge, whose sizes and units may differ; floors are relative to
        it.
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
        scale *= _overall(z / scale)  # shrinkage and smoothing have changed the overall scale
        deviation = _deviation(z / scale)
        if best is None or deviation < best[0]:
            own = sizes[:, None] * floor
            best = deviation, Calibration(scale, own, n_sites=n_sites, factors=factors, sizes=sizes)
    assert best is not None
    return replace(best[1], conformal=conformal_scores(np.abs(reference - mean) / best[1].sigma(evidence)))


def conformal_scores(z: Array) -> tuple[tuple[float, float], ...]:
    """Return levels and scores of conformal intervals from |error| / sigma, of any shape, as ``calibrate`` explains."""
    ordered = np.sort(z.ravel())
    ranks = [(level, math.ceil((ordered.size + 1) * level - 1e-9)) for level in LEVELS]
    return tuple((level, float(ordered[rank - 1])) for level, rank in ranks if rank <= ordered.size)


def smoothed(values: Array, energies: Array) -> Array:
    """Return values (..., n_energies), smoothed over the energies (n_energies,) in eV with a Gaussian."""
    weights = np.exp(-0.5 * ((energies[:, None] - energies) / SMOOTHED_EV) ** 2)
    return np.asarray(values @ (weights / weights.sum(axis=1, keepdims=True)).T)


def _typical(spread: Array, error: Array) -> Array:
    """Return the root mean square spread at each energy, at least ``LEAST_TYPICAL`` of that over all energies.

    If the draws do not differ at all, return that of the error.
    """
    squares = np.mean(np.square(spread), axis=0)
    elsewhere = squares[squares > 0].mean() if squares.any() else np.mean(np.square(error))
    return np.asarray(np.sqrt(np.maximum(squares, LEAST_TYPICAL**2 * elsewhere)))


def _scales(z: Array, energies: Array) -> Array:
    """Return a scale for each energy from |error| / sigma, (n_sites, n_energies), ignoring energies without errors."""
    overall = _overall(z)
    own = np.array([_scale(np.sort(column)) if column.any() else overall for column in z.T])
    drawn = (len(z) * np.log(own) + SHRINKAGE * np.log(overall)) / (len(z) + SHRINKAGE)
    return np.exp(smoothed(drawn, energies))


def _overall(z: Array) -> float:
    """Return one scale for all energies with errors."""
    return _scale(np.sort(z[:, z.any(axis=0)].ravel()))


def _scale(ordered: Array) -> float:
    """Return the scale of sorted scores, not all zero, whose coverages deviate least from the nominal ones.

    Few scores leave a range of equally good scales; return its middle.
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
