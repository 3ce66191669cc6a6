"""The first inflection of an edge, at which tables give the energies of metal foils."""

import numpy as np
import numpy.typing as npt

from xanes_hpc.spectra.rise import cleaned, main_rise
from xanes_hpc.spectra.slopes import averaged_slopes

Array = npt.NDArray[np.float64]

AROUND = 20.0
"""Distance from the main rise within which the inflection is looked for, eV."""
LEAST_SLOPE = 0.35
"""Fraction of the largest slope that the first inflection has: 0.45 in foils of manganese, 1 in most others."""
LEAST_DIP = 0.05
"""Fraction of the largest slope by which the slope falls behind a maximum that is no noise."""
SMOOTHED, STEPS = 0.75, 2.0
"""Half-width over which slopes are averaged: at least this many eV, and steps."""
FINE = 0.02
"""Step of the energies that are tried, eV."""


def first_inflection(energies: Array, intensities: Array) -> float | None:
    """Return the energy of the first clear maximum of a spectrum's slope, eV; None if it has no edge.

    Parameters
    ----------
    energies, intensities
        The spectrum, energies ascending, (n_points,).

    Examples
    --------
    >>> energies = np.arange(6500.0, 6600.0, 0.35)
    >>> foil = 0.3 * np.arctan((energies - 6539.0) / 0.8) + np.arctan((energies - 6546.0) / 1.6)
    >>> abs(first_inflection(energies, foil) - 6539.0) < 0.1
    True
    """
    rise = main_rise(energies, intensities)
    if rise is None:
        return None
    x, y = cleaned(energies, intensities)
    near = np.abs(x - rise) <= AROUND
    width = max(SMOOTHED, STEPS * float(np.median(np.diff(x[near]))) if near.sum() > 1 else SMOOTHED)
    at = np.arange(max(rise - AROUND, x[0] + width), min(rise + AROUND, x[-1] - width), FINE)
    if at.size < 3:
        return None
    slopes = averaged_slopes(x, y, at, width)
    largest = float(slopes.max())
    top = at[0], -np.inf
    for energy, slope in zip(at.tolist(), slopes.tolist(), strict=True):
        if slope > top[1]:
            top = energy, slope
        elif top[1] >= LEAST_SLOPE * largest and slope < top[1] - LEAST_DIP * largest:
            break
    return float(top[0])
