"""What is fitted of a calculated spectrum to a measured one."""

from dataclasses import dataclass, field

import numpy as np

from xanes_hpc.config import BROADENING_USES, BroadeningConfig
from xanes_hpc.errors import ConfigError

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
