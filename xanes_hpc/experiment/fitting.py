"""One fit of shift, scale, background and widths, without intervals, and how well it explains a spectrum.

Two figures say how well, both over the energies where the calculation lies, for y the measured spectrum without the
fitted background:

    R factor        sum (y - fit)² / sum y²
    unexplained     sum (y - fit)² / sum (y - edge)²

where edge is the arctangent that fits best. R is small for any spectrum with an edge. The second figure counts only
what the spectrum has beside its edge, so that a calculation smeared to a plain edge explains nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import SpectrumError
from xanes_hpc.experiment.calculated import Calculated
from xanes_hpc.experiment.fit_curve import (
    BACKGROUND,
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
from xanes_hpc.experiment.fit_model import FitModel, Points, points_of, points_with_background
from xanes_hpc.experiment.fit_search import Bounds, Minimum, Search
from xanes_hpc.experiment.measured import from_edge
from xanes_hpc.experiment.normalised import NormalisedSpectrum
from xanes_hpc.spectra.recipe import BROADENING_USES

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
SAME = 1e-4
"""Fraction of the largest intensity; a width that changes the model by less on its way to a bound counts as there."""
FLAT = 1e-3
"""Fraction of the measured range of intensities; a calculated spectrum scaled to less than this does not fit."""
NO_EFFECT = 1e-3
"""Fraction of the largest intensity; a width that changes the model by less over its whole range is unconstrained."""


@dataclass(frozen=True)
class BestFit:
    """A fit: its search and minimum, and the parameters that reached a bound or that the data do not constrain."""

    search: Search
    best: Minimum
    at_bound: frozenset[str]
    undetermined: frozenset[str]

    def with_points(self, points: Points) -> "BestFit":
        """Return the same fit with other weights of its points."""
        model = FitModel(self.search.model.curve, points, self.search.model.baseline)
        left = points.weights * (points.measured - model.modelled(self.best.values))
        search = Search(model, self.search.bounds, self.search.held)
        return replace(self, search=search, best=Minimum(self.best.values, float(left @ left)))

    @property
    def compared(self) -> tuple[Array, Array, Array]:
        """Energies, the measured spectrum without background, and the fit, (n_points,), where the calculation lies."""
        model, values = self.search.model, self.best.values
        inside, background = model.points.inside, model.background(values)
        fit = model.modelled(values) - background
        return model.points.energies[inside], (model.points.measured - background)[inside], fit[inside]

    @property
    def r_factor(self) -> float:
        """Sum of the squared residuals, as a fraction of the squared spectrum."""
        _, y, fit = self.compared
        return float(np.sum(np.square(y - fit)) / np.sum(np.square(y)))

    @property
    def unexplained_percent(self) -> float:
        """Sum of the squared residuals, in % of that of a plain arctangent edge."""
        energies, y, fit = self.compared
        edge = _plain_edge(energies, y)
        return 100.0 * float(np.sum(np.square(y - fit)) / max(float(np.sum(np.square(y - edge))), 1e-300))


def best_fit(calculated: Calculated, normal: NormalisedSpectrum, options: FitOptions, flatten: bool = True) -> BestFit:
    """Fit a calculated spectrum to a measured one.

    Parameters
    ----------
    calculated
        The calculated spectrum.
    normal
        The measured spectrum, normalised; with the baseline ``background`` its raw spectrum is fitted.
    options
        How it is fitted.
    flatten
        Whether a fitted post-edge polynomial applies where the calculation lies.

    Raises
    ------
    SpectrumError
        If the two overlap at too few energies, or only a negative scale would fit.
    """
    varied, baseline = check_options(options), options.baseline or "none"
    curve, experiment = Curve(calculated, options.broadening), normal.spectrum
    energies = from_edge(experiment, calculated.placed.e0)
    shift = first_shift(curve, energies, experiment.intensities, options)
    inside = points_inside(curve, energies, shift, options)
    n_free = 2 + len(varied) + len(BASELINES[baseline])
    if inside.sum() < FEWEST + n_free:
        raise SpectrumError(
            f"{experiment.source}: {inside.sum()} points overlap {calculated.name} in the range to fit, expected "
            f"{FEWEST + n_free} or more (measured {energies[0]:g} to {energies[-1]:g} eV from e0, calculated "
            f"{curve.energies[0]:g} to {curve.energies[-1]:g} eV)"
        )
    explicit = baseline == BACKGROUND
    points = (
        points_with_background(normal, energies, inside, flatten)
        if explicit
        else points_of(experiment, energies, inside)
    )
    found = _fit(curve, points, shift, varied, options)
    points = points.levelled(points.measured - found.search.model.modelled(found.best.values))
    if explicit or points.sigma is not None:
        return _fit(curve, points, shift, varied, options)
    return found.with_points(points)  # weighted alike, so that the best fit is the same


def _fit(curve: Curve, points: Points, shift: float, varied: Sequence[str], options: FitOptions) -> BestFit:
    """Fit; fix widths that reach a bound, or that the data do not constrain, and fit the others again."""
    model = FitModel(curve, points, options.baseline or "none")
    bounds, start = _first_values(curve, shift, varied, options)
    at_bound, undetermined = set[str](), set[str]()
    while True:
        search = Search(model, bounds, {name: value for name, value in start.items() if name not in bounds})
        best = search.minimum(start)
        widths = [name for name in bounds if name != "shift"]
        effects = _effects(model, best.values, {name: bounds[name] for name in widths})
        unknown = [name for name in widths if effects[name] < NO_EFFECT]
        reached = [name for name in widths if _bound_reached(search, best, name) is not None and name not in unknown]
        if reached:  # fix the most influential one at its bound, then fit the others again
            name = max(reached, key=lambda own: effects[own])
            start[name] = float(_bound_reached(search, best, name) or 0.0)
            at_bound.add(name)
        elif unknown:
            name = unknown[0]
            undetermined.add(name)
        else:
            break
        del bounds[name]
    scaled = best.values["scale"] * np.ptp(np.interp(points.energies[points.inside], curve.energies, curve.plain))
    if scaled <= FLAT * np.ptp(points.measured[points.inside]):
        raise SpectrumError(
            "no positive scale fits the calculated spectrum to the measured one; check that the measured spectrum is "
            "neither inverted nor flat, or fit its background too (`baseline`)"
        )
    if "shift" in bounds and _bound_reached(search, best, "shift") is not None:
        at_bound.add("shift")
    return BestFit(search, best, frozenset(at_bound), frozenset(undetermined))


def _first_values(
    curve: Curve, shift: float, varied: Sequence[str], options: FitOptions
) -> tuple[Bounds, dict[str, float]]:
    """Return the bounds of the parameters to search, and the first values of these and the fixed ones."""
    bounds, start = dict[str, tuple[float, float]](), {"shift": shift}
    margin = min(MARGIN, options.max_shift)
    low, high = max(shift - margin, -options.max_shift), min(shift + margin, options.max_shift)
    if high > low:
        bounds["shift"] = low, high
    for name in BROADENING_USES[curve.recipe.name]:
        start[name] = curve.value(name)
        if name in varied:
            start[name] = (start[name] or FIRST_GAUSSIAN) if name == "gaussian" else start[name]
            low, high = BOUNDS[name]
            bounds[name] = min(low, start[name]), max(high, start[name])
    return bounds, start


def _effects(model: FitModel, values: Mapping[str, float], bounds: Bounds) -> dict[str, float]:
    """Return how far each parameter moves the model over its range, as a fraction of its largest value."""
    inside = model.points.inside
    there = model.modelled(values)[inside]
    largest = float(np.abs(there - model.background(values)[inside]).max() or 1.0)
    return {
        name: max(float(np.abs(model.modelled({**values, name: end})[inside] - there).max()) for end in ends) / largest
        for name, ends in bounds.items()
    }


def _bound_reached(search: Search, best: Minimum, name: str) -> float | None:
    """Return the bound that a parameter has reached; None if it has reached neither."""
    low, high = search.bounds[name]
    value = best.values[name]
    bound = low if value - low < high - value else high
    if abs(value - bound) < AT_BOUND * (high - low):
        return bound
    same = name != "shift" and _effects(search.model, best.values, {name: (bound, bound)})[name] < SAME
    return bound if same else None


def _plain_edge(energies: Array, y: Array) -> Array:
    """Return the arctangent, with a scale, that fits a spectrum best."""
    from scipy.optimize import least_squares

    def edge(inner: Array) -> Array:
        step = np.arctan((energies - inner[0]) / np.exp(inner[1])) / np.pi + 0.5
        return np.asarray(step * (step @ y) / (step @ step))

    middle = energies[int(np.argmax(y > 0.5 * np.quantile(y, 0.9)))]
    span = (np.array([energies[0], np.log(0.1)]), np.array([energies[-1], np.log(50.0)]))
    first = np.clip([middle, np.log(2.0)], span[0] + 1e-3, span[1] - 1e-3)
    return edge(least_squares(lambda inner: edge(inner) - y, first, bounds=span).x)
