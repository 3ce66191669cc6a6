"""Figures of all sites together: parity, uncertainty against distance, and a map."""

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
"""Colour-blind-safe palette of Okabe and Ito, for elements and models."""
SCALE = "viridis"
SIGMA_LABEL = "mean σ (% of mean intensity)"


def errors_of(store: PredictionStore) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Return the rows that have a reference, and their error %.

    Raises
    ------
    SpectrumError
        If no site has a reference.
    """
    if not store.has_reference:
        raise SpectrumError(f"{store.path}: has no reference spectra; predict from a store that has spectra")
    reference = store.read("reference")
    rows, _ = rows_to_compare(reference)
    if not rows.size:
        raise SpectrumError(f"{store.path}: no site has a usable reference spectrum")
    return rows, error_percent(reference[rows], store.read("mean")[rows])


def mean_sigma(store: PredictionStore) -> npt.NDArray[np.float64]:
    """Return each site's mean sigma in % of its mean intensity, (n_sites,)."""
    std, mean = store.read("std"), store.read("mean")
    return np.asarray(100.0 * std.mean(axis=1) / np.abs(mean).mean(axis=1))


def _synthetic(store: PredictionStore) -> str:
    return synthetic(store.attribute("treatment"))


def parity(store: PredictionStore, path: Path) -> None:
    """Draw predicted against reference intensity of every point, as a density.

    Raises
    ------
    SpectrumError
        If no site has a reference.
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
        axis.set(xlabel="reference intensity", ylabel="predicted intensity", xlim=limits, ylim=limits, aspect="equal")
        figure.colorbar(counts, ax=axis, label="points", shrink=0.8)
        figure.suptitle(
            f"{count_of_sites(rows.size)}, R² = {1.0 - left:.4f}, MAE {np.abs(y - p).mean():.4g}{_synthetic(store)}"
        )


def distance(store: PredictionStore, path: Path) -> None:
    """Draw each site's uncertainty, and its error if it has a reference, against its distance from the training set."""
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
            kinds = ((~own, PREDICTION, ".", "similar to the training set"), (own, SECOND, "^", "out of domain"))
            for chosen, colour, marker, name in kinds:
                if chosen.any():
                    axis.plot(nearest[rows][chosen], values[chosen], marker, ms=3, alpha=0.5, color=colour, label=name)
            axis.set(
                xlabel="feature distance to the nearest training site", ylabel=label, xlim=(0, None), ylim=(0, None)
            )
            axis.legend(frameon=False)
        figure.suptitle(f"{count_of_sites(store.n_sites)}{_synthetic(store)}")


def site_map(store: PredictionStore, found: SiteMap, path: Path) -> None:
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
                what = f"used for the model ({len(found.behind):,})"
                axis.scatter(*found.behind.T, s=5, color="0.82", linewidths=0, label=what)
            for k, name in enumerate("xy"):
                share = (
                    ""
                    if found.explained_variance is None
                    else f" ({100 * found.explained_variance[k]:.0f} % of the variance)"
                )
                getattr(axis, f"set_{name}label")(f"{found.how} {k + 1}{share}")
        _coloured(figure, left, found.places[rows], values, label)
        elements = store.sites.element
        if np.unique(elements).size == 1 and np.isfinite(nearest).all():
            _coloured(figure, right, found.places, nearest, "feature distance to the nearest training site")
        else:
            _by_element(right, found.places, elements)
        if right.get_legend_handles_labels()[0]:
            right.legend(frameon=False, markerscale=2.0)
        figure.suptitle(f"{count_of_sites(store.n_sites)} in feature space{_synthetic(store)}")


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
