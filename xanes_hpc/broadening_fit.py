"""Widths, shift and scale that bring a calculated spectrum to a measured one, with their confidence intervals.

The measured spectrum y(E), E in eV from the calculation's e0, is taken for

    scale · B[mu](E - shift) + offset + slope · E

where B broadens by the recipe whose widths are fitted. Least squares by lmfit (doi:10.5281/zenodo.11813); intervals
are those of the profile of chi-square (F-test), which takes the scatter of the residuals for noise: what is wrong with
the calculation is systematic, so that they are a least.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.config import BroadeningConfig
from xanes_hpc.errors import ConfigError, SpectrumError
from xanes_hpc.experiments import Calculated, from_edge
from xanes_hpc.extras import need
from xanes_hpc.records import Spectrum
from xanes_hpc.spectra.broadening import USED, broaden, broadened_treatment, core_hole_width

Array = npt.NDArray[np.float64]

BASELINES = {"none": (), "constant": ("offset",), "line": ("offset", "slope")}
"""What is added, and its parameters."""
BOUNDS = {
    "gaussian": (0.0, 20.0),
    "core_hole": (0.01, 20.0),
    "gamma_max": (0.0, 100.0),
    "centre": (1.0, 300.0),
    "width": (1.0, 300.0),
    "seah": (0.0, 100.0),
    "e_cut": (-30.0, 30.0),
}
"""Of the widths, in eV."""
VARIED = {
    "arctangent": ("gaussian", "gamma_max", "centre"),
    "seah-dench": ("gaussian", "gamma_max"),
    "lorentzian": ("gaussian", "core_hole"),
    "summed": ("gaussian", "core_hole"),
    "gaussian": ("gaussian",),
}
"""By recipe, what is fitted unless it is said."""
FIRST_GAUSSIAN = 1.0
"""eV: at a width of 0 nothing tells which way is better."""
AT_BOUND = 0.003
"""Of a width's range: nearer to its end it is there."""
MARGIN = 3.0
"""eV by which the shift may leave the one found first."""
FEWEST = 10
"""Measured points that a fit needs, beyond its parameters."""
SCANNED = 0.25
"""eV between the shifts looked at first."""
LEVELS = {"68": 1, "95": 2}
"""Intervals, in sigmas."""


@dataclass(frozen=True)
class FitOptions:
    """What is fitted.

    Attributes
    ----------
    broadening
        The recipe, its widths being those to begin with.
    varied
        Names of the widths that are fitted; None for ``VARIED``.
    baseline
        One of ``BASELINES``.
    start, stop
        Energies to fit within, eV from e0; None for all that both have.
    max_shift
        The largest shift looked for, eV.
    """

    broadening: BroadeningConfig = field(default_factory=lambda: BroadeningConfig("gaussian"))
    varied: tuple[str, ...] | None = None
    baseline: str = "none"
    start: float | None = None
    stop: float | None = None
    max_shift: float = 15.0


@dataclass(frozen=True)
class Parameter:
    """A fitted (or fixed) number: its value, standard error, and the ends of its intervals by ``LEVELS``.

    ``at_bound`` tells that it was to be fitted and went to the end of its range.
    """

    value: float
    varied: bool
    stderr: float | None = None
    intervals: dict[str, tuple[float | None, float | None]] = field(default_factory=dict)
    at_bound: bool = False


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
                name: {"value": p.value, "varied": p.varied, "at_bound": p.at_bound, "stderr": p.stderr}
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
        If the calculated spectrum is broadened already and the recipe is more than a resolution, or the two share too
        few energies.
    """
    need("lmfit", "fit", "fitting a broadening")
    options = options or FitOptions()
    recipe = options.broadening
    broadened_treatment(recipe, calculated.placed.spectrum.treatment)
    varied = _varied(options)
    energies = from_edge(experiment, calculated.placed.e0)
    curve = _Curve(calculated, recipe)
    shift = _first_shift(curve, energies, experiment.intensities, options)
    inside = _inside(curve, energies, shift, options)
    n_free = 2 + len(varied) + len(BASELINES[options.baseline])
    if inside.sum() < FEWEST + n_free:
        raise SpectrumError(
            f"{experiment.source}: shares {inside.sum()} points with {calculated.name} in the range to fit: expected "
            f"{FEWEST + n_free} or more ({energies[0]:g} to {energies[-1]:g} eV from e0, calculated "
            f"{curve.energies[0]:g} to {curve.energies[-1]:g} eV)"
        )
    return _fit(curve, energies[inside], experiment.intensities[inside], shift, varied, options)


def _varied(options: FitOptions) -> tuple[str, ...]:
    name = options.broadening.name
    if name not in VARIED:
        raise ConfigError(f"recipe {name!r}: has no width to fit; expected {', '.join(VARIED)}")
    if not 0 <= options.max_shift < np.inf:
        raise ConfigError(f"max_shift: expected 0 eV or more, received {options.max_shift:g}")
    if options.baseline not in BASELINES:
        raise ConfigError(f"baseline {options.baseline!r}: expected {', '.join(BASELINES)}")
    varied = VARIED[name] if options.varied is None else options.varied
    for own in varied:
        if own not in USED[name]:
            raise ConfigError(f"{own!r} is no width of {name}: expected {', '.join(USED[name])}")
    return varied


class _Curve:
    """The calculated spectrum as a function of widths."""

    def __init__(self, calculated: Calculated, recipe: BroadeningConfig) -> None:
        self._calculated, self.recipe = calculated, recipe
        self.energies = calculated.placed.relative
        self.plain = calculated.placed.spectrum.intensities

    def value(self, name: str) -> float:
        """A width to begin with."""
        own = getattr(self.recipe, name)
        if name == "core_hole" and own is None:
            return core_hole_width(self._calculated.element, self._calculated.edge)
        if name == "e_cut" and own is None:
            return self._calculated.placed.e_cut
        return float(own)

    def with_widths(self, widths: dict[str, Any]) -> Array:
        """Intensities at its own energies, broadened."""
        recipe = replace(self.recipe, **widths)
        return broaden([self._calculated.placed], [self._calculated.element], [self._calculated.edge], recipe)[0]


def _first_shift(curve: _Curve, energies: Array, measured: Array, options: FitOptions) -> float:
    """The shift at which the two are alike most, by the correlation over what they share."""
    widths = {"gaussian": FIRST_GAUSSIAN} if "gaussian" in USED[curve.recipe.name] else {}
    mu = curve.with_widths(widths)
    best, found = -np.inf, 0.0
    for shift in np.arange(-options.max_shift, options.max_shift + SCANNED, SCANNED):
        inside = _within(energies, curve.energies + shift, options)
        if inside.sum() < FEWEST:
            continue
        there = np.interp(energies[inside] - shift, curve.energies, mu)
        if there.std() == 0 or measured[inside].std() == 0:
            continue
        alike = float(np.corrcoef(there, measured[inside])[0, 1]) * np.sqrt(inside.mean())
        if alike > best:
            best, found = alike, float(shift)
    return found


def _within(energies: Array, calculated: Array, options: FitOptions) -> npt.NDArray[np.bool_]:
    low = calculated[0] if options.start is None else max(calculated[0], options.start)
    high = calculated[-1] if options.stop is None else min(calculated[-1], options.stop)
    return np.asarray((energies >= low) & (energies <= high))


def _inside(curve: _Curve, energies: Array, shift: float, options: FitOptions) -> npt.NDArray[np.bool_]:
    """Measured points that the calculation reaches whatever the shift within its bounds."""
    reached = np.array([curve.energies[0] + shift + MARGIN, curve.energies[-1] + shift - MARGIN])
    return _within(energies, reached, options)


def _fit(
    curve: _Curve, energies: Array, measured: Array, shift: float, varied: Sequence[str], options: FitOptions
) -> Fitted:
    import lmfit

    widths = USED[curve.recipe.name]
    parameters = lmfit.Parameters()
    parameters.add("shift", value=shift, min=shift - MARGIN, max=shift + MARGIN)
    there = np.interp(energies - shift, curve.energies, curve.plain)
    parameters.add("scale", value=float(measured @ there / (there @ there)), min=0.0)
    for name in widths:
        first = curve.value(name)
        if name == "gaussian" and name in varied:
            first = first or FIRST_GAUSSIAN
        low, high = BOUNDS[name]
        parameters.add(name, value=first, min=min(low, first), max=max(high, first), vary=name in varied)
    for name in BASELINES[options.baseline]:
        parameters.add(name, value=0.0)

    def model(values: Any) -> Array:
        mu = curve.with_widths({name: float(values[name].value) for name in widths})
        found = values["scale"].value * np.interp(energies - values["shift"].value, curve.energies, mu)
        if "offset" in values:
            found = found + values["offset"].value
        if "slope" in values:
            found = found + values["slope"].value * energies
        return np.asarray(found)

    at_bound: set[str] = set()
    while True:
        minimizer = lmfit.Minimizer(lambda values: model(values) - measured, parameters)
        result = minimizer.minimize(method="leastsq")
        ended = {name for name in widths if result.params[name].vary and _ended(result.params[name])}
        if not ended:
            break
        for name in ended:  # nothing tells how far it would go on: the others are found with it there
            p = result.params[name]
            parameters[name].set(value=p.min if p.value - p.min < p.max - p.value else p.max, vary=False)
        at_bound |= ended
    found = {
        name: Parameter(
            float(p.value), bool(p.vary), None if p.stderr is None else float(p.stderr), at_bound=name in at_bound
        )
        for name, p in result.params.items()
    }
    for name, ends in _intervals(minimizer, result).items():
        found[name] = replace(found[name], intervals=ends)
    fitted = model(result.params)
    before = found["scale"].value * np.interp(energies - found["shift"].value, curve.energies, curve.plain)
    values: dict[str, Any] = {name: found[name].value for name in widths}
    own = replace(curve.recipe, **values)
    r_factor = float(np.sum((fitted - measured) ** 2) / np.sum(measured**2))
    return Fitted(found, own, energies, measured, fitted, before, r_factor)


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
