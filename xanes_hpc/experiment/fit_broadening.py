"""Fit broadening widths, shift and scale of a calculated spectrum to a measured one, with confidence intervals.

The measured spectrum y(E), with E in eV from the calculation's e0, is modelled as

    scale · B[mu](E - shift) + offset + slope · E

where B broadens by the recipe whose widths are fitted. lmfit (doi:10.5281/zenodo.11813) does the least squares.
Intervals come from the profile of chi-square (F-test), which treats the residual as noise. Errors of the calculation
are systematic, so the intervals are lower bounds.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import SpectrumError
from xanes_hpc.experiment.fit_curve import (
    BASELINES,
    FEWEST,
    FIRST_GAUSSIAN,
    MARGIN,
    Curve,
    FitOptions,
    check_options,
    first_shift,
    points_inside,
)
from xanes_hpc.experiment.measured import Calculated, from_edge
from xanes_hpc.spectra import edges
from xanes_hpc.spectra.broadening import broadened_treatment
from xanes_hpc.spectra.recipe import BROADENING_USES, BroadeningConfig
from xanes_hpc.spectra.spectrum import Spectrum

Array = npt.NDArray[np.float64]

BOUNDS = {
    "gaussian": (0.0, 20.0),
    "core_hole": (0.01, 20.0),
    "gamma_max": (0.01, 100.0),
    "centre": (1.0, 300.0),
    "width": (1.0, 300.0),
    "seah": (0.01, 100.0),
    "e_cut": (-30.0, 30.0),
}
"""Bounds of the widths, in eV."""
AT_BOUND = 0.003
"""Fraction of a width's range within which it counts as at its bound."""
FLAT = 1e-3
"""Fraction of the measured range of intensities; a calculated spectrum scaled to less than this does not fit."""
NO_EFFECT = 1e-3
"""Fraction of the largest intensity; a width that changes the model by less over its whole range is unconstrained."""
LEVELS = {"68": 1, "95": 2}
"""Confidence levels in %, and their half-widths in sigmas."""


@dataclass(frozen=True)
class Parameter:
    """A fitted or fixed parameter: its value, standard error, and the ends of its intervals by ``LEVELS``.

    ``at_bound`` marks a parameter that reached its bound, ``undetermined`` one that the data do not constrain.
    """

    value: float
    varied: bool
    stderr: float | None = None
    intervals: dict[str, tuple[float | None, float | None]] = field(default_factory=dict)
    at_bound: bool = False
    undetermined: bool = False


@dataclass(frozen=True, repr=False)
class Fitted:
    """The result of a fit.

    Attributes
    ----------
    parameters
        Parameters by name.
    broadening
        The recipe with the fitted widths.
    energies, experiment, fitted, before
        Arrays (n_points,): energies in eV from e0, the measured spectrum, the fit, and the calculated spectrum shifted
        and scaled but without the fitted broadening.
    r_factor
        sum (y - fit)² / sum y²
    """

    parameters: dict[str, Parameter]
    broadening: BroadeningConfig
    energies: Array
    experiment: Array
    fitted: Array
    before: Array
    r_factor: float

    def __repr__(self) -> str:
        values = [
            f"{name} {p.value:.4g}{f' ± {p.stderr:.2g}' if p.stderr is not None else ''}"
            for name, p in self.parameters.items()
            if p.varied
        ]
        return f"<Fitted {self.broadening.name}: {', '.join(values)}; R factor {self.r_factor:.3g}>"

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            "parameters": {
                name: {"value": p.value, "varied": p.varied, "at_bound": p.at_bound, "undetermined": p.undetermined}
                | {"stderr": p.stderr}
                | {f"interval_{level}": list(ends) for level, ends in p.intervals.items()}
                for name, p in self.parameters.items()
            },
            "r_factor": self.r_factor,
            "n_points": int(self.energies.size),
            "start_ev": float(self.energies[0]),
            "stop_ev": float(self.energies[-1]),
        }


def fit_broadening(calculated: Calculated, experiment: Spectrum, options: FitOptions | None = None) -> Fitted:
    """Fit shift, scale and widths of a calculated spectrum to a measured one.

    Raises
    ------
    ConfigError
        If the baseline is unknown, or the recipe lacks one of the widths to fit.
    SpectrumError
        If a spectrum is invalid, the two overlap at too few energies, or only a negative scale would fit. Also if the
        calculated spectrum is broadened already and the recipe is more than a resolution.
    """
    options = options or FitOptions()
    recipe = options.broadening
    edges.check(calculated.placed.spectrum)
    broadened_treatment(recipe, calculated.placed.spectrum.treatment)
    varied = check_options(options)
    energies = from_edge(experiment, calculated.placed.e0)
    if not np.ptp(experiment.intensities) > 0:
        raise SpectrumError(f"{experiment.source}: all intensities are equal; expected a spectrum with an edge")
    curve = Curve(calculated, recipe)
    shift = first_shift(curve, energies, experiment.intensities, options)
    inside = points_inside(curve, energies, shift, options)
    n_free = 2 + len(varied) + len(BASELINES[options.baseline])
    if inside.sum() < FEWEST + n_free:
        raise SpectrumError(
            f"{experiment.source}: {inside.sum()} points overlap {calculated.name} in the range to fit, expected "
            f"{FEWEST + n_free} or more (measured {energies[0]:g} to {energies[-1]:g} eV from e0, calculated "
            f"{curve.energies[0]:g} to {curve.energies[-1]:g} eV)"
        )
    return _fit(curve, energies[inside], experiment.intensities[inside], shift, varied, options)


def _fit(
    curve: Curve, energies: Array, measured: Array, shift: float, varied: Sequence[str], options: FitOptions
) -> Fitted:
    import lmfit

    parameters = _first_parameters(curve, energies, measured, shift, varied, options)
    widths = [name for name in BROADENING_USES[curve.recipe.name] if name in varied]

    def model(values: Any) -> Array:
        return _modelled(curve, energies, {name: float(p.value) for name, p in values.items()})

    at_bound, undetermined = set[str](), set[str]()
    while True:
        minimizer = lmfit.Minimizer(lambda values: model(values) - measured, parameters)
        result = minimizer.minimize(method="leastsq")
        free = [name for name in widths if result.params[name].vary]
        effects = _effects(model, result.params, free)
        unknown = [name for name in free if effects[name] < NO_EFFECT]
        reached = [name for name in free if _is_at_bound(result.params[name]) and name not in unknown]
        if reached:  # fix the most influential one at its bound, then fit the others again
            name = max(reached, key=lambda own: effects[own])
            p = result.params[name]
            parameters[name].set(value=p.min if p.value - p.min < p.max - p.value else p.max, vary=False)
            at_bound.add(name)
        elif unknown:
            parameters[unknown[0]].set(vary=False)
            undetermined.add(unknown[0])
        else:
            break
    scaled = float(result.params["scale"].value) * np.ptp(np.interp(energies, curve.energies, curve.plain))
    if scaled <= FLAT * np.ptp(measured):
        raise SpectrumError(
            "no positive scale fits the calculated spectrum to the measured one; check that the measured spectrum is "
            "neither inverted nor flat"
        )
    if result.params["shift"].vary and _is_at_bound(result.params["shift"]):
        at_bound.add("shift")
    found = {
        name: Parameter(
            float(p.value), bool(p.vary), float(p.stderr) if p.vary and p.stderr is not None else None,
            at_bound=name in at_bound, undetermined=name in undetermined,
        )
        for name, p in result.params.items()
    }  # fmt: skip
    for name, ends in _intervals(minimizer, result).items():
        found[name] = replace(found[name], intervals=ends)
    fitted = model(result.params)
    before = found["scale"].value * np.interp(energies - found["shift"].value, curve.energies, curve.plain)
    r_factor = float(np.sum((fitted - measured) ** 2) / np.sum(measured**2))
    return Fitted(found, _recipe_of(curve.recipe, found), energies, measured, fitted, before, r_factor)


def _first_parameters(
    curve: Curve, energies: Array, measured: Array, shift: float, varied: Sequence[str], options: FitOptions
) -> Any:
    """Return lmfit parameters with their starting values and bounds."""
    import lmfit

    parameters = lmfit.Parameters()
    margin = min(MARGIN, options.max_shift)
    low, high = max(shift - margin, -options.max_shift), min(shift + margin, options.max_shift)
    parameters.add("shift", value=shift, **({"min": low, "max": high} if high > low else {"vary": False}))
    there = np.interp(energies - shift, curve.energies, curve.plain)
    parameters.add("scale", value=float(measured @ there / (there @ there)), min=0.0)
    for name in BROADENING_USES[curve.recipe.name]:
        first = curve.value(name)
        if name == "gaussian" and name in varied:
            first = first or FIRST_GAUSSIAN
        low, high = BOUNDS[name]
        parameters.add(name, value=first, min=min(low, first), max=max(high, first), vary=name in varied)
    for name in BASELINES[options.baseline]:
        parameters.add(name, value=0.0)
    return parameters


def _modelled(curve: Curve, energies: Array, values: dict[str, float]) -> Array:
    """Return the model of the measured spectrum at `energies`."""
    mu = curve.with_widths({name: values[name] for name in BROADENING_USES[curve.recipe.name]})
    found = values["scale"] * np.interp(energies - values["shift"], curve.energies, mu)
    return np.asarray(found + values.get("offset", 0.0) + values.get("slope", 0.0) * energies)


def _recipe_of(recipe: BroadeningConfig, found: dict[str, Parameter]) -> BroadeningConfig:
    """Return the recipe with the fitted widths; no broadening if its only width, the resolution, is zero."""
    values: dict[str, Any] = {name: found[name].value for name in BROADENING_USES[recipe.name]}
    if recipe.name == "gaussian" and not values["gaussian"]:
        return BroadeningConfig()
    return replace(recipe, **values)


def _effects(model: Callable[[Any], Array], parameters: Any, names: Sequence[str]) -> dict[str, float]:
    """Return how far each parameter moves the model over its range, as a fraction of the model's largest value."""
    there, effects = model(parameters), {}
    for name in names:
        moved = []
        for end in (parameters[name].min, parameters[name].max):
            other = parameters.copy()
            other[name].set(value=end)
            moved.append(float(np.abs(model(other) - there).max()))
        effects[name] = max(moved) / float(np.abs(there).max() or 1.0)
    return effects


def _is_at_bound(p: Any) -> bool:
    """Return whether a parameter is at a bound."""
    return bool(min(p.value - p.min, p.max - p.value) < AT_BOUND * (p.max - p.min))


def _intervals(minimizer: Any, result: Any) -> dict[str, dict[str, tuple[float | None, float | None]]]:
    """Return the ends of the intervals from the profile of chi-square, or from the standard error where that fails."""
    import lmfit

    names = [name for name, p in result.params.items() if p.vary and p.stderr]
    found: dict[str, dict[str, tuple[float | None, float | None]]] = {}
    for name in names:
        try:
            with warnings.catch_warnings():  # an open-ended profile warns; its end is returned as None
                warnings.simplefilter("ignore", UserWarning)
                profile = lmfit.conf_interval(minimizer, result, [name], list(LEVELS.values()), maxiter=50)
            values = [value for _, value in profile[name]]
            middle = len(values) // 2
            found[name] = {
                level: (_finite(values[middle - k]), _finite(values[middle + k])) for level, k in LEVELS.items()
            }
        except (lmfit.MinimizerException, ValueError, IndexError):
            p = result.params[name]
            found[name] = {
                level: (max(p.min, p.value - k * p.stderr), min(p.max, p.value + k * p.stderr))
                for level, k in LEVELS.items()
            }
    return found


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
