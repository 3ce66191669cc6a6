"""Turn the spread of draws into calibrated uncertainties.

Calibrated sigma is scale(E) · sqrt(spread² + floor(E)²) times the factors of ``sigma_factors``. The floor, a fraction
of the typical spread at each energy, prevents overconfidence at sites whose draws happen to agree. The factors increase
sigma for sites far from the training sites or near sites that are hard to predict, and where a spectrum is steep or
large. The scale makes sigma the standard deviation of the errors, whose distribution is Student's t (``tails``).
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.models.sigma_factors import FEWEST_FOR_FACTORS, Evidence, Factor, fit_factors
from xanes_hpc.models.tails import fit_tails
from xanes_hpc.spectra.distribution import GAUSSIAN, LEVELS, Distribution

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.bool_]

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
ANY_SPREAD = (1e-12, 1e12)
"""Limits of a spread, relative to the size of the spectra, that sigma does not depend on."""
N_PARTS = 10
"""Number of parts that the calibration sites are divided into, to predict the scores of each from the others."""
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
    distribution
        Distribution of errors in calibrated sigmas.
    """

    scale: Array
    floor: Array
    conformal: tuple[tuple[float, float], ...] = ()
    n_sites: int = 0
    factors: Mapping[str, Factor] = field(default_factory=dict)
    sizes: Array = field(default_factory=lambda: np.ones(1))
    distribution: Distribution = GAUSSIAN

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
            "degrees": self.distribution.value,
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

    From ``FEWEST_FOR_FACTORS`` sites with errors on, sigma is fitted anew to all but a tenth of the sites, ten times.
    The errors of the tenths in these sigmas give the distribution and one more factor for all sigmas, which would
    otherwise be too small, as they are fitted to the same sites. With fewer sites, the distribution is taken to be
    Gaussian.

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
    fits = {fraction: _fit(error, known, energies, fraction) for fraction in FLOORS}
    deviations = {fraction: _deviation(fit.scores(error, known)) for fraction, fit in fits.items()}
    fraction = min(deviations, key=deviations.__getitem__)
    best, distribution, factor = fits[fraction], GAUSSIAN, 1.0
    z = best.scores(error, known)
    if error.any(axis=1).sum() >= FEWEST_FOR_FACTORS:
        z = _held_out_scores(error, known, energies, fraction)
        distribution, factor = fit_tails(z[:, error.any(axis=0)])
    return Calibration(
        factor * best.scale, sizes[:, None] * best.floor, conformal_scores(z / factor), n_sites, best.factors, sizes,
        distribution,
    )  # fmt: skip


@dataclass(frozen=True)
class _Fit:
    """Scale, floor and factors of sigma, fitted to some sites; errors and quantities are relative to their sizes."""

    scale: Array
    floor: Array
    factors: Mapping[str, Factor]

    def scores(self, error: Array, known: Mapping[str, Array]) -> Array:
        """Return errors in sigmas, (n_sites, n_energies)."""
        widened = np.hypot(known["spread"], self.floor)
        z = error / (self.scale * widened)
        for name, factor in self.factors.items():
            z /= factor.values(widened if name == "spread" else known[name])
        return np.asarray(z)


def _fit(error: Array, known: Mapping[str, Array], energies: Array, fraction: float) -> _Fit:
    """Fit factors and scale for a floor that is a fraction of the typical spread."""
    floor = fraction * _typical(known["spread"], error)
    widened = np.hypot(known["spread"], floor)
    factors = fit_factors(error, widened, {**known, "spread": widened})
    z = _Fit(np.ones(energies.size), floor, factors).scores(error, known)
    scale = _scales(z, energies)
    return _Fit(scale * _overall(z / scale), floor, factors)  # shrinkage and smoothing have changed the overall scale


def _held_out_scores(error: Array, known: Mapping[str, Array], energies: Array, fraction: float) -> Array:
    """Return errors in sigmas that are fitted without the sites themselves: to all but every ``N_PARTS``-th site."""
    z = np.empty_like(error)
    for part in range(N_PARTS):
        own = np.arange(len(error)) % N_PARTS == part
        rest, held_out = ({name: u[rows] for name, u in known.items()} for rows in (~own, own))
        z[own] = _fit(error[~own], rest, energies, fraction).scores(error[own], held_out)
    return z


def conformal_scores(z: Array) -> tuple[tuple[float, float], ...]:
    """Return levels and scores of conformal intervals from |error| / sigma, of any shape, as ``calibrate`` explains."""
    ordered = np.sort(z.ravel())
    ranks = [(level, math.ceil((ordered.size + 1) * level - 1e-9)) for level in LEVELS]
    return tuple((level, float(ordered[rank - 1])) for level, rank in ranks if rank <= ordered.size)


def smoothed(values: Array, energies: Array) -> Array:
    """Return values (..., n_energies), smoothed over the energies (n_energies,) in eV with a Gaussian."""
    weights = np.exp(-0.5 * ((energies[:, None] - energies) / SMOOTHED_EV) ** 2)
    return np.asarray(values @ (weights / weights.sum(axis=1, keepdims=True)).T)


def slopes_and_sizes(spectra: Array, energies: Array) -> tuple[Array, Array]:
    """Return absolute slopes per eV and absolute values of spectra, (n_sites, n_energies), smoothed over energies."""
    slopes = np.gradient(spectra, energies, axis=1)
    return smoothed(np.abs(slopes), energies), smoothed(np.abs(spectra), energies)


def typical_of_all(calibration: Calibration, errors: Array, evidence: Evidence, own: Rows) -> Calibration:
    """Return a calibration with its scale corrected by how typical its sites are among all sites.

    Parameters
    ----------
    calibration
        A calibration from some of the sites.
    errors : (n_sites, n_energies)
        Absolute errors of all sites, from predictions of one kind.
    evidence
        What is known of these predictions.
    own : (n_sites,)
        Which sites the calibration is from.
    """
    z = errors / calibration.sigma(evidence)
    return replace(calibration, scale=calibration.scale * _overall(z) / _overall(z[own]))


def calibrate_without_spread(
    errors: Array, evidence: Evidence, energies: Array, sizes: Array, known: tuple[Array, Evidence] | None = None
) -> Calibration:
    """Return a calibration in which sigma does not depend on the spread of the draws, from predictions without draws.

    Parameters
    ----------
    errors : (n_sites, n_energies)
        Absolute errors of these predictions.
    evidence
        What is known of them; all spreads are the same in units of ``sizes``.
    energies, sizes
        As in ``calibrate``.
    known
        Absolute errors of a few sites that are predicted with draws, and their evidence: they correct the scale as far
        as they can.
    """
    found = calibrate(errors, np.zeros_like(errors), evidence, energies, sizes)
    size = found.sizes[evidence.rows(found.sizes.size), None]
    spread = float((np.hypot(evidence.spread, found.floor[evidence.rows(len(found.floor))]) / size).mean())
    factors = {**found.factors, "spread": Factor(-1.0, spread, *ANY_SPREAD)}
    found = replace(found, factors=factors)
    if known is not None and len(known[0]):
        few = _overall(known[0] / found.sigma(known[1]))
        weight = len(known[0]) / (len(known[0]) + SHRINKAGE)
        found = replace(found, scale=found.scale * few**weight)
    return found


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
