"""How a measured spectrum is compared with predicted ones."""

from dataclasses import dataclass

import numpy as np

from xanes_hpc.errors import ConfigError

LINE = "line"
WITH_FACTOR = ("factor", LINE)
"""Scales with the best factor for each prediction."""
SCALES = (*WITH_FACTOR, "none", "area", "min-max")
CRITERIA = ("chi2", "likelihood")
LARGEST_MIXTURE = 3


@dataclass(frozen=True)
class MatchOptions:
    """Options of the comparison.

    Attributes
    ----------
    scale
        ``factor``: scale the measured spectrum by the best factor for each site; ``line``: subtract from both spectra
        their own straight lines first; ``none``; ``area`` or ``min-max``: divide each spectrum by its own area or range
        over the energies compared.
    by
        Criterion for ranking, ``chi2`` or ``likelihood``.
    max_shift
        Largest shift of the measured spectrum, eV; 0 for none. Shifts are multiples of the grid's step.
    noise
        Noise of the measured spectrum, as a fraction of the prediction's largest value, in addition to its own standard
        deviations. By default 0.01 without any, otherwise none.
    start, stop
        Range of energies compared, on the grid's energy axis; None for the whole overlap.
    keep
        Number of sites to list.
    mixture
        Largest number of sites in a mixture, 1 to 3.
    """

    scale: str = "factor"
    by: str = "likelihood"
    max_shift: float = 0.0
    noise: float | None = None
    start: float | None = None
    stop: float | None = None
    keep: int = 20
    mixture: int = 1


def check_options(options: MatchOptions) -> None:
    """Raise if an option has an invalid value.

    Raises
    ------
    ConfigError
        If an option is invalid; the message names it.
    """
    for name, value, known in (("scale", options.scale, SCALES), ("by", options.by, CRITERIA)):
        if value not in known:
            raise ConfigError(f"`{name}` {value!r}: expected {', '.join(known)}")
    if not 1 <= options.mixture <= LARGEST_MIXTURE:
        raise ConfigError(f"`mixture`: expected 1 to {LARGEST_MIXTURE} sites, received {options.mixture}")
    if options.noise is not None and not 0 < options.noise < np.inf:
        raise ConfigError(f"`noise`: expected a fraction above 0, received {options.noise:g}")
    if not 0 <= options.max_shift < np.inf:
        raise ConfigError(f"`max_shift`: expected 0 eV or more, received {options.max_shift:g}")
