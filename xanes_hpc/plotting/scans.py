"""Figure of merged scans."""

from pathlib import Path

import numpy as np

from xanes_hpc.experiment.merged import Merged
from xanes_hpc.plotting.figures import PREDICTION, REFERENCE, SECOND, figure_at
from xanes_hpc.plotting.words import of_absorber, title

MOST_NAMED = 8
"""Largest number of scans that the legend names."""


def merged_scans(merged: Merged, path: Path) -> None:
    """Draw aligned scans with their mean, and below the residual of each beside the mean, with 1 and 2 sigma.

    Parameters
    ----------
    merged
        The merged scans.
    path
        Figure to write; its extension selects PNG, SVG or PDF.
    """
    spectrum = merged.spectrum
    energies, sigma, n = spectrum.energies, spectrum.sigma, len(merged.scans)
    with figure_at(path, (6.0, 5.2)) as figure:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        from matplotlib import colormaps

        colours = colormaps["viridis"](np.linspace(0.0, 0.9, n))
        for k, (own, scan, colour) in enumerate(zip(merged.values, merged.scans, colours, strict=True)):
            label = scan.name if n <= MOST_NAMED or k in (0, n - 1) else None
            above.plot(energies, own, color=colour, lw=0.6, label=label)
            below.plot(energies, own - spectrum.intensities, color=colour, lw=0.5)
        above.plot(energies, spectrum.intensities, color=REFERENCE, lw=1.2, label=f"mean of {n} scans")
        if sigma is not None:
            for times, shade in ((2, 0.2), (1, 0.45)):
                look = {"color": PREDICTION, "alpha": shade, "lw": 0, "label": f"{times}σ of the mean"}
                below.fill_between(energies, -times * sigma, times * sigma, **look)
            below.legend(frameon=False, ncols=2, loc="upper right")
        below.axhline(0.0, color=SECOND, lw=0.6, ls=":")
        above.legend(frameon=False, fontsize=7)
        above.set(ylabel="normalised absorption" if spectrum.unit == "normalised" else "absorption µ")
        below.set(xlabel="energy (eV)", ylabel="scan − mean")
        of = f", {of_absorber(spectrum.element, spectrum.edge)}" if spectrum.element and spectrum.edge else ""
        left_out = f", {len(merged.left_out)} left out" if merged.left_out else ""
        title(figure, f"{n} scan{'s' if n > 1 else ''} merged{of}{left_out}")
