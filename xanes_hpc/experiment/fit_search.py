"""Least squares in the shift and widths of a fit, with standard errors, correlations and intervals.

An interval ends where chi-square, with all other parameters fitted again, exceeds its smallest value as the F-test
demands (the profile of chi-square), for as many points as are independent.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xanes_hpc.experiment.fit_model import FitModel, Values

Array = npt.NDArray[np.float64]
Bounds = dict[str, tuple[float, float]]
Ends = tuple[float | None, float | None]

LEVELS = {"68": 1, "95": 2}
"""Confidence levels in %, and their half-widths in sigmas."""
TOLERANCE = 1e-9
CLOSE = 0.01
"""Part of a half-width to which the end of an interval is found."""
MOST_STEPS = 12
DIFFERENCE = 1e-3
"""Step of the derivatives of the model, eV."""


@dataclass(frozen=True)
class Minimum:
    """The least squares: every parameter by name, and the weighted sum of squared residuals."""

    values: Values
    chi2: float


class Search:
    """A search for the shift and widths within ``bounds`` that minimise chi-square; the rest is solved for.

    Parameters
    ----------
    model
        The model to fit.
    bounds
        Bounds of the parameters to search, by name.
    held
        The values of all others.
    """

    def __init__(self, model: FitModel, bounds: Bounds, held: Mapping[str, float]) -> None:
        self.model, self.bounds, self.held = model, bounds, dict(held)

    @property
    def n_free(self) -> float:
        """Number of independent points beyond the fitted parameters, at least 1."""
        points = self.model.points
        n_points = points.energies.size if points.n_independent is None else points.n_independent
        return max(n_points - len(self.bounds) - len(self.model.linear), 1.0)

    def minimum(self, start: Mapping[str, float], fixed: Mapping[str, float] | None = None) -> Minimum:
        """Return the minimum near ``start``, with the parameters ``fixed`` at their values."""
        from scipy.optimize import least_squares

        fixed = fixed or {}
        linear = {name: value for name, value in fixed.items() if name in self.model.linear}
        names = [name for name in self.bounds if name not in fixed]

        def values(inner: Array) -> Values:
            free = {name: _outer(name, float(x)) for name, x in zip(names, inner, strict=True)}
            return {**self.held, **fixed, **free}

        def residuals(inner: Array) -> Array:
            return self.model.solve(values(inner), linear)[1]

        if names:
            low, high = (np.array([_inner(name, self.bounds[name][k]) for name in names]) for k in (0, 1))
            first = np.array([_inner(name, start[name]) for name in names])
            inside = np.clip(first, low + 1e-6 * (high - low), high - 1e-6 * (high - low))
            found = least_squares(
                residuals, inside, bounds=(low, high), x_scale=np.minimum(high - low, 1.0), xtol=TOLERANCE,
                ftol=TOLERANCE, gtol=1e-15, diff_step=1e-6,
            )  # fmt: skip
            at = values(found.x)
        else:
            at = {**self.held, **fixed}
        solved, left = self.model.solve(at, linear)
        return Minimum({**at, **solved}, float(left @ left))

    def covariance(self, best: Minimum) -> tuple[list[str], Array]:
        """Return the names of the fitted parameters and their covariance."""
        columns = self.model.columns(best.values)
        names, sides = list(self.bounds), []
        for name in names:
            low, high = (np.clip(best.values[name] + d, *self.bounds[name]) for d in (-DIFFERENCE, DIFFERENCE))
            up, down = (self.model.modelled({**best.values, name: value}) for value in (high, low))
            sides.append((up - down) / (high - low))
        weighted = np.column_stack([*sides, columns]) * self.model.points.weights[:, None]
        sizes = np.linalg.norm(weighted, axis=0)
        sizes[sizes == 0] = 1.0
        scaled = weighted / sizes
        inverse = np.linalg.pinv(scaled.T @ scaled, hermitian=True) / np.outer(sizes, sizes)
        return [*names, *self.model.linear], inverse * best.chi2 / self.n_free

    def ends(self, best: Minimum, name: str, stderr: float) -> dict[str, Ends]:
        """Return the ends of a parameter's intervals by level; an end that the data do not set is None."""
        return {
            level: (self._end(best, name, -stderr, k), self._end(best, name, stderr, k)) for level, k in LEVELS.items()
        }

    def _end(self, best: Minimum, name: str, step: float, sigmas: int) -> float | None:
        own, sign = best.values[name], np.sign(step)
        bound = self.bounds.get(name, (0.0, np.inf))[0 if sign < 0 else 1]
        factor = student(sigmas, self.n_free)
        rise = max(best.chi2, 1e-300) * factor**2 / self.n_free
        away, reached = abs(step) * factor, None
        start = best.values
        for _ in range(MOST_STEPS):
            away = min(away, abs(bound - own))
            if away == 0 or away == reached:
                return None
            here = self.minimum(start, {name: own + sign * away})
            start = here.values
            ratio = float(np.sqrt(max(here.chi2 - best.chi2, 0.0) / rise))
            if abs(ratio - 1.0) < CLOSE:
                return float(own + sign * away)
            if ratio < 1.0 and away == abs(bound - own):
                return None
            reached = away
            away /= max(ratio, 0.25)
        return float(own + sign * away)


def student(sigmas: int, n_free: float) -> float:
    """Return the half-width, in standard errors, of the interval that is ``sigmas`` wide for very many points."""
    from scipy.stats import norm, t

    return float(t.ppf(norm.cdf(sigmas), n_free))


def _inner(name: str, value: float) -> float:
    """Return a parameter as it is searched: the square of a resolution, on which a spectrum depends linearly."""
    return value**2 if name == "gaussian" else value


def _outer(name: str, value: float) -> float:
    return float(np.sqrt(max(value, 0.0))) if name == "gaussian" else value
