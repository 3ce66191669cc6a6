"""Figures of merit of predicted spectra against references on the same grid, without rescaling.

Arrays are (n_sites, n_energies) unless stated otherwise; points whose reference is NaN are ignored.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from xanes_hpc.analysis.peaks import finite_mean, peaks
from xanes_hpc.errors import SpectrumError
from xanes_hpc.models.distances import DISTANCES, FEATURES, KERNEL
from xanes_hpc.spectra.distribution import LEVELS, Distribution
from xanes_hpc.stores.predictions import PredictionStore

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

NEAR = {FEATURES: 0.015, KERNEL: 0.03}
"""Limits for near-duplicates: feature and kernel distance to the nearest training site."""
QUANTILES = np.linspace(0.05, 0.95, 19)
REJECTED = np.linspace(0.0, 0.9, 10)
DRAWN = (0.6827, 0.9545, 0.9973)
"""Levels of the intervals whose coverage is given at each energy."""
HELD_OUT = ("test", "none")
"""Splits whose sites had no influence on the model."""


def error_percent(reference: Array, predicted: Array) -> npt.NDArray[np.float64]:
    """Return 100 sum |y - p| / sum |y| of each spectrum, (n_sites,)."""
    there = np.isfinite(reference)
    difference = np.where(there, np.abs(reference - predicted), 0.0).sum(axis=1)
    return np.asarray(100.0 * difference / np.where(there, np.abs(reference), 0.0).sum(axis=1))


def mean_squared_errors(reference: Array, predicted: Array) -> npt.NDArray[np.float64]:
    """Return the mean squared error of each spectrum, (n_sites,), over the energies with a reference."""
    return np.asarray(np.nanmean((reference - predicted) ** 2, axis=1))


def error_by_energy(reference: Array, predicted: Array, energies: Array) -> dict[str, list[float | None]]:
    """Return quartiles and mean over sites of 100 |y - p| / mean |y| at each energy.

    Averaged over energies, the mean is the error %. Values are None at energies where no site has a reference.
    """
    level = np.nanmean(np.abs(reference), axis=1, keepdims=True)
    relative = 100.0 * np.abs(reference - predicted) / level
    there = np.isfinite(reference).sum(axis=0) > 0
    low, middle, high = np.nanquantile(relative[:, there], (0.25, 0.5, 0.75), axis=0)
    curves = {"q25": low, "median": middle, "q75": high, "mean": np.nanmean(relative[:, there], axis=0)}
    return {"energy_ev": energies.tolist(), **{name: _curve(values, there) for name, values in curves.items()}}


def coverage_by_energy(
    reference: Array, mean: Array, std: Array, distribution: Distribution, energies: Array
) -> dict[str, list[float | None]]:
    """Return the fraction of sites in the intervals of ``DRAWN`` at each energy; None where no site has a reference."""
    z = np.abs(reference - mean) / np.maximum(std, 1e-12)
    n_sites = np.isfinite(reference).sum(axis=0)
    there = n_sites > 0
    half_widths = {f"{level:g}": distribution.half_width(level) for level in DRAWN}
    covered = {name: (z <= width).sum(axis=0)[there] / n_sites[there] for name, width in half_widths.items()}
    return {"energy_ev": energies.tolist(), **{name: _curve(values, there) for name, values in covered.items()}}


def by_trust(errors: Array, distrust: Sequence[str]) -> dict[str, Any]:
    """Return the error % of sites out of domain and of the others; both arguments (n_sites,)."""
    flagged = np.array([bool(reason) for reason in distrust], np.bool_)
    return {"trusted": _summary(errors[~flagged]), "not_trusted": _summary(errors[flagged])}


def derivative_mae(reference: Array, predicted: Array, energies: Array) -> dict[str, float | None]:
    """Return mean absolute errors of the first (per eV) and second (per eV²) derivatives, which measure line shape."""
    difference = predicted - reference
    first = np.gradient(difference, energies, axis=1)
    second = np.gradient(first, energies, axis=1)
    return {"first_mae": finite_mean(np.abs(first)), "second_mae": finite_mean(np.abs(second))}


def crps_draws(reference: Array, draws: Array) -> Array:
    """Return the unbiased CRPS of one spectrum's draws (n_draws, n_energies): E|X - y| - E|X - X'| / 2."""
    n = len(draws)
    ordered = np.sort(draws, axis=0)
    ranks = 2.0 * np.arange(1, n + 1)[:, None] - n - 1.0
    spread = (ranks * ordered).sum(axis=0) / (n * (n - 1))
    return np.asarray(np.abs(draws - reference).mean(axis=0) - spread)


def uncertainty(
    reference: Array, mean: Array, std: Array, distribution: Distribution, conformal: Sequence[dict[str, float]],
    draws: Any = None,
) -> dict[str, Any]:  # fmt: skip
    """Return coverage and width of intervals, calibration error and continuous ranked probability score (CRPS).

    All are over all points.

    Parameters
    ----------
    reference, mean, std
        Arrays (n_sites, n_energies); ``std`` is calibrated.
    distribution
        Distribution of errors in sigmas.
    conformal
        Level and score (in sigmas) of each conformal interval.
    draws
        Calibrated draws, an iterable of one (n_draws, n_energies) array per site, in order. If given, calibration error
        and CRPS are those of the draws, not of ``distribution``.
    """
    there = np.isfinite(reference)
    y, p, sigma = reference[there], mean[there], np.maximum(std[there], 1e-12)
    z = (y - p) / sigma
    if draws is None:
        scores = sigma * distribution.crps(z)
        reached = np.array([np.mean(z <= q) for q in distribution.quantiles(QUANTILES)])
    else:
        every, below = [np.empty(0)], np.zeros(QUANTILES.size)
        for row, drawn in enumerate(draws):
            here = there[row]
            every.append(crps_draws(reference[row, here], drawn[:, here]))
            below += (reference[row, here] <= np.quantile(drawn[:, here], QUANTILES, axis=0)).sum(axis=1)
        scores, reached = np.concatenate(every), below / max(1, y.size)

    def interval(level: float, half_width: float) -> dict[str, float]:
        covered, width = np.mean(np.abs(z) <= half_width), np.mean(2.0 * half_width * sigma)
        return {"level": level, "coverage": float(covered), "mean_width": float(width)}

    return {
        "coverage": {f"{k}sigma": float(np.mean(np.abs(z) <= k)) for k in (1, 2, 3)},
        "intervals": [interval(level, distribution.half_width(level)) for level in LEVELS],
        "conformal": [interval(c["level"], c["score"]) for c in conformal],
        "calibration_error": float(np.mean(np.abs(reached - QUANTILES))),
        "crps": float(scores.mean()),
        "distribution": "draws" if draws is not None else distribution.name,
        "degrees": distribution.value,
        "sharpness": {f"{k}sigma": float(2.0 * k * sigma.mean()) for k in (1, 2, 3)},
        "reliability": {"quantile": QUANTILES.tolist(), "reached": reached.tolist()},
    }


def rejection(errors: Array, site_sigma: Array) -> dict[str, list[float]]:
    """Return the mean error % of the sites that remain as the most uncertain ones are rejected.

    Both arguments are (n_sites,). ``best_possible`` rejects by the error itself.
    """
    orders = {"error_percent_mean": np.argsort(site_sigma, kind="stable"), "best_possible": np.argsort(errors)}
    kept = [max(1, round(errors.size * (1.0 - f))) for f in REJECTED]
    return {
        "rejected_fraction": REJECTED.round(3).tolist(),
        **{name: [float(errors[order[:n]].mean()) for n in kept] for name, order in orders.items()},
    }


def leakage(
    errors: Array, sets: Sequence[str], twins: Sequence[str], nearest: Array, distance: str = FEATURES
) -> dict[str, Any] | None:
    """Count held-out sites with a near-duplicate in the training set, and return the error without them.

    The result is None if no site is held out.
    """
    held_out = np.isin(sets, HELD_OUT)
    if not held_out.any():
        return None
    shares_code = np.array(["code" in t for t in twins])
    shares_formula = np.array(["formula" in t for t in twins])
    near = nearest < NEAR[distance]
    clean = held_out & ~(shares_code | shares_formula | near)
    return {
        "n_held_out": int(held_out.sum()),
        "same_code": int((held_out & shares_code).sum()),
        "same_formula": int((held_out & shares_formula).sum()),
        "near_features": int((held_out & near).sum()),
        "near_threshold": NEAR[distance],
        "near_by": DISTANCES[distance],
        "n_without_twins": int(clean.sum()),
        "error_percent_held_out": _summary(errors[held_out]),
        "error_percent_without_twins": _summary(errors[clean]),
    }


def references_to_compare(store: PredictionStore) -> tuple[Array, Rows, int]:
    """Return the references of all sites, the rows of the usable ones, and the number that are zero everywhere.

    References are (n_sites, n_energies). A usable one has at least two points and is not zero everywhere, as it would
    have no relative error.

    Raises
    ------
    SpectrumError
        If no site has a usable reference.
    """
    if not store.has_reference:
        raise SpectrumError(f"{store.path}: has no reference spectra; predict from a store that has spectra")
    reference = store.read("reference")
    there = np.isfinite(reference)
    known = there.sum(axis=1) > 1
    zero = known & ~np.where(there, reference, 0.0).any(axis=1)
    rows, n_zero = np.flatnonzero(known & ~zero), int(zero.sum())
    if not rows.size:
        note = f" ({n_zero} are zero everywhere)" if n_zero else ""
        raise SpectrumError(f"{store.path}: none of the {store.n_sites} sites has a usable reference spectrum{note}")
    return reference, rows, n_zero


def errors_of(store: PredictionStore) -> tuple[Rows, Array]:
    """Return the rows with a usable reference, and the error % of each, (n_rows,).

    Raises
    ------
    SpectrumError
        If no site has a usable reference.
    """
    reference, rows, _ = references_to_compare(store)
    return rows, error_percent(reference[rows], store.read("mean")[rows])


def evaluate(store: PredictionStore) -> dict[str, Any]:
    """Return all figures of merit of a prediction store as nested plain values.

    Sites without a reference are left out.

    Raises
    ------
    SpectrumError
        If no site has a usable reference, or a value is infinite or missing.
    """
    reference, rows, n_zero = references_to_compare(store)
    reference, mean, std = reference[rows], store.read("mean")[rows], store.read("std")[rows]
    for name, wrong in (("reference", np.isinf(reference)), ("mean", ~np.isfinite(mean)), ("std", ~np.isfinite(std))):
        _refuse(store, name, rows[wrong.any(axis=1)])
    energies, conformal, distribution = store.energies, store.conformal, store.distribution
    sets, twins = ([store.texts(name)[i] for i in rows] for name in ("part", "twin"))
    distrust = store.distrust
    errors = error_percent(reference, mean)
    difference = (reference - mean)[np.isfinite(reference)]
    spread = (reference - np.nanmean(reference))[np.isfinite(reference)]
    site_sigma = np.nanmean(np.where(np.isfinite(reference), std, np.nan), axis=1)
    draws = _calibrated_draws(store, rows) if store.has_draws else None
    return {
        "error_percent": _summary(errors),
        "mae": float(np.abs(difference).mean()),
        "mse": float((difference**2).mean()),
        "mse_median": float(np.median(mean_squared_errors(reference, mean))),
        "r2": float(1.0 - (difference**2).sum() / (spread**2).sum()) if spread.any() else None,
        "peaks": peaks(reference, mean, energies),
        "derivatives": derivative_mae(reference, mean, energies),
        **uncertainty(reference, mean, std, distribution, conformal, draws),
        "spearman_sigma_error": _spearman(site_sigma, errors),
        "n_sites": int(rows.size),
        "n_without_reference": store.n_sites - int(rows.size) - n_zero,
        "n_zero_reference": n_zero,
        "n_points": int(difference.size),
        "grid": {
            "origin": store.origin,
            "start_ev": float(energies[0]),
            "stop_ev": float(energies[-1]),
            "n": energies.size,
        },
        "spectrum": {name: store.attribute(name) for name in ("kind", "treatment", "unit")}
        | {"reference_unit": store.attribute("reference_unit") or store.attribute("unit")},
        "model_digest": store.attribute("model_digest"),
        "source_digest": store.attribute("source_digest") or None,
        "by_part": {p: _summary(errors[np.array(sets) == p]) for p in sorted(set(sets))},
        "by_trust": by_trust(errors, [distrust[i] for i in rows]) if distrust is not None else None,
        "leakage": leakage(errors, sets, twins, store.read("sites/nearest")[rows], store.distance),
        "rejection": rejection(errors, site_sigma),
        "error_by_energy": error_by_energy(reference, mean, energies),
        "coverage_by_energy": coverage_by_energy(reference, mean, std, distribution, energies),
    }


def _refuse(store: PredictionStore, name: str, rows: Rows) -> None:
    if rows.size:
        site = store.sites.name[int(rows[0])]
        raise SpectrumError(f"{store.path}: {name} of site {site}: expected finite numbers, received NaN or infinity")


def _calibrated_draws(store: PredictionStore, rows: npt.NDArray[np.intp]) -> Any:
    """Yield the draws of each site, scaled to the calibrated standard deviation."""
    for row in rows:
        drawn = store.calibrated_draws(int(row))
        if not np.isfinite(drawn).all():
            _refuse(store, "draws", np.array([row]))
        yield drawn


def _summary(errors: Array) -> dict[str, Any]:
    if not errors.size:
        return {"mean": None, "median": None, "n_sites": 0}
    return {"mean": float(errors.mean()), "median": float(np.median(errors)), "n_sites": int(errors.size)}


def _curve(values: Array, there: npt.NDArray[np.bool_]) -> list[float | None]:
    """Return the values as a list, with None at energies that have no value."""
    found = iter(values.tolist())
    return [next(found) if known else None for known in there]


def _spearman(first: Array, second: Array) -> float | None:
    if first.size < 3 or not np.ptp(first) or not np.ptp(second):
        return None
    return float(spearmanr(first, second).statistic)
