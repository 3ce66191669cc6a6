"""Fits of the broadening of a predicted spectrum to a measured one, beside those of the library's held-out sites."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from ase.data import atomic_numbers

from xanes_hpc.errors import SpectrumError
from xanes_hpc.experiment.calculated import Calculated, held_out_sites
from xanes_hpc.experiment.fit_broadening import fit_broadening, held_out_fits, judged
from xanes_hpc.experiment.fit_curve import FIRST_GAUSSIAN, FitOptions
from xanes_hpc.experiment.held_out import HeldOut
from xanes_hpc.experiment.library import PredictionLibrary
from xanes_hpc.experiment.measured import from_edge
from xanes_hpc.pages.answers import PredictedSite, predicted_site
from xanes_hpc.pages.comparison_requests import LARGEST_SHIFT, FitRequest
from xanes_hpc.pages.requests import broadening_of
from xanes_hpc.pages.served import Served
from xanes_hpc.spectra.spectrum import PlacedSpectrum, Spectrum

MOST_FITTED = 1000
"""Largest number of measured points in a fit; more are interpolated to the prediction's energies."""
ROUGHLY = 10.0
"""Step to which the range of a fit is rounded for held-out fits, eV, so that few ranges occur."""
MOST_KNOWN = 64
"""Largest number of held-out fits, by range and recipe, that are kept."""


def fitted(request: FitRequest, served: Served) -> dict[str, Any]:
    """Predict a site, and fit shift, scale and broadening of its spectrum to a measured one.

    Raises
    ------
    XanesHpcError
        If the site cannot be predicted, or the spectra cannot be fitted.
    """
    site = predicted_site(served.predictor, request, served.limits)
    calculated = _calculated(site, served)
    measured = _thinned(request.experiment.spectrum(), calculated)
    options = FitOptions(broadening_of(request.broadening), baseline=request.baseline, max_shift=request.max_shift)
    result = fit_broadening(calculated, measured, options, intervals=False)
    result = judged(result, _held_out(served, calculated, result.energies, options))
    return {
        "site": site.name,
        "recipe": request.broadening.name,
        **result.as_dict(),
        "held_out": "" if result.held_out is None else result.held_out.in_words,
        "energies": result.energies.tolist(),
        "experiment": result.experiment.tolist(),
        "fitted": result.fitted.tolist(),
        "before": result.before.tolist(),
    }


def _calculated(site: PredictedSite, served: Served) -> Calculated:
    found, target = site.found, served.predictor.model.description["target"]
    if not np.isfinite(found.e0):
        raise SpectrumError("the edge energy is unknown, so the measured spectrum cannot be placed")
    relative = served.predictor.model.grid[1] == "e0"
    spectrum = Spectrum(
        found.energies, found.mean, target["kind"], found.treatment, found.unit, found.e0, absolute=not relative,
        source=site.name,
    )  # fmt: skip
    placed = PlacedSpectrum(spectrum, found.e0, "model", "e0" if relative else "absolute")
    return Calculated(site.name, placed, int(atomic_numbers[site.element]), site.edge, found.std)


def _held_out(
    served: Served, calculated: Calculated, energies: npt.NDArray[np.float64], options: FitOptions
) -> HeldOut | None:
    """Return what fits of the library's held-out sites over about the same range leave; None without such sites."""
    library = served.library
    if not isinstance(library, PredictionLibrary):
        return None
    ends = [int(end) for end in np.round(energies[[0, -1]] / ROUGHLY)]
    start = replace(options.broadening, gaussian=FIRST_GAUSSIAN)  # whatever the sliders are at
    options = FitOptions(start, baseline=options.baseline)
    key = calculated.element, calculated.edge, *ends, options
    known = served.held_out_fits
    if key not in known:
        if len(known) >= MOST_KNOWN:
            known.clear()
        grid = calculated.placed.relative
        inside = (grid >= ROUGHLY * ends[0]) & (grid <= ROUGHLY * ends[1])
        sites = held_out_sites(library.store, calculated.element, calculated.edge)
        known[key] = held_out_fits(sites, grid[inside], options)
    return known[key]


def _thinned(measured: Spectrum, calculated: Calculated) -> Spectrum:
    """Return a measured spectrum, at the energies of the calculated one if it has very many points there."""
    energies, grid = from_edge(measured, calculated.placed.e0), calculated.placed.relative
    inside = (energies > grid[0] - LARGEST_SHIFT) & (energies < grid[-1] + LARGEST_SHIFT)
    if inside.sum() <= MOST_FITTED:
        return measured
    step = float(np.median(np.diff(grid)))
    there = np.arange(max(energies[0], grid[0] - LARGEST_SHIFT), min(energies[-1], grid[-1] + LARGEST_SHIFT), step)
    values = np.interp(there, energies, measured.intensities)
    return replace(measured, energies=there, intensities=values, absolute=False, sigma=None, reference=None)
