"""Figures of errors and of the calibration of sigma."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from xanes_hpc.analysis.totals import DRAWN
from xanes_hpc.models.training_sites import USED_SETS
from xanes_hpc.plotting.figures import PREDICTION, SECOND, THIRD, figure_at
from xanes_hpc.plotting.spectra import mark_edge
from xanes_hpc.plotting.words import caption, count_of_sites, energy_label, legend_below, synthetic, title

ERROR = (
    "Error at an energy: |prediction − reference| in % of the spectrum's mean intensity. Averaged over energies, it is "
    "the spectrum's error."
)


def error_at_each_energy(figures: Mapping[str, Any], of: str, path: Path) -> None:
    """Draw the quartiles and mean of the error over sites at each energy.

    Parameters
    ----------
    figures
        Figures of merit from ``xanes_hpc.analysis.evaluate.evaluate``.
    of
        The predictions' element, edge and name, from ``words.of_predictions``.
    path
        Figure to write; its extension selects PNG, SVG or PDF.
    """
    with figure_at(path, (5.4, 4.2)) as figure:
        axis = figure.subplots()
        curve = figures["error_by_energy"]
        _error_curve(axis, curve, figures["grid"]["origin"])
        axis.plot(curve["energy_ev"], np.array(curve["mean"], np.float64), color=SECOND, lw=1.0, ls="--", label="mean")
        legend_below(axis, 2)
        caption(figure, ERROR)
        _title(figure, "Error of predictions at each energy", figures, of)


def _title(figure: Any, what: str, figures: Mapping[str, Any], of: str) -> None:
    """Give a figure a title with the number of sites."""
    used = sum(own["n_sites"] for name, own in figures["by_part"].items() if name in USED_SETS)
    sites = count_of_sites(figures["n_sites"], used)
    title(figure, what, f"{of}: {sites}", *synthetic(figures["spectrum"]["treatment"]))


def _error_curve(axis: Any, curve: Mapping[str, Any], origin: str) -> None:
    low, middle, high = (np.array(curve[name], np.float64) for name in ("q25", "median", "q75"))
    axis.fill_between(
        curve["energy_ev"], low, high, color=PREDICTION, alpha=0.3, lw=0, label="middle half of the sites"
    )
    axis.plot(curve["energy_ev"], middle, color=PREDICTION, lw=1.0, label="median")
    axis.set(xlabel=energy_label(origin), ylabel="error at this energy (%)", ylim=(0, None))
    if origin == "e0":
        mark_edge(axis, 0.0)


def calibration(figures: Mapping[str, Any], of: str, path: Path) -> None:
    """Draw the calibration of sigma in four panels.

    The panels show reliability (quantiles and conformal intervals), the error as the most uncertain sites are
    rejected, and coverage and error at each energy.

    Parameters
    ----------
    figures
        Figures of merit from ``xanes_hpc.analysis.evaluate.evaluate``.
    of
        The predictions' element, edge and name, from ``words.of_predictions``.
    path
        Figure to write; its extension selects PNG, SVG or PDF.
    """
    with figure_at(path, (9.0, 8.0)) as figure:
        reliability, rejection, coverage, error = figure.subplots(2, 2).flat
        _reliability(reliability, figures)
        _rejection(rejection, figures["rejection"])
        _coverage(coverage, figures)
        _error_curve(error, figures["error_by_energy"], figures["grid"]["origin"])
        error.set_title("Error at each energy", fontsize=8)
        for axis in (reliability, rejection, coverage, error):
            legend_below(axis, 3 if axis is rejection else 2)
        caption(
            figure,
            "σ: predicted standard deviation. Quantile: a fraction of the references should lie below it. Predicted "
            "interval: of the distribution of errors with this σ. Conformal interval: its width is set so that it "
            "holds this fraction of the calibration sites.",
            ERROR,
        )
        _title(figure, "Uncertainty of predictions", figures, of)


def _reliability(axis: Any, figures: Mapping[str, Any]) -> None:
    curve = figures["reliability"]
    axis.plot([0, 1], [0, 1], color="0.6", lw=0.6, ls=":")
    axis.plot(
        curve["quantile"], curve["reached"], color=PREDICTION, marker="o", ms=3, lw=1.0, label="predicted quantiles"
    )
    for kind, marker, colour in (("intervals", "s", THIRD), ("conformal", "D", SECOND)):
        levels, covered = ([c[name] for c in figures[kind]] for name in ("level", "coverage"))
        label = "predicted intervals" if kind == "intervals" else "conformal intervals"
        axis.plot(levels, covered, color=colour, marker=marker, ms=4, lw=0, clip_on=False, label=label)
    axis.set(
        xlabel="fraction of references expected", ylabel="fraction of references observed", xlim=(0, 1), ylim=(0, 1),
        aspect="equal",
    )  # fmt: skip
    axis.set_title(
        f"Reliability: mean distance {figures['calibration_error']:.3f} from the diagonal (ideal)", fontsize=8
    )


def _rejection(axis: Any, curve: Mapping[str, Any]) -> None:
    rejected = [100 * f for f in curve["rejected_fraction"]]
    axis.axhline(curve["error_percent_mean"][0], color="0.6", lw=0.8, ls=":", label="at random")
    axis.plot(rejected, curve["error_percent_mean"], color=PREDICTION, lw=1.0, label="largest σ first")
    axis.plot(rejected, curve["best_possible"], color=THIRD, lw=1.0, ls="--", label="largest error first")
    axis.set(xlabel="sites rejected (%)", ylabel="mean error of the remaining sites (%)", ylim=(0, None))
    axis.set_title("Error as sites are rejected", fontsize=8)


def _coverage(axis: Any, figures: Mapping[str, Any]) -> None:
    curve, origin = figures["coverage_by_energy"], figures["grid"]["origin"]
    overall = {interval["level"]: interval["coverage"] for interval in figures["intervals"]}
    for level, colour in zip(DRAWN, (PREDICTION, SECOND, THIRD), strict=True):
        covered = np.array(curve[f"{level:g}"], np.float64)
        label = f"{100 * level:.1f} % interval: {100 * overall[level]:.1f} % overall"
        axis.axhline(100 * level, color=colour, lw=0.8, ls=":")
        axis.plot(curve["energy_ev"], 100 * covered, color=colour, lw=1.0, label=label)
    axis.set(xlabel=energy_label(origin), ylabel="sites with the reference in the interval (%)", ylim=(None, 100.5))
    axis.set_title("Coverage at each energy (dotted: as it should be)", fontsize=8)
    if origin == "e0":
        mark_edge(axis, 0.0)
