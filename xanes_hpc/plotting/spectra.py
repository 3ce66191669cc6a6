"""Figures of predicted spectra."""

import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from xanes_hpc.analysis.evaluate import HELD_OUT, NOMINAL, error_percent, rows_to_compare
from xanes_hpc.errors import ConfigError, SpectrumError
from xanes_hpc.runtime.outputs import whole_output
from xanes_hpc.spectra.spectrum import treatment_name
from xanes_hpc.stores.predictions import PredictionStore

REFERENCE, PREDICTION, SECOND, THIRD = "#000000", "#0072B2", "#D55E00", "#009E73"
"""Colours from the colour-blind-safe palette of Okabe and Ito."""
ENDINGS = ("png", "svg", "pdf")
STYLE: Any = {
    "font.size": 8, "axes.spines.top": False, "axes.spines.right": False, "pdf.fonttype": 42, "svg.fonttype": "none",
    "svg.hashsalt": "xanes-hpc",
}  # fmt: skip
"""Text stays text in SVG and PDF, as journals require; a figure drawn again has the same elements."""
resolution: ContextVar[int] = ContextVar("resolution", default=300)
"""Resolution of PNG files, dots per inch."""
SHOWN_DPI = 100
"""Resolution of figures in notebooks."""
SHARES = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
"""Quantiles of the error at which sites are shown."""
TITLES = ("best", "lower quartile", "median", "upper quartile", "90th percentile", "worst")


def predicted_against_reference(store: PredictionStore, path: Path) -> None:
    """Draw reference and prediction with sigma for six sites from best to worst, held-out ones if there are any.

    Parameters
    ----------
    store
        Predictions with references.
    path
        Figure to write; its extension selects PNG, SVG or PDF.

    Raises
    ------
    SpectrumError
        If no site has a reference.
    """
    if not store.has_reference:
        raise SpectrumError(f"{store.path}: has no reference spectra; predict from a store that has spectra")
    reference = store.read("reference")
    sets = np.array(store.texts("part"))
    rows, _ = rows_to_compare(reference)
    held_out = rows[np.isin(sets[rows], HELD_OUT)]
    rows = held_out if held_out.size else rows
    if not rows.size:
        raise SpectrumError(f"{store.path}: no site has a usable reference spectrum")
    errors = error_percent(reference[rows], store.read("mean")[rows])
    order = rows[np.argsort(errors, kind="stable")]
    ranked = np.sort(errors)
    energies, names, sites_e0 = store.energies, store.sites.name, store.read("sites/e0")
    distrust = store.distrust or [""] * store.n_sites
    with figure_at(path, (9.8, 5.2)) as figure:
        axes = figure.subplots(2, 3, sharex=True)
        for axis, share, title in zip(axes.flat, SHARES, TITLES, strict=True):
            place = round(share * (order.size - 1))
            row = int(order[place])
            _one_site(axis, store, energies, row, sites_e0[row])
            axis.set_title(f"{title}, error {ranked[place]:.1f} %\n{names[row]}{_doubt(distrust[row])}", fontsize=8)
        _legend(figure, axes[0, 0])
        _label(figure, store)
        what = "held-out sites" if held_out.size else "sites"
        title = f"Prediction and reference, best to worst of {order.size} {what}"
        figure.suptitle(title + synthetic(store.attribute("treatment")))


def chosen_sites(store: PredictionStore, rows: Sequence[int], path: Path) -> None:
    """Draw predictions of some sites with sigma, and their references if available.

    Parameters
    ----------
    store
        Predictions.
    rows
        Rows of the sites.
    path
        Figure to write; its extension selects PNG, SVG or PDF.
    """
    with figure_at(path, _size(rows)) as figure:
        _draw_sites(figure, store, rows)


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


def _draw_sites(figure: Any, store: PredictionStore, rows: Sequence[int]) -> None:
    energies, names, sites_e0 = store.energies, store.sites.name, store.read("sites/e0")
    distrust = store.distrust or [""] * store.n_sites
    n_columns = _columns(rows)
    axes = list(figure.subplots(-(-len(rows) // n_columns), n_columns, sharex=True, squeeze=False).flat)
    for axis, row in zip(axes, rows, strict=False):
        reference = _one_site(axis, store, energies, row, sites_e0[row])
        error = ""
        if np.isfinite(reference).any():
            error = f"\nerror {error_percent(reference[None], store.read('mean', [row]))[0]:.1f} %"
        axis.set_title(f"{names[row]}{_doubt(distrust[row])}{error}", fontsize=8)
    for axis in axes[len(rows) :]:
        axis.axis("off")
    _legend(figure, axes[0])
    _label(figure, store)
    figure.suptitle(f"Predicted spectra{synthetic(store.attribute('treatment'))}")


def _doubt(reason: str) -> str:
    return "\nOUT OF DOMAIN" if reason else ""


def _one_site(axis: Any, store: PredictionStore, energies: Any, row: int, e0: float) -> Any:
    """Draw a site's mean, sigma and reference, and return the reference."""
    mean, std = store.read("mean", row), store.read("std", row)
    reference = store.read("reference", row) if store.has_reference else np.full(mean.size, np.nan)
    bands(axis, energies, mean, std)
    there = np.isfinite(reference)
    if there.any():
        axis.plot(energies, reference, color=REFERENCE, lw=1.0, label="reference")
    axis.plot(energies, mean, color=PREDICTION, lw=1.0, ls="--" if there.any() else "-", label="prediction")
    mark_edge(axis, 0.0 if store.origin == "e0" else e0)
    least = min(float(np.min(reference[there], initial=0.0)), float((mean - std).min()))
    axis.set_ylim(bottom=min(0.0, least * 1.1))
    return reference


def mark_edge(axis: Any, e0: float) -> None:
    """Draw a labelled line at the edge."""
    axis.axvline(e0, color="0.4", lw=0.8, ls="--")
    axis.annotate("E₀", (e0, 1.0), (2, -2), xycoords=("data", "axes fraction"), textcoords="offset points", va="top")


def bands(axis: Any, energies: Any, mean: Any, std: Any) -> None:
    """Draw bands of one and two sigma around a prediction, (n_energies,)."""
    for k, alpha in ((2, 0.18), (1, 0.35)):
        band = (mean - k * std, mean + k * std)
        axis.fill_between(energies, *band, color=PREDICTION, alpha=alpha, lw=0, label=f"±{k}σ")


def _legend(figure: Any, axis: Any) -> None:
    """Draw the legend of an axis to the right of the whole figure."""
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False)


def _label(figure: Any, store: PredictionStore) -> None:
    unit = store.attribute("unit")
    figure.supxlabel("E − E₀ (eV)" if store.origin == "e0" else "energy (eV)")
    figure.supylabel("intensity" + ("" if unit == "arbitrary" else f" ({unit})"))


def synthetic(treatment: str) -> str:
    """Return a second line of a title for synthetic spectra; empty for others."""
    return "\nSYNTHETIC spectra, not calculated" if treatment_name(treatment) == "synthetic" else ""


def error_at_each_energy(figures: Mapping[str, Any], path: Path) -> None:
    """Draw the quartiles and mean of the error % over sites at each energy.

    Parameters
    ----------
    figures
        Figures of merit from ``xanes_hpc.analysis.evaluate.evaluate``.
    path
        Figure to write; its extension selects PNG, SVG or PDF.
    """
    with figure_at(path, (5.0, 3.6)) as figure:
        axis = figure.subplots()
        _error_curve(axis, figures["error_by_energy"])
        axis.plot(
            figures["error_by_energy"]["energy_ev"], np.array(figures["error_by_energy"]["mean"], np.float64),
            color=SECOND, lw=1.0, ls="--", label="mean",
        )  # fmt: skip
        if figures["grid"]["origin"] == "e0":
            mark_edge(axis, 0.0)
        axis.set(xlabel="E − E₀ (eV)" if figures["grid"]["origin"] == "e0" else "energy (eV)")
        axis.legend(frameon=False)
        figure.suptitle(
            f"Error at each energy, {count_of_sites(figures['n_sites'])}{synthetic(figures['spectrum']['treatment'])}"
        )


def _error_curve(axis: Any, curve: Mapping[str, Any]) -> None:
    low, middle, high = (np.array(curve[name], np.float64) for name in ("q25", "median", "q75"))
    axis.fill_between(curve["energy_ev"], low, high, color=PREDICTION, alpha=0.3, lw=0, label="quartiles")
    axis.plot(curve["energy_ev"], middle, color=PREDICTION, lw=1.0, label="median")
    axis.set(ylabel="error %", ylim=(0, None))


def calibration(figures: Mapping[str, Any], path: Path) -> None:
    """Draw the calibration of sigma in four panels.

    The panels show reliability (quantiles and conformal intervals), the error % as the most uncertain sites are
    rejected, and coverage and error % at each energy.

    Parameters
    ----------
    figures
        Figures of merit from ``xanes_hpc.analysis.evaluate.evaluate``.
    path
        Figure to write; its extension selects PNG, SVG or PDF.
    """
    with figure_at(path, (9.0, 6.4)) as figure:
        reliability, rejection, coverage, error = figure.subplots(2, 2).flat
        curve = figures["reliability"]
        reliability.plot([0, 1], [0, 1], color="0.6", lw=0.6, ls=":")
        reliability.plot(
            curve["quantile"], curve["reached"], color=PREDICTION, marker="o", ms=3, lw=1.0, label="quantiles"
        )
        levels, covered = ([c[name] for c in figures["conformal"]] for name in ("level", "coverage"))
        reliability.plot(
            levels, covered, color=SECOND, marker="D", ms=4, lw=0, clip_on=False, label="conformal intervals"
        )
        reliability.set(xlabel="nominal fraction", ylabel="observed fraction", xlim=(0, 1), ylim=(0, 1), aspect="equal")
        reliability.set_title(f"reliability, mean deviation {figures['calibration_error']:.3f}", fontsize=8)
        curve = figures["rejection"]
        rejected = [100 * f for f in curve["rejected_fraction"]]
        rejection.axhline(curve["error_percent_mean"][0], color="0.6", lw=0.6, ls=":", label="rejected at random")
        rejection.plot(rejected, curve["error_percent_mean"], color=PREDICTION, lw=1.0, label="by σ")
        rejection.plot(rejected, curve["best_possible"], color=THIRD, lw=1.0, ls="--", label="by the error itself")
        rejection.set(xlabel="sites rejected (%)", ylabel="error % of the remaining sites", ylim=(0, None))
        rejection.set_title("rejection of the most uncertain sites", fontsize=8)
        curve = figures["coverage_by_energy"]
        for (name, nominal), colour in zip(NOMINAL.items(), (PREDICTION, SECOND, THIRD), strict=True):
            whole = f"±{name[0]}σ: {100 * figures['coverage'][name]:.1f} % overall"
            coverage.axhline(100 * nominal, color=colour, lw=0.6, ls=":")
            coverage.plot(curve["energy_ev"], _percent(curve[name]), color=colour, lw=1.0, label=whole)
        coverage.set(ylabel="sites within the interval (%)", ylim=(None, 100.5))
        coverage.set_title("coverage at each energy, nominal dotted", fontsize=8)
        _error_curve(error, figures["error_by_energy"])
        error.set_title("error at each energy", fontsize=8)
        for axis in (coverage, error):
            axis.set_xlabel("E − E₀ (eV)" if figures["grid"]["origin"] == "e0" else "energy (eV)")
            if figures["grid"]["origin"] == "e0":
                mark_edge(axis, 0.0)
        for axis in (reliability, rejection, coverage, error):
            axis.legend(frameon=False)
        figure.suptitle(
            f"Uncertainty of {figures['n_sites']:,} predicted spectra{synthetic(figures['spectrum']['treatment'])}"
        )


def count_of_sites(n: int) -> str:
    """Return a count such as ``204 sites``."""
    return f"{n:,} site" + ("s" if n != 1 else "")


def _percent(fractions: list[float | None]) -> Any:
    return 100 * np.array(fractions, np.float64)


def check_figure(path: Path | None) -> None:
    """Raise if a figure could not be written to ``path``; None stands for no figure.

    Raises
    ------
    ConfigError
        If the file's ending is not supported, or its folder does not exist.
    """
    if path is None:
        return
    if path.suffix.removeprefix(".").lower() not in ENDINGS:
        raise ConfigError(f"{path}: expected a file ending in .{', .'.join(ENDINGS)}, received {path.suffix!r}")
    if not path.parent.is_dir():
        raise ConfigError(f"{path.parent}: no such folder; create it before drawing {path.name}")


@contextmanager
def figure_at(path: Path, size: tuple[float, float]) -> Iterator[Any]:
    """Yield a figure and write it to ``path`` once it is drawn.

    Raises
    ------
    ConfigError
        If the path's ending is not supported.
    """
    check_figure(path)
    with new_figure(size) as figure:
        yield figure
        save(figure, path)


@contextmanager
def new_figure(size: tuple[float, float]) -> Iterator[Any]:
    """Yield a new figure, to be drawn in our style."""
    with our_style():
        yield _shown_figure()(figsize=size, layout="constrained")


@contextmanager
def our_style() -> Iterator[None]:
    """Draw in our style within the block, whatever the user's ``matplotlibrc`` or program has set."""
    mpl = _matplotlib()
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


@cache
def _matplotlib() -> Any:
    """Import Matplotlib without its warnings about the user's style files, which we do not use."""
    log = logging.getLogger("matplotlib")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        import matplotlib as mpl
        import matplotlib.figure
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"Matplotlib cannot start; check its matplotlibrc and MPLBACKEND: {reason}") from None
    finally:
        log.setLevel(level)
    return mpl


@cache
def _shown_figure() -> Any:
    """Return the class of figures, which notebooks show without pyplot."""

    class ShownFigure(_matplotlib().figure.Figure):  # type: ignore[misc]
        def _repr_png_(self) -> bytes:
            stream = io.BytesIO()
            with our_style():
                self.savefig(stream, format="png", dpi=SHOWN_DPI)
            return stream.getvalue()

    return ShownFigure


def save(figure: Any, path: Path) -> None:
    """Write a figure; the path's ending selects PNG, SVG or PDF."""
    with our_style(), whole_output(path, overwrite=True) as temporary:
        figure.savefig(temporary, dpi=resolution.get(), format=path.suffix.removeprefix(".").lower())
