"""Tables of a report: figures of merit with intervals, the leakage audit, and the worst cases."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.analysis.evaluate import Array, blocks, error_percent, errors_of
from xanes_hpc.analysis.peaks import site_peaks
from xanes_hpc.stores.predictions import PredictionStore

Rows = npt.NDArray[np.int64]
WORST = 6
RESAMPLED = 2000
"""Number of bootstrap samples for an interval."""
LEVEL = (2.5, 97.5)
"""Percentiles at the ends of an interval."""


def merits(store: PredictionStore, figures: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return rows of a figure of merit, its value, and its 95 % interval from a bootstrap over sites."""
    intervals, of_sites = figures["intervals"], list[npt.NDArray[np.float64]]()
    half_widths = [store.distribution.half_width(interval["level"]) for interval in intervals]
    for block in blocks(store):
        if block.rows.size:
            mean, std = block.read(store, "mean"), block.read(store, "std")
            of_sites.append(_of_sites(block.reference, mean, std, half_widths, store.energies))
    errors, site_mae, n_points, sums, squares, own_squares, n_peaks, n_pairs, delta_energy, *within = np.concatenate(
        of_sites, axis=1
    )
    average = sums.sum() / n_points.sum()
    spread = squares - 2.0 * average * sums + average**2 * n_points
    peaks = figures["peaks"]
    r2 = f"{figures['r2']:.4f}" if figures["r2"] is not None else "–"
    statistics: list[tuple[str, str, str, Callable[[Rows], Any]]] = [
        ("error, mean over sites", "{:.2f} %", f"{errors.mean():.2f} %", lambda i: errors[i].mean()),
        ("error, median", "{:.2f} %", f"{np.median(errors):.2f} %", lambda i: np.median(errors[i])),
        (
            "error, 90th percentile",
            "{:.2f} %",
            f"{np.quantile(errors, 0.9):.2f} %",
            lambda i: np.quantile(errors[i], 0.9),
        ),
        ("mean absolute error", "{:.4g}", f"{figures['mae']:.4g}", lambda i: site_mae[i].mean()),
        ("R²", "{:.4f}", r2, lambda i: 1.0 - own_squares[i].sum() / spread[i].sum()),
    ]
    for interval, share in zip(intervals, within, strict=True):
        what = f"coverage of the {100 * interval['level']:.1f} % interval"
        statistics.append((what, "{:.1f} %", f"{100 * interval['coverage']:.1f} %", _mean_of(share)))
    if peaks["f1"] is not None:
        f1 = f"{peaks['f1']:.3f}"
        statistics.append(("peaks, F1", "{:.3f}", f1, lambda i: 2.0 * n_pairs[i].sum() / max(1, n_peaks[i].sum())))
    if peaks["delta_energy_ev"] is not None:
        apart_ev = f"{peaks['delta_energy_ev']:.2f} eV"
        ratio: Callable[[Rows], Any] = lambda i: delta_energy[i].sum() / max(1, n_pairs[i].sum())  # noqa: E731
        statistics.append(("peaks, |ΔE|", "{:.2f} eV", apart_ev, ratio))
    return [(what, value, _interval(errors.size, own, form)) for what, form, value, own in statistics]


def _of_sites(
    reference: Array, mean: Array, std: Array, half_widths: Sequence[float], energies: Array
) -> npt.NDArray[np.float64]:
    """Return, for each site, what ``merits`` resamples, (n_figures, n_sites).

    These are the error %, the mean absolute error, the number of points, the sums of references, of their squares and
    of squared errors, the numbers of peaks and of matched pairs, the sum of |ΔE|, and each interval's coverage in %.
    """
    apart, there = np.abs(reference - mean), np.isfinite(reference)
    matches = site_peaks(reference, mean, energies)
    covered = [np.where(there, apart <= width * std, np.nan) for width in half_widths]
    return np.array([
        error_percent(reference, mean),
        np.nanmean(apart, axis=1),
        there.sum(axis=1),
        np.nansum(reference, axis=1),
        np.nansum(reference**2, axis=1),
        np.nansum(apart**2, axis=1),
        [own.n_reference + own.n_predicted for own in matches],
        [own.delta_energy.size for own in matches],
        [own.delta_energy.sum() for own in matches],
        *(100.0 * np.nanmean(one, axis=1) for one in covered),
    ])  # fmt: skip


def _mean_of(values: npt.NDArray[np.float64]) -> Callable[[Rows], Any]:
    return lambda rows: values[rows].mean()


def _interval(n_sites: int, statistic: Callable[[Rows], Any], form: str) -> str:
    """Return the interval of a statistic from a bootstrap over sites."""
    generator = np.random.default_rng(0)
    drawn = [float(statistic(generator.integers(0, n_sites, n_sites))) for _ in range(RESAMPLED)]
    low, high = np.nanpercentile(drawn, LEVEL)
    return f"{form.format(low)} to {form.format(high)}"


def leakage(figures: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Return rows on near-duplicates of training sites among held-out sites, and the error without them."""
    if figures is None:
        return []
    shared = (
        ("held-out sites", "n_held_out"),
        ("same CSD code as a training site", "same_code"),
        ("same formula as a training site", "same_formula"),
        (f"near-duplicates ({figures['near_by']} < {figures['near_threshold']:g})", "near_features"),
    )
    found = [(what, f"{figures[key]:,}") for what, key in shared]
    for what, key in (
        ("mean error of all {:,} held-out sites", "error_percent_held_out"),
        ("mean error without the sites above ({:,} left)", "error_percent_without_twins"),
    ):
        own = figures[key]
        mean = "–" if own["mean"] is None else f"{own['mean']:.2f} %"
        found.append((what.format(own["n_sites"]), mean))
    return found


def worst(store: PredictionStore) -> Rows:
    """Return the rows of the sites with the largest errors, largest first."""
    rows, errors = errors_of(store)
    return np.asarray(rows[np.argsort(-errors)[:WORST]])


def cases(store: PredictionStore, rows: Rows) -> list[tuple[str, str, str, str, str]]:
    """Return name, formula, error, σ in % of the intensity, and the reason for being out of domain, for each site."""
    names, formulas, distrust = store.sites.name, store.texts("formula"), store.reasons
    found = []
    for row in rows.tolist():
        mean, std = store.read("mean", row), store.read("std", row)
        error = error_percent(store.read("reference", row)[None], mean[None])[0]
        sigma = 100.0 * std.sum() / max(float(np.abs(mean).sum()), np.finfo(float).tiny)
        found.append((names[row], formulas[row], f"{error:.1f} %", f"{sigma:.1f} %", distrust[row]))
    return found
