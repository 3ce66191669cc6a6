"""Figures that compare calculated or predicted spectra with measured ones."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from xanes_hpc.experiment.combinations import Combinations
from xanes_hpc.experiment.fitted import Fitted
from xanes_hpc.experiment.fitting import BOUNDS
from xanes_hpc.experiment.match import Match
from xanes_hpc.plotting.spectra import PREDICTION, REFERENCE, SECOND, THIRD, bands, figure_at

MOST_SHOWN, MOST_SPECTRA = 6, 30
"""Largest number of sites shown for one measured spectrum, and of measured spectra shown with their best site."""


def fitted_spectrum(fitted: Fitted, calculated: str, experiment: str, path: Path) -> None:
    """Draw the measured spectrum, the calculated one before and after the fit, and the residual.

    Parameters
    ----------
    fitted
        The fit.
    calculated, experiment
        Names of the two spectra.
    path
        Figure to write; its extension selects PNG, SVG or PDF.
    """
    with figure_at(path, (6.0, 4.8)) as figure:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        energies = fitted.energies
        above.plot(energies, fitted.experiment, color=REFERENCE, lw=0, marker=".", ms=3, label=experiment)
        above.plot(energies, fitted.before, color="0.6", lw=0.8, label=f"{calculated}, shifted and scaled")
        above.plot(energies, fitted.fitted, color=PREDICTION, lw=1.2, label=f"{calculated}, fitted")
        if fitted.background.any():
            above.plot(energies, fitted.background, color=THIRD, lw=0.8, ls="--", label="fitted background")
        above.set(ylabel="intensity")
        above.legend(frameon=False)
        below.axhline(0.0, color="0.6", lw=0.6, ls=":")
        below.plot(energies, fitted.experiment - fitted.fitted, color=SECOND, lw=0.8)
        below.set(xlabel="E − E₀ (eV)", ylabel="residual")
        shown = {name: p for name, p in fitted.parameters.items() if name in ("shift", "scale", *BOUNDS)}
        values = [f"{name} {p.value:.3g}" for name, p in shown.items() if p.varied or p.at_bound]
        figure.suptitle(", ".join([*values, f"R = {fitted.r_factor:.2g}"]), fontsize=8)


def matched_spectra(match: Match, experiment: str, path: Path) -> None:
    """Draw the measured spectrum with each of the best matches, and with the best mixture, one panel each.

    Parameters
    ----------
    match
        The result of the search.
    experiment
        Name of the measured spectrum.
    path
        Figure to write; its extension selects PNG, SVG or PDF.
    """
    shown = match.ranked[:MOST_SHOWN]
    mixtures = match.mixtures[:1]
    n_panels = len(shown) + len(mixtures)
    n_columns = min(3, n_panels)
    n_rows = -(-n_panels // n_columns)
    with figure_at(path, (3.0 * n_columns, 2.4 * n_rows + 0.4)) as figure:
        axes = list(np.atleast_1d(figure.subplots(n_rows, n_columns, sharex=True, squeeze=False)).flat)
        for rank, (axis, one) in enumerate(zip(axes, shown, strict=False), 1):
            if one.std is not None:
                bands(axis, match.energies, one.mean, one.std)
            axis.plot(match.energies, one.mean, color=PREDICTION, lw=1.0)
            axis.plot(match.energies, one.experiment, color=REFERENCE, lw=1.0)
            axis.set_title(f"{rank}: {one.site}\nχ²/n {one.chi2:.3g}, error {one.error_percent:.1f} %", fontsize=8)
        for axis, mixture in zip(axes[len(shown) :], mixtures, strict=False):
            axis.plot(match.energies, mixture.mean, color=THIRD, lw=1.0)
            axis.plot(match.energies, mixture.experiment, color=REFERENCE, lw=1.0)
            parts = "\n".join(f"{100 * f:.0f} % {s}" for f, s in zip(mixture.fractions, mixture.sites, strict=True))
            axis.set_title(f"{parts}\nχ²/n {mixture.chi2:.3g}, error {mixture.error_percent:.1f} %", fontsize=8)
        for axis in axes[n_panels:]:
            axis.axis("off")
        figure.supxlabel("E − E₀ (eV)" if match.origin == "e0" else "energy (eV)")
        figure.supylabel("intensity")
        figure.suptitle(f"{experiment} (black) and its best matches")


def best_matches(matches: Sequence[tuple[str, Match]], path: Path) -> None:
    """Draw each of several measured spectra with its best match, one panel each; at most ``MOST_SPECTRA``.

    Parameters
    ----------
    matches
        Names of the measured spectra, and what was found for them.
    path
        Figure to write; its extension selects PNG, SVG or PDF.
    """
    shown = matches[:MOST_SPECTRA]
    n_columns = min(4, len(shown))
    n_rows = -(-len(shown) // n_columns)
    with figure_at(path, (2.6 * n_columns, 2.1 * n_rows + 0.4)) as figure:
        axes = list(figure.subplots(n_rows, n_columns, sharex=True, squeeze=False).flat)
        for axis, (name, match) in zip(axes, shown, strict=False):
            best = match.ranked[0]
            if best.std is not None:
                bands(axis, match.energies, best.mean, best.std)
            axis.plot(match.energies, best.mean, color=PREDICTION, lw=1.0)
            axis.plot(match.energies, best.experiment, color=REFERENCE, lw=1.0)
            axis.set_title(f"{name}\n{best.site}, error {best.error_percent:.1f} %", fontsize=7)
        for axis in axes[len(shown) :]:
            axis.axis("off")
        figure.supxlabel("E − E₀ (eV)" if matches[0][1].origin == "e0" else "energy (eV)")
        figure.supylabel("intensity")
        some = f", the first {len(shown)} of {len(matches)}" if len(matches) > len(shown) else ""
        figure.suptitle(f"Measured spectra (black) and their best matches{some}")


def fitted_combinations(fits: Sequence[tuple[str, float, Combinations]], path: Path) -> None:
    """Draw measured spectra with the best combination of standards and the residual; at most ``MOST_SPECTRA``.

    Parameters
    ----------
    fits
        Names and edge energies (eV) of the measured spectra, and what was found for them.
    path
        Figure to write; its extension selects PNG, SVG or PDF.
    """
    shown = fits[:MOST_SPECTRA]
    n_columns = min(3, len(shown))
    n_rows = -(-len(shown) // n_columns)
    with figure_at(path, (3.2 * n_columns + 0.4, 2.8 * n_rows + 0.4)) as figure:
        axes = list(figure.subplots(n_rows, n_columns, squeeze=False).flat)
        for axis, (name, e0, found) in zip(axes, shown, strict=False):
            best, energies = found.ranked[0], found.energies - e0
            axis.plot(energies, found.sample, color=REFERENCE, lw=0, marker=".", ms=2, label="measured")
            axis.plot(energies, best.fitted, color=PREDICTION, lw=1.0, label="fit")
            axis.plot(energies, found.sample - best.fitted, color=SECOND, lw=0.8, label="residual")
            axis.axhline(0.0, color="0.6", lw=0.6, ls=":")
            parts = "\n".join(f"{100 * f:.1f} % {s}" for f, s in zip(best.weights, best.names, strict=True))
            axis.set_title(f"{name}\n{parts}", fontsize=7)
        axes[0].legend(frameon=False, fontsize=7)
        for axis in axes[len(shown) :]:
            axis.axis("off")
        figure.supxlabel("E − E₀ (eV)")
        figure.supylabel("normalised absorption")
