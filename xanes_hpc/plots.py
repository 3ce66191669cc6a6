"""Figures of predicted spectra."""

from pathlib import Path

import numpy as np

from xanes_hpc.errors import SpectrumError
from xanes_hpc.evaluation import HELD_OUT, error_percent, rows_to_compare
from xanes_hpc.records import treatment_name
from xanes_hpc.stores.hdf5 import whole_output
from xanes_hpc.stores.predictions import PredictionStore

REFERENCE, PREDICTION = "#000000", "#0072B2"
"""Colours of Okabe and Ito's colour-blind-safe palette."""
SHARES = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
"""The sites shown, by the share of sites that have a smaller error."""
TITLES = ("best", "lower quartile", "median", "upper quartile", "worst tenth", "worst")


def predicted_against_reference(store: PredictionStore, path: Path) -> None:
    """Six sites from best to worst, held-out ones if there are any: reference, and prediction with its sigma.

    Parameters
    ----------
    store
        Predictions with references.
    path
        PNG, SVG or PDF to write, by its ending.

    Raises
    ------
    SpectrumError
        If there are no references.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    if not store.has_reference:
        raise SpectrumError(f"{store.path}: has no reference spectra to plot against")
    reference = store.read("reference")
    parts = np.array(store.texts("part"))
    rows, _ = rows_to_compare(reference)
    held_out = rows[np.isin(parts[rows], HELD_OUT)]
    rows = held_out if held_out.size else rows
    if not rows.size:
        raise SpectrumError(f"{store.path}: no site has a reference spectrum to plot against")
    errors = error_percent(reference[rows], store.read("mean")[rows])
    order = rows[np.argsort(errors, kind="stable")]
    ranked = np.sort(errors)
    energies, names, sites_e0 = store.energies, store.sites.name, store.read("sites/e0")
    name = treatment_name(store.attribute("treatment"))
    synthetic = " — SYNTHETIC spectra, not a calculation" if name == "synthetic" else ""
    with mpl.rc_context({"font.size": 8, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(9.0, 5.2), layout="constrained")
        axes = figure.subplots(2, 3, sharex=True)
        for axis, share, title in zip(axes.flat, SHARES, TITLES, strict=True):
            place = round(share * (order.size - 1))
            row = int(order[place])
            mean, std = store.read("mean", row), store.read("std", row)
            for k, alpha in ((2, 0.18), (1, 0.35)):
                band = (mean - k * std, mean + k * std)
                axis.fill_between(energies, *band, color=PREDICTION, alpha=alpha, lw=0, label=f"±{k}σ")
            axis.plot(energies, reference[row], color=REFERENCE, lw=1.0, label="reference")
            axis.plot(energies, mean, color=PREDICTION, lw=1.0, ls="--", label="prediction")
            axis.axvline(0.0 if store.origin == "e0" else sites_e0[row], color="0.6", lw=0.6, ls=":")
            axis.set_title(f"{title}, error {ranked[place]:.1f} %\n{names[row]}", fontsize=8)
            axis.set_ylim(bottom=min(0.0, float(np.nanmin(reference[row])) * 1.1))
        axes[0, 0].legend(frameon=False, loc="lower right")
        unit = store.attribute("unit")
        figure.supxlabel("E − E₀ (eV)" if store.origin == "e0" else "energy (eV)")
        figure.supylabel("intensity" + ("" if unit == "arbitrary" else f" ({unit})"))
        what = "held-out sites" if held_out.size else "sites"
        figure.suptitle(f"Predicted against reference, {order.size} {what}{synthetic}")
        with whole_output(path, overwrite=True) as temporary:
            figure.savefig(temporary, dpi=150, format=path.suffix.removeprefix(".") or "png")
