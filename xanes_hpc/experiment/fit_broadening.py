"""Widths, shift and scale that bring a calculated spectrum to a measured one, with their confidence intervals.

The measured spectrum y(E), E in eV from the calculation's e0, is taken for

    scale · B[mu](E - shift) + offset + slope · E

where B broadens by the recipe whose widths are fitted. Least squares by lmfit (doi:10.5281/zenodo.11813); intervals
are those of the profile of chi-square (F-test), which takes the scatter of the residuals for noise: what is wrong with
the calculation is systematic, so that they are a least.
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
from xanes_hpc.runtime.optional import need
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
"""Of the widths, in eV."""
AT_BOUND = 0.003
"""Of a width's range: nearer to its end it is there."""
FLAT = 1e-3
"""Share of what the measured spectrum varies by: a calculated one that is scaled to less of it is not in it."""
NO_EFFECT = 1e-3
"""Share of the largest intensity: what moves it by less, from one end of its range to the other, is not told by it."""
LEVELS = {"68": 1, "95": 2}
"""Intervals, in sigmas."""


@dataclass(frozen=True)
class Parameter:
    """A fitted (or fixed) number: its value, standard error, and the ends of its intervals by ``LEVELS``.

    ``at_bound`` tells that it was to be fitted and went to the end of its range, ``undetermined`` that it was to be and
    that nothing tells it.
    """

    value: float
    varied: bool
    stderr: float | None = None
    intervals: dict[str, tuple[float | None, float | None]] = field(default_factory=dict)
    at_bound: bool = False
    undetermined: bool = False


@dataclass(frozen=True)
class Fitted:
    """What came of a fit.

    Attributes
    ----------
    parameters
        By name.
    broadening
        The recipe with the widths found.
    energies, experiment, fitted, before
        (n_points,): energies in eV from e0, the measured spectrum, the fit, and the calculated spectrum shifted and
        scaled but not broadened further.
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

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
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
        If lmfit is not installed, or a parameter or baseline is none of the recipe's.
    SpectrumError
        If the calculated spectrum is broadened already and the recipe is more than a resolution, the two share too few
        energies, or are alike upside down only; or one is not sound.
    """
    need("lmfit", "fit", "fitting a broadening")
    options = options or FitOptions()
    recipe = options.broadening
    edges.check(calculated.placed.spectrum)
    broadened_treatment(recipe, calculated.placed.spectrum.treatment)
    varied = check_options(options)
    energies = from_edge(experiment, calculated.placed.e0)
    if not np.ptp(experiment.intensities) > 0:
        raise SpectrumError(f"{experiment.source}: is flat: expected a spectrum")
    curve = Curve(calculated, recipe)
    shift = first_shift(curve, energies, experiment.intensities, options)
    inside = points_inside(curve, energies, shift, options)
    n_free = 2 + len(varied) + len(BASELINES[options.baseline])
    if inside.sum() < FEWEST + n_free:
        raise SpectrumError(
            f"{experiment.source}: shares {inside.sum()} points with {calculated.name} in the range to fit: expected "
            f"{FEWEST + n_free} or more ({energies[0]:g} to {energies[-1]:g} eV from e0, calculated "
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
        ended = [name for name in free if _ended(result.params[name]) and name not in unknown]
        if ended:  # the others are found with it there: first that which matters most
            name = max(ended, key=lambda own: effects[own])
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
            "no factor above 0 brings the calculated spectrum to the measured one: is that upside down, or flat?"
        )
    if result.params["shift"].vary and _ended(result.params["shift"]):
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
    """Parameters of lmfit where the fit begins."""
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
    """What the measured spectrum is taken for."""
    mu = curve.with_widths({name: values[name] for name in BROADENING_USES[curve.recipe.name]})
    found = values["scale"] * np.interp(energies - values["shift"], curve.energies, mu)
    return np.asarray(found + values.get("offset", 0.0) + values.get("slope", 0.0) * energies)


def _recipe_of(recipe: BroadeningConfig, found: dict[str, Parameter]) -> BroadeningConfig:
    """A recipe with the widths found; none for a resolution of no width."""
    values: dict[str, Any] = {name: found[name].value for name in BROADENING_USES[recipe.name]}
    if recipe.name == "gaussian" and not values["gaussian"]:
        return BroadeningConfig()
    return replace(recipe, **values)


def _effects(model: Callable[[Any], Array], parameters: Any, names: Sequence[str]) -> dict[str, float]:
    """How far each parameter moves the model within its range, as a share of its largest value."""
    there, effects = model(parameters), {}
    for name in names:
        moved = []
        for end in (parameters[name].min, parameters[name].max):
            other = parameters.copy()
            other[name].set(value=end)
            moved.append(float(np.abs(model(other) - there).max()))
        effects[name] = max(moved) / float(np.abs(there).max() or 1.0)
    return effects


def _ended(p: Any) -> bool:
    """Whether a parameter has come to the end of its range."""
    return bool(min(p.value - p.min, p.max - p.value) < AT_BOUND * (p.max - p.min))


def _intervals(minimizer: Any, result: Any) -> dict[str, dict[str, tuple[float | None, float | None]]]:
    """Ends of the intervals by the profile of chi-square; by the standard error where the profile has no end."""
    import lmfit

    names = [name for name, p in result.params.items() if p.vary and p.stderr]
    found: dict[str, dict[str, tuple[float | None, float | None]]] = {}
    for name in names:
        try:
            with warnings.catch_warnings():  # of a profile without an end, which is told as such
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
