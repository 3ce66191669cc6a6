"""Figures of a measured series: fractions along it, the residual, and its components."""

from pathlib import Path
from typing import Any

import numpy as np

from xanes_hpc.experiment.held_out import POOR, UNEXPLAINED
from xanes_hpc.experiment.joint_fit import JointFit
from xanes_hpc.plotting.figures import COLOURS, PREDICTION, REFERENCE, figure_at
from xanes_hpc.plotting.words import energy_label, title

MOST_DRAWN = 60
"""Largest number of spectra of a series that are drawn."""
MOST_EIGENVALUES = 12


def fractions_along(found: JointFit, what: str, path: Path) -> None:
    """Draw the fractions of the best sites along a series, the residual below, and its components beside.

    Parameters
    ----------
    found
        The fit of the series.
    what
        What is drawn, for the title.
    path
        Figure to write; its extension selects PNG, SVG or PDF.
    """
    best, axis = found.ranked[0], found.series.axis
    with figure_at(path, (8.4, 5.4)) as figure:
        panels = figure.subplots(2, 2, height_ratios=(3, 1.4))
        fractions, spectra, residual, eigenvalues = panels.flat
        fractions.sharex(residual)
        for k, (site, colour) in enumerate(zip(best.sites, COLOURS, strict=False)):
            fractions.errorbar(
                axis.values, best.fractions[:, k], np.maximum(best.standard_errors, best.bootstrap_errors)[:, k],
                color=colour, marker="o", ms=3, lw=1.0, elinewidth=0.7, capsize=2, label=site,
            )  # fmt: skip
        fractions.axhline(0.0, color="0.6", lw=0.6, ls=":")
        fractions.set(ylabel="fraction", ylim=(-0.05, 1.05))
        fractions.tick_params(labelbottom=False)
        fractions.legend(frameon=False, fontsize=7, loc="upper center", bbox_to_anchor=(0.5, 1.2), ncols=1)
        residual.plot(axis.values, best.error_percent, color=REFERENCE, marker=".", ms=3, lw=0.8)
        top = 1.1 * float(best.error_percent.max())
        if found.held_out is not None:
            for share, look in ((POOR, ":"), (UNEXPLAINED, "--")):
                limit = float(np.quantile(found.held_out.errors, share / 100.0))
                residual.axhline(limit, color="0.4", lw=0.8, ls=look, label=f"{share:.0f} % of held-out spectra below")
                top = max(top, 1.4 * limit, 1.4 * float(best.error_percent.max()))
            residual.legend(frameon=False, fontsize=6, loc="upper center", ncols=2)
        residual.set(xlabel=axis.label, ylabel="residual (%)", ylim=(0, top or None))
        _spectra(spectra, found)
        _eigenvalues(eigenvalues, found)
        title(figure, f"{what}, shift {best.shift:+.2f} eV, mean residual {best.error_percent.mean():.1f} %")


def _spectra(panel: Any, found: JointFit) -> None:
    """Draw the series in grey and the sites' spectra."""
    best = found.ranked[0]
    n = len(best.measured)
    for k in np.unique(np.linspace(0, n - 1, min(n, MOST_DRAWN)).astype(int)):
        own = best.measured[k] * best.factors[k]
        panel.plot(found.energies, own, color="0.7", lw=0.5, label="measured" if k == 0 else None)
    for site, spectrum, colour in zip(best.sites, best.spectra, COLOURS, strict=False):
        panel.plot(found.energies, spectrum, color=colour, lw=1.2, label=site)
    panel.set(xlabel=energy_label(found.origin), ylabel="intensity (measured spectra scaled)")


def _eigenvalues(panel: Any, found: JointFit) -> None:
    """Draw the eigenvalues, those taken for noise in grey."""
    values = found.components.eigenvalues[:MOST_EIGENVALUES]
    place = np.arange(1, values.size + 1)
    real = place <= found.components.n
    panel.semilogy(place[real], values[real], color=PREDICTION, marker="o", ms=4, lw=0, label="components")
    panel.semilogy(place[~real], values[~real], color="0.6", marker="o", ms=4, lw=0, label="noise")
    panel.set(xlabel="principal component", ylabel="eigenvalue")
    panel.legend(frameon=False, fontsize=7)
