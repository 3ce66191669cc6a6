"""Shift, broaden and scale predicted spectra as those of some sites fit their measured ones best."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xanes_hpc.analysis.evaluate import error_percent
from xanes_hpc.errors import SpectrumError
from xanes_hpc.experiment.calculated import Calculated
from xanes_hpc.experiment.fit_curve import Curve, FitOptions
from xanes_hpc.experiment.fitting import best_fit
from xanes_hpc.experiment.normalised import NormalisedSpectrum
from xanes_hpc.spectra.spectrum import PlacedSpectrum, Spectrum
from xanes_hpc.stores.predictions import PredictionStore

OPTIONS = FitOptions(baseline="none")


@dataclass(frozen=True)
class Fit:
    """Shift and width in eV, and scale."""

    shift: float
    gaussian: float
    scale: float


def fit_to(store: PredictionStore, names: Sequence[str]) -> Fit:
    """Return the medians of shift, width and scale over the fits of sites' predictions to their references.

    Raises
    ------
    SpectrumError
        If no prediction fits its reference.
    """
    found = []
    for name in names:
        calculated, reference = _both(store, name)
        spectrum = Spectrum(store.energies, reference, absolute=False, source=name)
        try:
            values = best_fit(calculated, NormalisedSpectrum(spectrum, spectrum, 0.0, None, ""), OPTIONS).best.values
        except SpectrumError:  # a prediction that fits nothing
            continue
        found.append([values["shift"], values["gaussian"], values["scale"]])
    if not found:
        raise SpectrumError(f"{store.path}: no prediction fits the measured spectrum of {', '.join(names)}")
    return Fit(*np.median(found, axis=0).tolist())


def errors_of_fit(store: PredictionStore, fit: Fit, names: Sequence[str]) -> dict[str, float]:
    """Return the error % of sites' predictions after the fit, by name."""
    found = {}
    for name in names:
        calculated, reference = _both(store, name)
        curve = Curve(calculated, OPTIONS.broadening)
        spectrum = fit.scale * curve.at(store.energies - fit.shift, {"gaussian": fit.gaussian})
        found[name] = float(error_percent(reference[None], spectrum[None])[0])
    return found


def _both(store: PredictionStore, name: str) -> tuple[Calculated, npt.NDArray[np.float64]]:
    """Return a site's predicted spectrum and its reference."""
    sites, row = store.sites, store.sites.find(name, store.path)
    spectrum = Spectrum(store.energies, store.read("mean", row), treatment=store.attribute("treatment"), source=name)
    placed = PlacedSpectrum(spectrum, float(store.read("sites/e0", row)), "store", "e0")
    return Calculated(name, placed, int(sites.element[row]), sites.edge[row]), store.read("reference", row)
