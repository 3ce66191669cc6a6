"""A calculated spectrum as a function of its widths, and the shift at which its fit starts."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import ConfigError
from xanes_hpc.experiment.calculated import Calculated
from xanes_hpc.spectra.broadening import broaden, core_hole_width
from xanes_hpc.spectra.recipe import BROADENING_USES, BroadeningConfig

Array = npt.NDArray[np.float64]

BACKGROUND = "background"
BASELINES: dict[str, tuple[str, ...]] = {
    "none": (), "constant": ("offset",), "line": ("offset", "slope"), BACKGROUND: ("offset", "slope"),
}  # fmt: skip
"""Baselines that can be added, and their parameters; ``background`` also has those of the post-edge window."""
VARIED = {
    "arctangent": ("gaussian", "gamma_max", "centre"),
    "seah-dench": ("gaussian", "gamma_max"),
    "lorentzian": ("gaussian", "core_hole"),
    "summed": ("gaussian", "core_hole"),
    "gaussian": ("gaussian",),
}
"""Widths fitted by default, by recipe."""
FIRST_GAUSSIAN = 1.0
"""Starting width, eV; at a width of 0 the gradient vanishes."""
MARGIN = 3.0
"""How far the fit may move the shift from its starting value, eV."""
FEWEST = 10
"""Smallest number of measured points in a fit, in excess of its free parameters."""
SCANNED = 0.25
"""Step of the first scan of shifts, eV."""


@dataclass(frozen=True)
class FitOptions:
    """Options of a fit.

    Attributes
    ----------
    broadening
        The recipe, with the starting values of its widths.
    vary
        Name or names of the widths to fit; None for those in ``VARIED``.
    baseline
        One of ``BASELINES``. ``background`` fits the spectrum as it was measured, with its pre-edge line and its
        post-edge polynomial; the others fit the normalised spectrum. By default ``background`` for a spectrum that
        would be normalised by its edge step and has room for windows, else ``none``.
    start, stop
        Range of energies to fit, eV from e0; None for the whole overlap.
    max_shift
        Largest shift, eV.
    """

    broadening: BroadeningConfig = field(default_factory=lambda: BroadeningConfig("gaussian"))
    vary: str | tuple[str, ...] | None = None
    baseline: str | None = None
    start: float | None = None
    stop: float | None = None
    max_shift: float = 15.0


def check_options(options: FitOptions) -> tuple[str, ...]:
    """Check the options and return the names of the widths to fit.

    Raises
    ------
    ConfigError
        If an option is invalid; the message names it.
    """
    name = options.broadening.name
    if name not in VARIED:
        raise ConfigError(f"`recipe` {name!r} has no width to fit: expected {', '.join(VARIED)}")
    if not 0 <= options.max_shift < np.inf:
        raise ConfigError(f"`max_shift`: expected 0 eV or more, received {options.max_shift:g}")
    if options.baseline is not None and options.baseline not in BASELINES:
        raise ConfigError(f"`baseline` {options.baseline!r}: expected {', '.join(BASELINES)}")
    varied = VARIED[name] if options.vary is None else options.vary
    varied = (varied,) if isinstance(varied, str) else tuple(varied)
    if len(varied) > 1 and "none" in varied:
        raise ConfigError(f"`vary`: expected none alone, or names of widths, received {', '.join(varied)}")
    varied = tuple(own for own in varied if own != "none")
    for own in varied:
        if own not in BROADENING_USES[name]:
            raise ConfigError(f"`vary` {own!r}: {name} has no such width, expected {', '.join(BROADENING_USES[name])}")
    return varied


class Curve:
    """The calculated spectrum as a function of widths."""

    def __init__(self, calculated: Calculated, recipe: BroadeningConfig) -> None:
        self._calculated, self.recipe = calculated, recipe
        self.energies = calculated.placed.relative
        self.plain = calculated.placed.spectrum.intensities

    def value(self, name: str) -> float:
        """Return the starting value of a width, eV."""
        own = getattr(self.recipe, name)
        if name == "core_hole" and own is None:
            return core_hole_width(self._calculated.element, self._calculated.edge)
        if name == "e_cut" and own is None:
            return self._calculated.placed.e_cut
        return float(own)

    def with_widths(self, widths: dict[str, Any]) -> Array:
        """Return the intensities broadened by these widths, at the spectrum's own energies."""
        recipe = replace(self.recipe, **widths)
        return broaden([self._calculated.placed], [self._calculated.element], [self._calculated.edge], recipe)[0]

    def at(self, energies: Array, widths: dict[str, Any] | None = None) -> Array:
        """Return the intensities at other energies, by cubic Hermite splines, broadened if widths are given.

        Beyond its ends the spectrum goes on as there. A straight line between two energies would lie inside every
        bend, as if the spectrum were broader.
        """
        mu, grid = self.plain if widths is None else self.with_widths(widths), self.energies
        at = np.clip(energies, grid[0], grid[-1])
        k = np.clip(np.searchsorted(grid, at) - 1, 0, grid.size - 2)
        step, slopes = grid[k + 1] - grid[k], np.gradient(mu, grid)
        t = (at - grid[k]) / step
        s = 1.0 - t
        left = s * s * ((1.0 + 2.0 * t) * mu[k] + t * step * slopes[k])
        right = t * t * ((1.0 + 2.0 * s) * mu[k + 1] - s * step * slopes[k + 1])
        return np.asarray(left + right)


def first_shift(curve: Curve, energies: Array, measured: Array, options: FitOptions) -> float:
    """Return the shift with the highest correlation of the two spectra over their overlap, in eV."""
    widths = {"gaussian": FIRST_GAUSSIAN} if "gaussian" in BROADENING_USES[curve.recipe.name] else {}
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
            best, found = alike, float(shift) + 0.0  # never -0
    return found


def _within(energies: Array, calculated: Array, options: FitOptions) -> npt.NDArray[np.bool_]:
    low = calculated[0] if options.start is None else max(calculated[0], options.start)
    high = calculated[-1] if options.stop is None else min(calculated[-1], options.stop)
    return np.asarray((energies >= low) & (energies <= high))


def points_inside(curve: Curve, energies: Array, shift: float, options: FitOptions) -> npt.NDArray[np.bool_]:
    """Return a mask of the measured points that the calculation covers at every shift the fit may take."""
    reached = np.array([curve.energies[0] + shift + MARGIN, curve.energies[-1] + shift - MARGIN])
    return _within(energies, reached, options)
