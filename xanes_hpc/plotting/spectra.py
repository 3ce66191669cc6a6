"""Figures of predicted spectra."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xanes_hpc.analysis.evaluate import HELD_OUT, error_percent, errors_of
from xanes_hpc.plotting.figures import PREDICTION, REFERENCE, figure_at, new_figure, panels
from xanes_hpc.plotting.words import (
    count_of_sites,
    energy_label,
    in_powers_of_ten,
    intensity_label,
    label_grid,
    of_predictions,
    over_panel,
    synthetic,
    title,
)
from xanes_hpc.spectra.distribution import Distribution
from xanes_hpc.stores.predictions import PredictionStore

BASELINE = "#777777"
BANDS = {0.9545: 0.18, 0.6827: 0.35}
"""Levels of the intervals that are drawn, and the opacity of each."""
SHARES = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
"""Quantiles of the error at which sites are shown."""
TITLES = ("best", "lower quartile", "median", "upper quartile", "90th percentile", "worst")


def predicted_against_reference(
    store: PredictionStore, path: Path, named: str = "", baseline: Any = None, compared_with: str = ""
) -> None:
    """Draw reference and prediction with sigma for six sites from best to worst, held-out ones if there are any.

    Parameters
    ----------
    store
        Predictions with references.
    path
        Figure to write; its extension selects PNG, SVG or PDF.
    named
        Name in the title; by default that of the store.
    baseline
        Another prediction of each site to draw and to compare the mean error with, (n_sites, n_energies).
    compared_with
        What the baseline is, for the legend.

    Raises
    ------
    SpectrumError
        If no site has a reference.
    """
    rows, errors = errors_of(store)
    held_out = np.isin(np.array(store.texts("part"))[rows], HELD_OUT)
    if held_out.any():
        rows, errors = rows[held_out], errors[held_out]
    order = np.argsort(errors, kind="stable")
    ranked, errors = rows[order], errors[order]
    energies, names, sites_e0 = store.energies, store.sites.name, store.read("sites/e0")
    distrust = store.reasons
    with figure_at(path, (9.8, 5.2)) as figure:
        axes = panels(figure, len(SHARES), 3)
        for axis, share, rank in zip(axes, SHARES, TITLES, strict=True):
            place = round(share * (ranked.size - 1))
            row = int(ranked[place])
            _one_site(axis, store, energies, row, sites_e0[row])
            if baseline is not None:
                axis.plot(energies, baseline[row], color=BASELINE, lw=0.8, ls=":", label=compared_with)
            over_panel(axis, f"{rank}, error {errors[place]:.1f} %\n{names[row]}{_doubt(distrust[row])}")
        legend_beside(figure, axes)
        _label(figure, store, len(SHARES), 3)
        others = store.n_sites - ranked.size
        left_out = f" ({others:,} others were used to make the model or have no reference)" if others else ""
        compared = f"{count_of_sites(ranked.size)}{' held out' if held_out.any() else ''}{left_out}"
        against = [] if baseline is None else [
            f"mean error {errors.mean():.1f} %, against "
            f"{error_percent(store.read('reference')[ranked], baseline[ranked]).mean():.1f} % of the {compared_with}"
        ]  # fmt: skip
        title(
            figure, "Predicted and reference spectra, from the best to the worst",
            f"{of_predictions(store, named)}: {compared}", *against,
            *synthetic(store.attribute("treatment")),
        )  # fmt: skip


def chosen_sites(store: PredictionStore, rows: Sequence[int], path: Path, named: str = "") -> None:
    """Draw predictions of some sites with sigma, and their references if available.

    Parameters
    ----------
    store
        Predictions.
    rows
        Rows of the sites.
    path
        Figure to write; its extension selects PNG, SVG or PDF.
    named
        Name in the title; by default that of the store.
    """
    with figure_at(path, _size(rows)) as figure:
        _draw_sites(figure, store, rows, named)


def chosen_sites_figure(store: PredictionStore, rows: Sequence[int]) -> Any:
    """Return the figure that ``chosen_sites`` writes."""
    with new_figure(_size(rows)) as figure:
        _draw_sites(figure, store, rows)
    return figure


def _columns(rows: Sequence[int]) -> int:
    return max(1, min(3, len(rows)))


def _size(rows: Sequence[int]) -> tuple[float, float]:
    n_columns = _columns(rows)
    return 3.0 * n_columns + 1.1, 2.4 * -(-len(rows) // n_columns) + 0.4


def _draw_sites(figure: Any, store: PredictionStore, rows: Sequence[int], named: str = "") -> None:
    energies, names, sites_e0 = store.energies, store.sites.name, store.read("sites/e0")
    distrust = store.reasons
    n_columns = _columns(rows)
    axes = panels(figure, len(rows), n_columns)
    for axis, row in zip(axes, rows, strict=True):
        reference = _one_site(axis, store, energies, row, sites_e0[row])
        error = ""
        if np.isfinite(reference).any():
            error = f"\nerror {error_percent(reference[None], store.read('mean', [row]))[0]:.1f} %"
        over_panel(axis, f"{names[row]}{_doubt(distrust[row])}{error}")
    legend_beside(figure, axes)
    _label(figure, store, len(rows), n_columns)
    title(figure, "Predicted spectra", of_predictions(store, named), *synthetic(store.attribute("treatment")))


def _doubt(reason: str) -> str:
    return "\nOUT OF DOMAIN" if reason else ""


def _one_site(axis: Any, store: PredictionStore, energies: Any, row: int, e0: float) -> Any:
    """Draw a site's mean, sigma and reference, and return the reference."""
    mean, std = store.read("mean", row), store.read("std", row)
    reference = store.read("reference", row) if store.has_reference else np.full(mean.size, np.nan)
    bands(axis, energies, mean, std, store.distribution)
    there = np.isfinite(reference)
    if there.any():
        axis.plot(energies, reference, color=REFERENCE, lw=1.0, label="reference")
    axis.plot(energies, mean, color=PREDICTION, lw=1.0, ls="--" if there.any() else "-", label="prediction")
    mark_edge(axis, 0.0 if store.origin == "e0" else e0)
    least = min(float(np.min(reference[there], initial=0.0)), float((mean - std).min()))
    axis.set_ylim(bottom=min(0.0, least * 1.1))
    return reference


def mark_edge(axis: Any, e0: float) -> None:
    """Draw a line at the edge."""
    axis.axvline(e0, color="0.4", lw=0.8, ls="--", label="edge, E₀")


def bands(axis: Any, energies: Any, mean: Any, std: Any, distribution: Distribution) -> None:
    """Draw the intervals of ``BANDS`` around a prediction, (n_energies,)."""
    for level, alpha in BANDS.items():
        half = distribution.half_width(level) * std
        label = f"{100 * level:.0f} % interval"
        axis.fill_between(energies, mean - half, mean + half, color=PREDICTION, alpha=alpha, lw=0, label=label)


def legend_beside(figure: Any, axes: Sequence[Any]) -> None:
    """Draw one legend of what several axes show, to the right of the whole figure."""
    shown = {label: handle for axis in axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(list(shown.values()), list(shown), loc="outside right center", frameon=False)


def _label(figure: Any, store: PredictionStore, n_panels: int, n_columns: int) -> None:
    """Label the energies and intensities of all panels."""
    unit = intensity_label(store.attribute("unit"), in_powers_of_ten(figure.axes[:n_panels]))
    label_grid(figure, n_panels, n_columns, energy_label(store.origin), unit)
