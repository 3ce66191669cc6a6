"""Figures that compare calculated or predicted spectra with measured ones."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xanes_hpc.experiment.combinations import Combinations
from xanes_hpc.experiment.fitted import Fitted
from xanes_hpc.experiment.fitting import BOUNDS
from xanes_hpc.experiment.held_out import POOR, UNEXPLAINED
from xanes_hpc.experiment.matched import Match, Matched
from xanes_hpc.experiment.mixtures import Mixture
from xanes_hpc.plotting.figures import PREDICTION, REFERENCE, SECOND, THIRD, figure_at, panels
from xanes_hpc.plotting.spectra import bands, legend_beside
from xanes_hpc.plotting.words import (
    caption,
    energy_label,
    first_capital,
    in_powers_of_ten,
    intensity_label,
    label_grid,
    legend_below,
    over_panel,
    title,
)

MOST_SHOWN, MOST_SPECTRA = 6, 30
"""Largest number of sites shown for one measured spectrum, and of measured spectra shown with their best site."""
WITHOUT_UNIT = ("scale", "seah")
"""Parameters of a fit that are not in eV."""
ERROR = "Error: Σ|measured − predicted| in % of Σ|measured|."
JUDGED = f"Poor: {POOR:.0f} % or more of the held-out spectra are matched better; unexplained: {UNEXPLAINED:.0f} %."
CHI2 = "χ²/n: mean squared difference in units of σ and noise; about 1 if they explain it."


def fitted_spectrum(fitted: Fitted, calculated: str, experiment: str, path: Path, of: str = "") -> None:
    """Draw the measured spectrum, the calculated one before and after the fit, and the residual.

    Parameters
    ----------
    fitted
        The fit.
    calculated, experiment
        Names of the two spectra.
    path
        Figure to write; its extension selects PNG, SVG or PDF.
    of
        Element and edge.
    """
    with figure_at(path, (6.0, 5.8)) as figure:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        energies = fitted.energies
        above.plot(energies, fitted.experiment, color=REFERENCE, lw=0, marker=".", ms=3, label=experiment)
        above.plot(energies, fitted.before, color="0.6", lw=0.8, label=f"{calculated}, shifted and scaled")
        above.plot(energies, fitted.fitted, color=PREDICTION, lw=1.2, label=f"{calculated}, fitted")
        if fitted.background.any():
            above.plot(energies, fitted.background, color=THIRD, lw=0.8, ls="--", label="fitted background")
        below.axhline(0.0, color="0.6", lw=0.6, ls=":")
        below.plot(energies, fitted.experiment - fitted.fitted, color=SECOND, lw=0.8)
        unit = fitted.measured.spectrum.unit
        power = in_powers_of_ten([above, below])
        above.set(ylabel=intensity_label(unit, power))
        below.set(xlabel=energy_label("e0"), ylabel=f"residual\n{intensity_label(unit, power, '').strip()}")
        handles, labels = above.get_legend_handles_labels()
        legend_below(below, handles=handles, labels=labels)
        shown = {name: p for name, p in fitted.parameters.items() if name in ("shift", "scale", *BOUNDS)}
        values = [
            f"{name.replace('_', ' ')} {p.value:.3g}{'' if name in WITHOUT_UNIT else ' eV'}"
            for name, p in shown.items()
            if p.varied or p.at_bound
        ]
        squared = "(measured − background)²" if fitted.background.any() else "measured²"
        caption(
            figure,
            f"Fitted: {', '.join(values)}. R = {fitted.r_factor:.2g}: Σ residual² / Σ {squared}. Residual: measured "
            "minus fitted.",
        )
        names = ", ".join(part for part in (of, experiment) if part)
        title(figure, "Broadening fitted to a measured spectrum", names, first_capital(fitted.verdict))


def matched_spectra(
    match: Match, experiment: str, path: Path, of: str = "", distrust: Sequence[str] | None = None
) -> None:
    """Draw the measured spectrum with each of the best matches, and with the best mixture, one panel each.

    The title says if no site explains the spectrum.

    Parameters
    ----------
    match
        The result of the search.
    experiment
        Name of the measured spectrum.
    path
        Figure to write; its extension selects PNG, SVG or PDF.
    of
        Element and edge, and the store searched.
    distrust
        Why each site of the store is out of domain, or nothing; panels of such sites say that they are.
    """
    shown = match.ranked[:MOST_SHOWN]
    mixtures = match.mixtures[:1]
    n_panels = len(shown) + len(mixtures)
    n_columns = min(3, n_panels)
    n_rows = -(-n_panels // n_columns)
    with figure_at(path, (3.0 * n_columns + 1.4, 2.4 * n_rows + 1.0)) as figure:
        axes = panels(figure, n_panels, n_columns)
        for rank, (axis, one) in enumerate(zip(axes, shown, strict=False), 1):
            _matched(axis, match, one)
            over_panel(axis, f"{rank}: {one.site}\n{_agreement(one)}{_flag(distrust, one.row)}")
        for axis, mixture in zip(axes[len(shown) :], mixtures, strict=True):
            axis.plot(match.energies, mixture.mean, color=THIRD, lw=1.0, label="mixture")
            axis.plot(match.energies, mixture.experiment, color=REFERENCE, lw=1.0)
            parts = "\n".join(f"{100 * f:.0f} % {s}" for f, s in zip(mixture.fractions, mixture.sites, strict=True))
            over_panel(axis, f"{parts}\n{_agreement(mixture)}{_flag(distrust, *mixture.rows)}")
        legend_beside(figure, [axes[0], axes[-1]])
        _label(figure, match.origin, n_panels, n_columns, f"{ERROR} {CHI2}")
        title(figure, f"{experiment} and the sites that match it best", of, first_capital(match.verdict))


def best_matches(
    matches: Sequence[tuple[str, Match]], path: Path, of: str = "", distrust: Sequence[str] | None = None
) -> None:
    """Draw each of several measured spectra with its best match, one panel each; at most ``MOST_SPECTRA``.

    Panels say which spectra are matched poorly or explained by no site.

    Parameters
    ----------
    matches
        Names of the measured spectra, and what was found for them.
    path
        Figure to write; its extension selects PNG, SVG or PDF.
    of
        Element and edge, and the store searched.
    distrust
        Why each site of the store is out of domain, or nothing; panels of such sites say that they are.
    """
    shown = matches[:MOST_SPECTRA]
    n_columns = min(4, len(shown))
    n_rows = -(-len(shown) // n_columns)
    with figure_at(path, (2.6 * n_columns + 1.4, 2.1 * n_rows + 1.0)) as figure:
        axes = panels(figure, len(shown), n_columns)
        for axis, (name, match) in zip(axes, shown, strict=True):
            best = match.ranked[0]
            _matched(axis, match, best)
            judged = f", {match.judged}" if match.judged else ""
            error = f"error {best.error_percent:.1f} %{judged}{_flag(distrust, best.row)}"
            over_panel(axis, f"{name}\n{best.site}\n{error}", 7)
        legend_beside(figure, axes[:1])
        judged = JUDGED if any(match.judged for _, match in shown) else ""
        _label(figure, matches[0][1].origin, len(shown), n_columns, f"{ERROR} {judged}".strip())
        some = f", the first {len(shown)} of {len(matches)}" if len(matches) > len(shown) else ""
        title(figure, f"Measured spectra and the site that matches each best{some}", of)


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
    with figure_at(path, (3.2 * n_columns + 1.4, 2.8 * n_rows + 0.4)) as figure:
        axes = panels(figure, len(shown), n_columns, sharex=False)
        for axis, (name, e0, found) in zip(axes, shown, strict=True):
            best, energies = found.ranked[0], found.energies - e0
            axis.plot(energies, found.sample, color=REFERENCE, lw=0, marker=".", ms=2, label="measured")
            axis.plot(energies, best.fitted, color=PREDICTION, lw=1.0, label="fit")
            axis.plot(energies, found.sample - best.fitted, color=SECOND, lw=0.8, label="residual")
            axis.axhline(0.0, color="0.6", lw=0.6, ls=":")
            parts = "\n".join(f"{100 * f:.1f} % {s}" for f, s in zip(best.weights, best.names, strict=True))
            over_panel(axis, f"{name}\n{parts}", 7)
        legend_beside(figure, axes[:1])
        label_grid(figure, len(shown), n_columns, energy_label("e0"), "normalised absorption (edge step 1)")
        each = "Measured spectra and the combination of standards that fits each best"
        title(figure, each if len(shown) > 1 else "The combination of standards that fits best")


def _agreement(one: Matched | Mixture) -> str:
    return f"χ²/n {one.chi2:.3g}, error {one.error_percent:.1f} %"


def _flag(distrust: Sequence[str] | None, *rows: int) -> str:
    """Return what a panel says of sites of which one is out of domain; nothing for others."""
    return ", out of domain" if distrust is not None and any(distrust[row] for row in rows) else ""


def _matched(axis: Any, match: Match, one: Matched) -> None:
    """Draw a site's spectrum with its intervals, if any, and the measured one."""
    if one.std is not None:
        bands(axis, match.energies, one.mean, one.std, match.distribution)
    axis.plot(match.energies, one.mean, color=PREDICTION, lw=1.0, label="site")
    axis.plot(match.energies, one.experiment, color=REFERENCE, lw=1.0, label="measured")


def _label(figure: Any, origin: str, n_panels: int, n_columns: int, text: str) -> None:
    """Label energies and intensities, and say what the panels' figures are."""
    power = in_powers_of_ten(figure.axes[:n_panels])
    label_grid(figure, n_panels, n_columns, energy_label(origin), intensity_label("measured spectrum scaled", power))
    caption(figure, text)
