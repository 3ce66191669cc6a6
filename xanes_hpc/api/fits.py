"""Fits of calculated and predicted spectra to measured ones."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy.typing as npt

from xanes_hpc.api.arguments import check_arguments
from xanes_hpc.api.inputs import PathLike, is_paths
from xanes_hpc.api.measured import comparable, measured_of, options_of
from xanes_hpc.api.spectra import Spectra
from xanes_hpc.config.files import load_run
from xanes_hpc.experiment import fit_broadening as fitting
from xanes_hpc.experiment.calculated import Calculated, calculated_of, read_calculated
from xanes_hpc.experiment.energy import EnergyOptions, correction
from xanes_hpc.experiment.fit_curve import FIRST_GAUSSIAN, FitOptions
from xanes_hpc.experiment.fitted import Fitted
from xanes_hpc.experiment.measured import held_to
from xanes_hpc.experiment.normalised import NormaliseOptions
from xanes_hpc.spectra.edge_step import Window
from xanes_hpc.spectra.spectrum import NO_TREATMENT, Spectrum
from xanes_hpc.stores.predictions import PredictionStore
from xanes_hpc.stores.structures import StructureStore


def fit_broadening(
    calculated: Spectra | PredictionStore | StructureStore | PathLike,
    measured: PathLike | Spectrum | tuple[npt.ArrayLike, npt.ArrayLike],
    *,
    site: str | None = None,
    recipe: str | None = None,
    absorber: str | None = None,
    edge: str | None = None,
    kind: str = "xanes",
    treatment: str | None = None,
    normalise: Literal["edge-step", "mback", "none"] = "edge-step",
    edge_at: float | None = None,
    pre: Window | None = None,
    post: Window | None = None,
    order: int | None = None,
    flatten: bool = True,
    calibrate: PathLike = "none",
    foil: str | None = None,
    deglitch: bool = False,
    range: Window | None = None,
    widths: Mapping[str, float] | None = None,
    **options: Any,
) -> Fitted:
    """Fit the shift, scale and broadening of a calculated or predicted spectrum to a measured one.

    Parameters
    ----------
    calculated
        Predicted spectra, a prediction store, a structure store with spectra, or the file of a spectrum.
    measured
        The measured spectrum: a file, a ``Spectrum``, or a tuple of energies in eV and intensities.
    site
        Name of the site, if there are several of the measured element.
    recipe
        The broadening. Default: ``arctangent`` for unbroadened spectra, otherwise ``gaussian``.
    absorber, edge
        Element and edge, if ``calculated`` is the file of a spectrum. Default: those that the file names.
    kind, treatment
        Kind and treatment of the spectrum to fit, if a site in a structure store has several.
    normalise, edge_at, pre, post, order, flatten
        The background of the measured spectrum, as for ``normalise``. It is fitted too, unless a ``baseline`` other
        than ``background`` says to normalise the spectrum before the fit.
    calibrate, foil, deglitch
        How to correct its energies, as for ``calibrate``.
    range
        Energies to fit, in eV from e0.
    widths
        Starting values by name, such as ``{"gaussian": 1.5}``.
    **options
        Options of ``FitOptions``: vary, baseline (``background``, ``none``, ``constant`` or ``line``), max_shift.

    Returns
    -------
    Fitted
        Its ``parameters`` with their intervals, the ``r_factor``, and ``warnings``: reasons to doubt the fit.

    Raises
    ------
    ConfigError
        If an option is unknown or invalid.
    SpectrumError
        If a spectrum is invalid, or the two overlap at too few energies.

    Examples
    --------
    >>> import xanes_hpc as xh
    >>> spectra = xh.Spectra.open("predictions.h5")[:1]
    >>> measured = spectra.energies + spectra.e0[0] + 1.5, 2 * spectra.mean[0]
    >>> fit = xh.fit_broadening(spectra, measured)
    >>> round(fit.parameters["shift"].value, 2), round(fit.parameters["scale"].value, 2)
    (1.5, 2.0)
    """
    check_arguments(fit_broadening, locals())
    experiment = measured_of(measured)
    found = _calculated(calculated, site, absorber, edge, kind, treatment, experiment)
    name = recipe or ("arctangent" if found.placed.spectrum.treatment == NO_TREATMENT else "gaussian")
    values = {f"broadening.{width}": value for width, value in (widths or {}).items()} | {"broadening.name": name}
    if name == "gaussian":
        values.setdefault("broadening.gaussian", FIRST_GAUSSIAN)
    start, stop = range or (None, None)
    broadening = load_run(None, None, values).broadening
    chosen = options_of(FitOptions, {"broadening": broadening, "start": start, "stop": stop, **options})
    how = NormaliseOptions(normalise, edge_at, pre, post, order, flatten)
    experiment = held_to(experiment, found.element, found.edge, found.placed.e0)
    experiment = correction(EnergyOptions(str(calibrate), foil, deglitch), found.element, found.edge)(experiment)
    return fitting.fit_broadening(found, experiment, chosen, how)


def _calculated(
    value: Any, site: str | None, absorber: str | None, edge: str | None, kind: str, treatment: str | None,
    measured: Spectrum,
) -> Calculated:  # fmt: skip
    if is_paths(value):
        edge = None if edge is None else edge.upper()
        return read_calculated(Path(value), site, absorber, edge, kind, treatment, measured)
    return calculated_of(comparable(value), site, kind, treatment, measured)
