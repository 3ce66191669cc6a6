"""Fit broadening widths, shift, scale and background of a calculated spectrum to a measured one.

``fit_model`` defines the model and ``fitting`` the fit. Intervals come from the profile of chi-square, for as many
points as are independent: a misfit, whose neighbouring residuals are alike, widens them. Errors of the calculation that
shift, widen or scale it are not in the residual, so the intervals are lower bounds.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import ConfigError, SpectrumError
from xanes_hpc.experiment.autocorrelation import correlation_length
from xanes_hpc.experiment.calculated import Calculated, HeldOutSite
from xanes_hpc.experiment.fit_curve import BACKGROUND, FitOptions, check_options
from xanes_hpc.experiment.fit_search import LEVELS, Ends, student
from xanes_hpc.experiment.fit_warnings import correlation_warnings, structure_warning, verdict_on_fit, width_warnings
from xanes_hpc.experiment.fitted import Fitted, Parameter
from xanes_hpc.experiment.fitting import BestFit, best_fit
from xanes_hpc.experiment.held_out import FEWEST, HeldOut
from xanes_hpc.experiment.normalised import MBACK, NONE, NormalisedSpectrum, NormaliseOptions, normalised
from xanes_hpc.spectra import edges
from xanes_hpc.spectra.broadening import broadened_treatment
from xanes_hpc.spectra.recipe import BROADENING_USES, EDGE_STEP, BroadeningConfig
from xanes_hpc.spectra.spectrum import Spectrum

Array = npt.NDArray[np.float64]
AS_IT_IS = NormaliseOptions(NONE)


def fit_broadening(
    calculated: Calculated, experiment: Spectrum, options: FitOptions | None = None, how: NormaliseOptions = AS_IT_IS,
    intervals: bool = True,
) -> Fitted:  # fmt: skip
    """Fit shift, scale, background and widths of a calculated spectrum to a measured one.

    Parameters
    ----------
    calculated
        The calculated spectrum; its held-out sites, if it has any, are fitted in the same way for comparison.
    experiment
        The measured spectrum, in eV.
    options
        What is fitted.
    how
        How the measured spectrum is normalised before the fit. With the baseline ``background`` it is not: its windows
        and its order are those of the background that is fitted too.
    intervals
        Whether to find the intervals of shift, scale and widths, which takes most of the time.

    Raises
    ------
    ConfigError
        If the baseline is unknown, or the recipe lacks one of the widths to fit.
    SpectrumError
        If a spectrum is invalid, the two overlap at too few energies, or only a negative scale would fit. Also if the
        calculated spectrum is broadened already and the recipe is more than a resolution.
    """
    options = options or FitOptions()
    check_options(options)
    edges.check(calculated.placed.spectrum)
    broadened_treatment(options.broadening, calculated.placed.spectrum.treatment)
    if not np.ptp(experiment.intensities) > 0:
        raise SpectrumError(f"{experiment.source}: all intensities are equal; expected a spectrum with an edge")
    normal, options = _treated(calculated, experiment, options, how)
    found = best_fit(calculated, normal, options, how.flatten)
    parameters = _parameters(found, intervals)
    warnings = [
        *width_warnings(parameters, calculated, options.max_shift),
        *correlation_warnings(*found.search.covariance(found.best), found.search.model.linear[1:]),
    ]
    model, values, inside = found.search.model, found.best.values, found.search.model.points.inside
    fit = model.modelled(values)[inside]
    energies, background = model.points.energies[inside], model.background(values)[inside]
    before = values["scale"] * model.curve.at(energies - values["shift"])
    n_independent = energies.size / correlation_length(fit - model.points.measured[inside])
    fitted = Fitted(
        parameters, _recipe_of(options.broadening, parameters), energies, model.points.measured[inside], fit,
        before + background, background, n_independent, found.r_factor, found.unexplained_percent, None, "",
        tuple(warnings), replace(normal, spectrum=normal.raw) if options.baseline == BACKGROUND else normal,
    )  # fmt: skip
    return judged(fitted, held_out_fits(calculated.held_out, energies, options))


def judged(fitted: Fitted, held_out: HeldOut | None) -> Fitted:
    """Return a fit judged by those of held-out sites, if they are known, else by how much structure it leaves."""
    own = fitted.unexplained_percent
    verdict = "" if held_out is None else verdict_on_fit(held_out, own)
    hardly = structure_warning(own)
    others = [warning for warning in fitted.warnings if warning not in (hardly, fitted.verdict)]
    warnings = (*filter(None, [verdict or hardly]), *others)
    return replace(fitted, held_out=held_out, verdict=verdict, warnings=warnings)


def _treated(
    calculated: Calculated, experiment: Spectrum, options: FitOptions, how: NormaliseOptions
) -> tuple[NormalisedSpectrum, FitOptions]:
    """Return the measured spectrum normalised, or its windows and first background if these are fitted too.

    The options that are returned have their baseline.
    """
    explicit = options.baseline == BACKGROUND
    if explicit and how.method == MBACK:
        raise ConfigError(
            f"`baseline` {BACKGROUND}: fits the background of the spectrum as measured; expected `normalise` "
            f"{EDGE_STEP} or {NONE}, received {MBACK}"
        )
    method = EDGE_STEP if explicit else how.method
    normal = normalised(experiment, replace(how, method=method), calculated.element, calculated.edge)
    if options.baseline is None:
        with_windows = method == EDGE_STEP and normal.background is not None
        baseline = BACKGROUND if with_windows else "line" if normal.too_short else "none"
        options = replace(options, baseline=baseline)
    if options.baseline == BACKGROUND:
        windows = "a line" if normal.background is None else normal.background.windows.in_words
        normal = replace(normal, in_words=f"background fitted too: {windows}")
    return normal, options


def _parameters(found: BestFit, with_intervals: bool) -> dict[str, Parameter]:
    """Return every parameter with its standard error and intervals; those of the background have symmetric ones."""
    search, values = found.search, found.best.values
    names, covariance = search.covariance(found.best)
    errors = dict(zip(names, np.sqrt(np.diag(covariance)).tolist(), strict=True))
    order = ["shift", "scale", *BROADENING_USES[search.model.curve.recipe.name], *search.model.linear[1:]]
    parameters = {}
    for name in order:
        stderr = errors.get(name)
        flags: dict[str, Any] = {"at_bound": name in found.at_bound, "undetermined": name in found.undetermined}
        if not stderr:
            parameters[name] = Parameter(values[name], name in errors, **flags)
            continue
        intervals: dict[str, Ends] = {}
        if with_intervals and (name in search.bounds or name == "scale"):
            intervals = search.ends(found.best, name, stderr)
        elif with_intervals:
            halves = {level: stderr * student(k, search.n_free) for level, k in LEVELS.items()}
            intervals = {level: (values[name] - half, values[name] + half) for level, half in halves.items()}
        parameters[name] = Parameter(values[name], True, stderr, intervals, **flags)
    return parameters


def held_out_fits(sites: Iterable[HeldOutSite], energies: Array, options: FitOptions) -> HeldOut | None:
    """Return what fits of held-out sites to their own references leave unexplained; None if there are too few.

    Parameters
    ----------
    sites
        The sites.
    energies : (n_points,)
        Energies in eV from e0 at which the references are fitted.
    options
        How they are fitted.
    """
    options = replace(options, baseline="line" if options.baseline == BACKGROUND else options.baseline)
    left = []
    for site in sites:
        placed = site.calculated.placed
        y = np.interp(energies, placed.relative, site.reference)
        reference = Spectrum(energies, y, absolute=False, source=site.calculated.name)
        normal = NormalisedSpectrum(reference, reference, 0.0, None, "")
        try:
            left.append(best_fit(site.calculated, normal, options).unexplained_percent)
        except SpectrumError:  # a prediction that fits nothing
            continue
    return HeldOut(np.sort(left)) if len(left) >= FEWEST else None


def _recipe_of(recipe: BroadeningConfig, found: dict[str, Parameter]) -> BroadeningConfig:
    """Return the recipe with the fitted widths; no broadening if its only width, the resolution, is zero."""
    values: dict[str, Any] = {name: found[name].value for name in BROADENING_USES[recipe.name]}
    if recipe.name == "gaussian" and not values["gaussian"]:
        return BroadeningConfig()
    return replace(recipe, **values)
