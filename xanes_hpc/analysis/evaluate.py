"""Figures of merit of predicted spectra against references on the same grid, without rescaling.

Arrays are (n_sites, n_energies) unless stated otherwise; points whose reference is NaN are ignored.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from xanes_hpc.analysis.totals import Totals, curve
from xanes_hpc.errors import SpectrumError
from xanes_hpc.models.distances import DISTANCES, FEATURES, KERNEL
from xanes_hpc.stores.predictions import PredictionStore

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

NEAR = {FEATURES: 0.015, KERNEL: 0.03}
"""Limits for near-duplicates: feature and kernel distance to the nearest training site."""
REJECTED = np.linspace(0.0, 0.9, 10)
HELD_OUT = ("test", "none")
"""Splits whose sites had no influence on the model."""
SITES_AT_ONCE = 4096
"""Number of sites whose spectra are in memory at a time."""
POINTS_AT_ONCE = 1 << 23
"""Number of points of all sites, at some energies, that are in memory at a time for quartiles."""


def error_percent(reference: Array, predicted: Array) -> npt.NDArray[np.float64]:
    """Return 100 sum |y - p| / sum |y| of each spectrum, (n_sites,)."""
    there = np.isfinite(reference)
    difference = np.where(there, np.abs(reference - predicted), 0.0).sum(axis=1)
    return np.asarray(100.0 * difference / np.where(there, np.abs(reference), 0.0).sum(axis=1))


def mean_squared_errors(reference: Array, predicted: Array) -> npt.NDArray[np.float64]:
    """Return the mean squared error of each spectrum, (n_sites,), over the energies with a reference."""
    return np.asarray(np.nanmean((reference - predicted) ** 2, axis=1))


def error_by_energy(
    reference: Array, predicted: Array, energies: Array, level: Array | None = None
) -> dict[str, list[float | None]]:
    """Return quartiles and mean over sites of 100 |y - p| / mean |y| at each energy.

    Averaged over energies, the mean is the error %. Values are None at energies where no site has a reference.
    ``level``, (n_sites,), is mean |y|, of the whole spectra if these are only a part.
    """
    level = np.nanmean(np.abs(reference), axis=1) if level is None else level
    relative = reference - predicted
    np.abs(relative, out=relative)
    relative *= 100.0 / level[:, None]
    there = np.asarray(np.isfinite(relative).any(axis=0))
    known = relative if there.all() else relative[:, there]
    mean = np.nanmean(known, axis=0)
    low, middle, high = np.nanquantile(known, (0.25, 0.5, 0.75), axis=0, overwrite_input=True)
    curves = {"q25": low, "median": middle, "q75": high, "mean": mean}
    return {"energy_ev": energies.tolist(), **{name: curve(values, there) for name, values in curves.items()}}


def by_trust(errors: Array, distrust: Sequence[str]) -> dict[str, Any]:
    """Return the error % of sites out of domain and of the others; both arguments (n_sites,)."""
    flagged = np.array([bool(reason) for reason in distrust], np.bool_)
    return {"trusted": _summary(errors[~flagged]), "not_trusted": _summary(errors[flagged])}


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
    _need_references(store)
    reference = store.read("reference")
    usable, n_zero = _usable(reference)
    _need_usable(store, int(usable.sum()), n_zero)
    return reference, np.flatnonzero(usable), n_zero


def _usable(reference: Array) -> tuple[npt.NDArray[np.bool_], int]:
    there = np.isfinite(reference)
    known = there.sum(axis=1) > 1
    zero = known & ~np.where(there, reference, 0.0).any(axis=1)
    return known & ~zero, int(zero.sum())


def _need_references(store: PredictionStore) -> None:
    if not store.has_reference:
        raise SpectrumError(f"{store.path}: has no reference spectra; predict from a store that has spectra")


def _need_usable(store: PredictionStore, n_usable: int, n_zero: int) -> None:
    if not n_usable:
        note = f" ({n_zero} are zero everywhere)" if n_zero else ""
        raise SpectrumError(f"{store.path}: none of the {store.n_sites} sites has a usable reference spectrum{note}")


def errors_of(store: PredictionStore) -> tuple[Rows, Array]:
    """Return the rows with a usable reference, and the error % of each, (n_rows,).

    Raises
    ------
    SpectrumError
        If no site has a usable reference.
    """
    rows, errors, n_zero = [np.empty(0, np.intp)], [np.empty(0)], 0
    for block in blocks(store):
        rows.append(block.rows)
        errors.append(error_percent(block.reference, block.read(store, "mean")))
        n_zero += block.n_zero
    _need_usable(store, sum(map(len, rows)), n_zero)
    return np.concatenate(rows), np.concatenate(errors)


@dataclass(frozen=True)
class Block:
    """Consecutive sites of a store.

    Attributes
    ----------
    slice
        Their rows in the store.
    usable : (n_block,)
        Whether each site has a usable reference.
    reference : (n_rows, n_energies)
        The usable references.
    n_zero
        Number of references that are zero everywhere.
    """

    slice: slice
    usable: npt.NDArray[np.bool_]
    reference: Array
    n_zero: int

    @property
    def rows(self) -> Rows:
        """Rows of the sites with a usable reference."""
        return np.asarray(self.slice.start + np.flatnonzero(self.usable))

    def read(self, store: PredictionStore, name: str) -> Array:
        """Return spectra of these sites, such as ``mean``, (n_rows, n_energies)."""
        return store.read(name, self.slice)[self.usable]


def blocks(store: PredictionStore) -> Iterator[Block]:
    """Yield the sites of a store with their usable references, block by block.

    Raises
    ------
    SpectrumError
        If the store has no references.
    """
    _need_references(store)
    for start in range(0, store.n_sites, SITES_AT_ONCE):
        here = slice(start, min(start + SITES_AT_ONCE, store.n_sites))
        reference = store.read("reference", here)
        usable, n_zero = _usable(reference)
        yield Block(here, usable, reference[usable], n_zero)


def evaluate(store: PredictionStore) -> dict[str, Any]:
    """Return all figures of merit of a prediction store as nested plain values.

    Sites without a reference are left out. The store is read in blocks.

    Raises
    ------
    SpectrumError
        If no site has a usable reference, or a value is infinite or missing.
    """
    energies, distribution = store.energies, store.distribution
    totals = Totals(energies, distribution, store.conformal, store.has_draws)
    columns: dict[str, list[Any]] = {name: [np.empty(0)] for name in ("errors", "squared", "sigma", "level")}
    every, n_zero = [np.empty(0, np.intp)], 0
    for block in blocks(store):
        reference, own = block.reference, block.rows
        mean, std = block.read(store, "mean"), block.read(store, "std")
        finite = {"reference": ~np.isinf(reference), "mean": np.isfinite(mean), "std": np.isfinite(std)}
        for name, known in finite.items():
            _refuse(store, name, own[~known.all(axis=1)])
        every.append(own)
        n_zero += block.n_zero
        if not own.size:
            continue
        totals.add(reference, mean, std, _calibrated_draws(store, own) if store.has_draws else None)
        columns["errors"].append(error_percent(reference, mean))
        columns["squared"].append(mean_squared_errors(reference, mean))
        columns["sigma"].append(np.nanmean(np.where(np.isfinite(reference), std, np.nan), axis=1))
        columns["level"].append(np.nanmean(np.abs(reference), axis=1))
    rows = np.concatenate(every)
    _need_usable(store, rows.size, n_zero)
    errors, squared, site_sigma, level = (np.concatenate(column) for column in columns.values())
    parts, twins_of_all, distrust = store.texts("part"), store.texts("twin"), store.distrust
    sets, twins = [parts[i] for i in rows], [twins_of_all[i] for i in rows]
    return {
        "error_percent": _summary(errors),
        "mse_median": float(np.median(squared)),
        **totals.figures(),
        "spearman_sigma_error": _spearman(site_sigma, errors),
        "n_sites": int(rows.size),
        "n_without_reference": store.n_sites - int(rows.size) - n_zero,
        "n_zero_reference": n_zero,
        "n_points": totals.n_points,
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
        "error_by_energy": _curves(store, rows, level),
    }


def _curves(store: PredictionStore, rows: Rows, level: Array) -> dict[str, list[float | None]]:
    """Return what ``error_by_energy`` does for rows whose references have these mean sizes, some energies at a time."""
    energies = store.energies
    found: dict[str, list[float | None]] = {}
    at_once = max(1, POINTS_AT_ONCE // store.n_sites)
    for start in range(0, energies.size, at_once):
        here = slice(start, start + at_once)
        reference, mean = (store.read(name, energies=here)[rows] for name in ("reference", "mean"))
        for name, values in error_by_energy(reference, mean, energies[here], level).items():
            found.setdefault(name, []).extend(values)
    return found


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


def _spearman(first: Array, second: Array) -> float | None:
    if first.size < 3 or not np.ptp(first) or not np.ptp(second):
        return None
    return float(spearmanr(first, second).statistic)
