"""Figures of all sites at once: parity, uncertainty against distance, and a map of them."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from xanes_hpc.analysis.evaluate import error_percent, rows_to_compare
from xanes_hpc.analysis.site_map import SiteMap
from xanes_hpc.errors import SpectrumError
from xanes_hpc.plotting.spectra import PREDICTION, SECOND, count_of_sites, figure_at, synthetic
from xanes_hpc.stores.predictions import PredictionStore

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")
"""Okabe and Ito's colour-blind-safe palette, for elements."""
SCALE = "viridis"
SIGMA_LABEL = "mean σ (% of mean intensity)"


def errors_of(store: PredictionStore) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Rows that have a reference, and their error %.

    Raises
    ------
    SpectrumError
        If there are none.
    """
    if not store.has_reference:
        raise SpectrumError(f"{store.path}: has no reference spectra to measure errors by")
    reference = store.read("reference")
    rows, _ = rows_to_compare(reference)
    if not rows.size:
        raise SpectrumError(f"{store.path}: no site has a reference spectrum to measure errors by")
    return rows, error_percent(reference[rows], store.read("mean")[rows])


def mean_sigma(store: PredictionStore) -> npt.NDArray[np.float64]:
    """Each site's mean sigma in % of its mean intensity, (n_sites,)."""
    std, mean = store.read("std"), store.read("mean")
    return np.asarray(100.0 * std.mean(axis=1) / np.abs(mean).mean(axis=1))


def _made_up(store: PredictionStore) -> str:
    return synthetic(store.attribute("treatment"))


def parity(store: PredictionStore, path: Path) -> None:
    """Predicted against reference intensity of every point, as a density.

    Raises
    ------
    SpectrumError
        If there are no references.
    """
    rows, _ = errors_of(store)
    y, p = store.read("reference")[rows], store.read("mean")[rows]
    there = np.isfinite(y)
    y, p = y[there], p[there]
    limits = min(y.min(), p.min()), max(y.max(), p.max())
    left = float(np.sum((y - p) ** 2) / np.sum((y - y.mean()) ** 2))
    with figure_at(path, (4.4, 4.0)) as figure:
        axis = figure.subplots()
        counts = axis.hexbin(y, p, gridsize=120, bins="log", cmap="Blues", mincnt=1, linewidths=0)
        axis.plot(limits, limits, color="0.4", lw=0.6, ls=":")
        axis.set(xlabel="reference", ylabel="predicted", xlim=limits, ylim=limits, aspect="equal")
        figure.colorbar(counts, ax=axis, label="points", shrink=0.8)
        figure.suptitle(
            f"{count_of_sites(rows.size)}, R² = {1.0 - left:.4f}, MAE {np.abs(y - p).mean():.4g}{_made_up(store)}"
        )


def distance(store: PredictionStore, path: Path) -> None:
    """Uncertainty (and error, where there are references) of each site against its distance from the training sites."""
    nearest = store.read("sites/nearest")
    flagged = np.array([bool(reason) for reason in store.distrust or [""] * store.n_sites])
    panels: list[tuple[str, npt.NDArray[np.intp], npt.NDArray[np.float64]]] = [
        (SIGMA_LABEL, np.arange(store.n_sites), mean_sigma(store))
    ]
    if store.has_reference:
        rows, errors = errors_of(store)
        panels.append(("error %", rows, errors))
    with figure_at(path, (4.4 * len(panels), 3.6)) as figure:
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for axis, (label, rows, values) in zip(axes, panels, strict=True):
            own = flagged[rows]
            kinds = ((~own, PREDICTION, ".", "nothing speaks against them"), (own, SECOND, "^", "not to be trusted"))
            for chosen, colour, marker, name in kinds:
                if chosen.any():
                    axis.plot(nearest[rows][chosen], values[chosen], marker, ms=3, alpha=0.5, color=colour, label=name)
            axis.set(xlabel="distance to the nearest training site", ylabel=label, xlim=(0, None), ylim=(0, None))
            axis.legend(frameon=False)
        figure.suptitle(f"{count_of_sites(store.n_sites)}{_made_up(store)}")


def site_map(store: PredictionStore, found: SiteMap, path: Path) -> None:
    """Sites on a map, training sites grey behind them, coloured by error (or uncertainty), and by element.

    Sites of one element are coloured by their distance from the training sites instead, where it is known.

    Parameters
    ----------
    store
        Predictions of the sites.
    found
        Where they stand.
    path
        PNG, SVG or PDF to write, by its ending.
    """
    if store.has_reference:
        rows, values = errors_of(store)
        label = "error %"
    else:
        rows, label, values = np.arange(store.n_sites), SIGMA_LABEL, mean_sigma(store)
    nearest = store.read("sites/nearest")
    with figure_at(path, (9.0, 4.4)) as figure:
        left, right = figure.subplots(1, 2)
        for axis in (left, right):
            if found.behind.size:
                what = f"training sites ({len(found.behind):,})"
                axis.scatter(*found.behind.T, s=5, color="0.82", linewidths=0, label=what)
            for k, name in enumerate("xy"):
                share = "" if found.shares is None else f" ({100 * found.shares[k]:.0f} % of the variance)"
                getattr(axis, f"set_{name}label")(f"{found.how} {k + 1}{share}")
        _coloured(figure, left, found.places[rows], values, label)
        elements = store.sites.element
        if np.unique(elements).size == 1 and np.isfinite(nearest).all():
            _coloured(figure, right, found.places, nearest, "distance to the nearest training site")
        else:
            _by_element(right, found.places, elements)
        if right.get_legend_handles_labels()[0]:
            right.legend(frameon=False, markerscale=2.0)
        figure.suptitle(f"{count_of_sites(store.n_sites)} by their features{_made_up(store)}")


def _coloured(figure: Any, axis: Any, places: npt.NDArray[np.float64], values: Any, label: str) -> None:
    """Sites coloured by a value, the largest on top."""
    order = np.argsort(values)
    most = float(np.quantile(values, 0.98))
    dots = axis.scatter(*places[order].T, c=values[order], s=7, cmap=SCALE, vmax=most, linewidths=0)
    figure.colorbar(dots, ax=axis, label=label, extend="max")


def _by_element(axis: Any, places: npt.NDArray[np.float64], elements: npt.NDArray[np.uint8]) -> None:
    for k, z in enumerate(np.unique(elements)):
        own = elements == z
        label = f"{chemical_symbols[z]} ({own.sum():,})"
        axis.scatter(*places[own].T, s=7, color=COLOURS[k % len(COLOURS)], linewidths=0, label=label)
