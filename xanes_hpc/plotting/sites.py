"""Figures of all sites together: parity, uncertainty against distance, and a map."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from xanes_hpc.analysis.evaluate import SITES_AT_ONCE, blocks, errors_of
from xanes_hpc.analysis.site_map import SiteMap
from xanes_hpc.analysis.totals import Differences
from xanes_hpc.models.distances import DISTANCES, FEATURES, KERNEL
from xanes_hpc.models.training_sites import USED_SETS
from xanes_hpc.plotting.figures import COLOURS, PREDICTION, SECOND, figure_at
from xanes_hpc.plotting.words import (
    caption,
    count_of_sites,
    in_powers_of_ten,
    intensity_label,
    legend_below,
    of_predictions,
    synthetic,
    title,
)
from xanes_hpc.stores.predictions import PredictionStore

MOST_SITES = 10_000
"""Largest number of sites whose points a figure draws: a sample of more looks the same."""
SCALE = "viridis"
AXES = {"PCA": "principal component", "UMAP": "UMAP coordinate"}
SIGMA_LABEL = "mean predicted σ (% of the mean intensity)"
ERROR_LABEL = "error of the spectrum (%)"
DISTANCE = {
    FEATURES: "Feature distance: mean difference of two sites' features, in standard deviations of the training set; 0 "
    "for a training site itself.",
    KERNEL: "Kernel distance: difference of two sites' features, weighted by what the model's Gaussian process has "
    "learned to count; 0 for a training site itself.",
}
"""What the distances are."""
ERROR = "Error: Σ|prediction − reference| in % of Σ|reference|."


def _distance_label(store: PredictionStore) -> str:
    return f"{DISTANCES[store.distance]} to the nearest training site"


def mean_sigma(store: PredictionStore) -> npt.NDArray[np.float64]:
    """Return each site's mean sigma in % of its mean intensity, (n_sites,)."""
    found = np.empty(store.n_sites)
    for start in range(0, store.n_sites, SITES_AT_ONCE):
        here = slice(start, start + SITES_AT_ONCE)
        std, mean = store.read("std", here), store.read("mean", here)
        found[here] = 100.0 * std.mean(axis=1) / np.abs(mean).mean(axis=1)
    return found


def _title(figure: Any, store: PredictionStore, what: str, rows: npt.NDArray[np.intp] | None, named: str) -> None:
    """Give a figure a title with the number of sites; None stands for all."""
    parts = store.texts("part")
    shown = [parts[row] for row in (range(store.n_sites) if rows is None else rows)]
    of = f"{of_predictions(store, named)}: {count_of_sites(len(shown), sum(part in USED_SETS for part in shown))}"
    title(figure, what, of, *synthetic(store.attribute("treatment")))


def parity(store: PredictionStore, path: Path, named: str = "") -> None:
    """Draw predicted against reference intensity of every point, as a density.

    Raises
    ------
    SpectrumError
        If no site has a reference.
    """
    rows, _ = errors_of(store)
    n_sites = rows.size
    if n_sites > MOST_SITES:
        rows = np.sort(np.random.default_rng(0).choice(rows, MOST_SITES, replace=False))
    totals, drawn = Differences(), list[npt.NDArray[np.float64]]()
    for block in blocks(store):
        mean = block.read(store, "mean")
        totals.add(block.reference, mean)
        shown = np.isin(block.rows, rows)
        there = np.isfinite(block.reference[shown])
        drawn.append(np.array([block.reference[shown][there], mean[shown][there]]))
    y, p = np.concatenate(drawn, axis=1)
    limits = min(y.min(), p.min()), max(y.max(), p.max())
    figures = totals.figures()
    r2 = "is undefined" if figures["r2"] is None else f"= {figures['r2']:.4f}"
    with figure_at(path, (5.2, 4.6)) as figure:
        axis = figure.subplots()
        counts = axis.hexbin(y, p, gridsize=120, bins="log", cmap="Blues", mincnt=1, linewidths=0)
        axis.plot(limits, limits, color="0.4", lw=0.6, ls=":")
        axis.set(xlim=limits, ylim=limits, aspect="equal")
        power, unit = in_powers_of_ten([axis], "xy"), store.attribute("unit")
        axis.set(
            xlabel=intensity_label(unit, power, "reference intensity"),
            ylabel=intensity_label(unit, power, "predicted intensity"),
        )
        figure.colorbar(counts, ax=axis, label="points in each cell", shrink=0.8)
        caption(
            figure,
            f"A point is one energy of one site. R² {r2}; the mean absolute error is "
            f"{(figures['mae'] or 0.0) / 10.0**power:.3g} in the axes' unit.",
            *(
                [f"{rows.size:,} of {n_sites:,} sites are drawn; both figures are of all."]
                if rows.size < n_sites
                else []
            ),
        )
        _title(figure, store, "Predicted against reference intensity", rows, named)


def distance(store: PredictionStore, path: Path, named: str = "") -> None:
    """Draw each site's uncertainty, and its error if it has a reference, against its distance from the training set."""
    nearest = store.read("sites/nearest")
    flagged = np.array([bool(reason) for reason in store.reasons])
    panels: list[tuple[str, npt.NDArray[np.intp], npt.NDArray[np.float64]]] = [
        (SIGMA_LABEL, np.arange(store.n_sites), mean_sigma(store))
    ]
    if store.has_reference:
        rows, errors = errors_of(store)
        panels.append((ERROR_LABEL, rows, errors))
    with figure_at(path, (4.4 * len(panels), 4.4)) as figure:
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for axis, (label, rows, values) in zip(axes, panels, strict=True):
            own = flagged[rows]
            kinds = ((~own, PREDICTION, ".", "similar to the training set"), (own, SECOND, "^", "out of domain"))
            for chosen, colour, marker, name in kinds:
                if chosen.any():
                    axis.plot(nearest[rows][chosen], values[chosen], marker, ms=3, alpha=0.5, color=colour, label=name)
            axis.set(xlabel=_distance_label(store), ylabel=label, xlim=(0, None), ylim=(0, None))
            legend_below(axis, 2)
        what = "Uncertainty and error" if store.has_reference else "Uncertainty"
        caption(figure, DISTANCE[store.distance], *([ERROR] if store.has_reference else []))
        _title(figure, store, f"{what} by distance from the training set", None, named)


def site_map(store: PredictionStore, found: SiteMap, path: Path, named: str = "") -> None:
    """Draw a map of sites coloured by error (or uncertainty) and by element; the sites used for the model are grey.

    If all sites have the same element, the second panel shows their distance from the training set instead.

    Parameters
    ----------
    store
        Predictions of the sites.
    found
        Positions of the sites.
    path
        Figure to write; its extension selects PNG, SVG or PDF.
    named
        Name in the title; by default that of the store.
    """
    if store.has_reference:
        rows, values = errors_of(store)
        label = ERROR_LABEL
    else:
        rows, label, values = np.arange(store.n_sites), SIGMA_LABEL, mean_sigma(store)
    nearest = store.read("sites/nearest")
    with figure_at(path, (9.6, 5.2)) as figure:
        left, right = figure.subplots(1, 2)
        for axis in (left, right):
            if found.behind.size:
                what = "training sites that the model keeps" if found.from_model else "used to make the model"
                what = f"{what} ({len(found.behind):,})"
                axis.scatter(*found.behind.T, s=5, color="0.82", linewidths=0, label=what)
            for k, name in enumerate("xy"):
                share = (
                    ""
                    if found.explained_variance is None
                    else f" ({100 * found.explained_variance[k]:.0f} % of the variance)"
                )
                getattr(axis, f"set_{name}label")(f"{AXES[found.how]} {k + 1}{share}")
        _coloured(figure, left, found.places[rows], values, label)
        elements = store.sites.element
        if np.unique(elements).size == 1 and np.isfinite(nearest).all():
            _coloured(figure, right, found.places, nearest, _distance_label(store))
        else:
            _by_element(right, found.places, elements)
        for axis in (left, right):
            if axis.get_legend_handles_labels()[0]:
                legend_below(axis, 4, markerscale=2.0)
        caption(
            figure,
            "Sites near each other have similar features, hence similar surroundings of the absorber.",
            DISTANCE[store.distance],
        )
        _title(figure, store, "Map of sites by their features", None, named)


def _coloured(figure: Any, axis: Any, places: npt.NDArray[np.float64], values: Any, label: str) -> None:
    """Draw sites coloured by a value, the largest on top."""
    order = np.argsort(values)
    most = float(np.quantile(values, 0.98))
    dots = axis.scatter(*places[order].T, c=values[order], s=7, cmap=SCALE, vmax=most, linewidths=0)
    figure.colorbar(dots, ax=axis, label=label, extend="max")


def _by_element(axis: Any, places: npt.NDArray[np.float64], elements: npt.NDArray[np.uint8]) -> None:
    for k, z in enumerate(np.unique(elements)):
        own = elements == z
        label = f"{chemical_symbols[z]} ({own.sum():,})"
        axis.scatter(*places[own].T, s=7, color=COLOURS[k % len(COLOURS)], linewidths=0, label=label)
