"""Predictions beside measured spectra, as they are, and shifted, broadened and scaled as those of some sites fit."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xanes_hpc.analysis.evaluate import error_percent
from xanes_hpc.errors import SpectrumError
from xanes_hpc.experiment.calculated import Calculated
from xanes_hpc.experiment.fit_curve import Curve, FitOptions
from xanes_hpc.experiment.fitting import best_fit
from xanes_hpc.experiment.normalised import NormalisedSpectrum
from xanes_hpc.models.model import Model
from xanes_hpc.spectra.grid import Grid
from xanes_hpc.spectra.spectrum import PlacedSpectrum, Spectrum
from xanes_hpc.stores.predictions import PredictionStore
from xanes_hpc.stores.site_spectra import choose_spectra, gridded
from xanes_hpc.stores.structures import StructureStore

Array = npt.NDArray[np.float64]

OPTIONS = FitOptions(baseline="none")


@dataclass(frozen=True)
class Fit:
    """Shift and width in eV, and scale."""

    shift: float
    gaussian: float
    scale: float


@dataclass(frozen=True)
class Pair:
    """The prediction of a site, and its measured spectrum at the same energies, (n_energies,)."""

    predicted: Calculated
    measured: Array

    def error(self, fit: Fit | None = None) -> float:
        """Return the error % of the prediction, as it is or after a fit."""
        curve = Curve(self.predicted, OPTIONS.broadening)
        spectrum = curve.plain
        if fit is not None:
            spectrum = fit.scale * curve.at(curve.energies - fit.shift, {"gaussian": fit.gaussian})
        return float(error_percent(self.measured[None], spectrum[None])[0])


def pairs(model: Model, predictions: Path, measured: Path) -> dict[str, Pair]:
    """Return a model's predictions of all sites of a store with measured spectra, beside these, by name.

    The measured spectra are normalised as the model's, whatever is known of their broadening.
    """
    energies, origin = model.grid
    with StructureStore(measured) as source, PredictionStore(predictions) as store:
        rows, _ = choose_spectra(source, source.n_sites, "xanes", None)
        spectra, e0 = gridded(source, rows, Grid(energies, origin), source.sites, model.recipe)
        found, sites = {}, store.sites
        for row, name in enumerate(sites.name):
            at = source.sites.find(name, measured)
            own = Spectrum(store.energies, store.read("mean", row), treatment=store.attribute("treatment"), source=name)
            placed = PlacedSpectrum(own, float(e0[at]), "store", origin)
            predicted = Calculated(name, placed, int(sites.element[row]), sites.edge[row])
            found[name] = Pair(predicted, spectra[at].astype(np.float64))
    return found


def fit_to(some: Sequence[Pair]) -> Fit:
    """Return the medians of shift, width and scale over the fits of predictions to measured spectra.

    Raises
    ------
    SpectrumError
        If no prediction fits its measured spectrum.
    """
    found = []
    for pair in some:
        placed = pair.predicted.placed
        spectrum = Spectrum(placed.relative, pair.measured, absolute=False, source=pair.predicted.name)
        normal = NormalisedSpectrum(spectrum, spectrum, 0.0, None, "")
        try:
            values = best_fit(pair.predicted, normal, OPTIONS).best.values
        except SpectrumError:  # a prediction that fits nothing
            continue
        found.append([values["shift"], values["gaussian"], values["scale"]])
    if not found:
        raise SpectrumError(f"no prediction fits a measured spectrum: {', '.join(p.predicted.name for p in some)}")
    return Fit(*np.median(found, axis=0).tolist())
