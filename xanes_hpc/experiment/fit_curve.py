"""A calculated spectrum as a function of widths and shift, and where it first lies nearest a measured one."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import ConfigError
from xanes_hpc.experiment.measured import Calculated
from xanes_hpc.spectra.broadening import broaden, core_hole_width
from xanes_hpc.spectra.recipe import BROADENING_USES, BroadeningConfig

Array = npt.NDArray[np.float64]

BASELINES = {"none": (), "constant": ("offset",), "line": ("offset", "slope")}
"""What is added, and its parameters."""
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
MARGIN = 3.0
"""eV by which the shift may leave the one found first."""
FEWEST = 10
"""Measured points that a fit needs, beyond its parameters."""
SCANNED = 0.25
"""eV between the shifts looked at first."""


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


def check_options(options: FitOptions) -> tuple[str, ...]:
    """Hold options to what there is; gives the names of the widths that are fitted.

    Raises
    ------
    ConfigError
        Naming what is none.
    """
    name = options.broadening.name
    if name not in VARIED:
        raise ConfigError(f"recipe {name!r}: has no width to fit; expected {', '.join(VARIED)}")
    if not 0 <= options.max_shift < np.inf:
        raise ConfigError(f"max_shift: expected 0 eV or more, received {options.max_shift:g}")
    if options.baseline not in BASELINES:
        raise ConfigError(f"baseline {options.baseline!r}: expected {', '.join(BASELINES)}")
    varied = VARIED[name] if options.varied is None else options.varied
    if len(varied) > 1 and "none" in varied:
        raise ConfigError(f"vary: expected none, or names of widths, received {', '.join(varied)}")
    varied = tuple(own for own in varied if own != "none")
    for own in varied:
        if own not in BROADENING_USES[name]:
            raise ConfigError(f"{own!r} is no width of {name}: expected {', '.join(BROADENING_USES[name])}")
    return varied


class Curve:
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


def first_shift(curve: Curve, energies: Array, measured: Array, options: FitOptions) -> float:
    """The shift at which the two are alike most, by the correlation over what they share."""
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
            best, found = alike, float(shift)
    return found


def _within(energies: Array, calculated: Array, options: FitOptions) -> npt.NDArray[np.bool_]:
    low = calculated[0] if options.start is None else max(calculated[0], options.start)
    high = calculated[-1] if options.stop is None else min(calculated[-1], options.stop)
    return np.asarray((energies >= low) & (energies <= high))


def points_inside(curve: Curve, energies: Array, shift: float, options: FitOptions) -> npt.NDArray[np.bool_]:
    """Measured points that the calculation reaches whatever the shift within its bounds."""
    reached = np.array([curve.energies[0] + shift + MARGIN, curve.energies[-1] + shift - MARGIN])
    return _within(energies, reached, options)
