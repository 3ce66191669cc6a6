"""Find the shift of energies between two scans: the one at which the slopes of their spectra correlate best.

A factor, an offset or a drift of the background changes no correlation of slopes.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import SpectrumError
from xanes_hpc.spectra.glitches import without
from xanes_hpc.spectra.rise import main_rise
from xanes_hpc.spectra.scatter import noise_level
from xanes_hpc.spectra.slopes import averaged_slopes

Array = npt.NDArray[np.float64]
Curve = tuple[Array, Array]
"""Ascending energies, eV, and intensities of a spectrum, each (n_points,)."""

BEFORE, AFTER = 20.0, 40.0
"""Range around the main rise that is compared, eV."""
LARGEST = 5.0
"""Largest shift that is tried either way by default, eV."""
SMOOTHED, STEPS = 2.0, 2.0
"""Half-width over which slopes are averaged: at least this many eV, and steps."""
GRID, TRIED = 0.1, 0.1
"""Steps of the energies at which slopes are compared, and of the shifts of the first search, eV."""
REFINED = 0.01
LEAST_ALIKE = 0.8
"""Smallest correlation of slopes: below it scans are not of one sample, or are noise. Repeated scans reach 0.995."""
LEAST_COMPARED = 0.5
"""Smallest fraction of the range that both scans must cover."""
LEAST_SIGNAL = 0.1
"""Smallest part of the variance of slopes that counts as signal."""
APART, NEARLY = 1.5, 0.03
"""Another shift, this far away in eV, is a rival if its correlation is lower by less than this."""


@dataclass(frozen=True)
class Alignment:
    """The shift that brings a scan to another one.

    Attributes
    ----------
    shift
        What is added to its energies, eV.
    likeness
        Correlation of the slopes at this shift.
    rival
        Another shift that is nearly as good; None if there is none.
    """

    shift: float
    likeness: float
    rival: float | None = None


def align(standard: Curve, other: Curve, name: str, largest: float = LARGEST) -> Alignment:
    """Return the shift of one scan to another one.

    Parameters
    ----------
    standard, other
        The scan that stays where it is, and the one to be moved.
    name
        Name of the other scan, for messages.
    largest
        Largest shift that is tried either way, eV.

    Raises
    ------
    SpectrumError
        If a scan has no edge, the two do not overlap around it, or they are not alike.

    Examples
    --------
    >>> energies = np.arange(7080.0, 7180.0, 0.37)
    >>> found = align((energies, np.arctan(energies - 7112.0)), (energies, 2.0 + np.arctan(energies - 7113.3)), "b")
    >>> round(found.shift, 2)
    -1.3
    """
    rise = main_rise(*standard)
    if rise is None:
        raise SpectrumError(f"{name}: cannot be aligned, because the scan to align to has no edge")
    if main_rise(*other) is None:
        raise SpectrumError(f"{name}: has no edge between {other[0][0]:g} and {other[0][-1]:g} eV to align by")
    (x, y), (other_x, other_y) = without(*standard), without(*other)
    width = max(SMOOTHED, STEPS * _step(x, rise), STEPS * _step(other_x, rise))
    at = np.arange(max(rise - BEFORE, x[0] + width), min(rise + AFTER, x[-1] - width), GRID)
    own = averaged_slopes(x, y, at, width)

    def likeness(shift: float) -> float:
        inside = (at - shift > other_x[0] + width) & (at - shift < other_x[-1] - width)
        if inside.sum() * GRID < LEAST_COMPARED * (BEFORE + AFTER):
            return -1.0
        theirs = averaged_slopes(other_x, other_y, at[inside] - shift, width)
        return float(np.corrcoef(own[inside], theirs)[0, 1]) if np.ptp(theirs) > 0 else -1.0

    shifts = np.arange(-largest, largest + 0.5 * TRIED, TRIED)
    found = np.array([likeness(shift) for shift in shifts.tolist()])
    best = int(np.argmax(found))
    if found[best] == -1.0:
        raise SpectrumError(
            f"{name}: does not overlap the scan to align to around its edge at {rise:.0f} eV: {other_x[0]:g} to "
            f"{other_x[-1]:g} eV against {x[0]:g} to {x[-1]:g} eV"
        )
    if found[best] < LEAST_ALIKE or best in (0, shifts.size - 1):
        raise SpectrumError(
            f"{name}: is not like the scan to align to at any shift of up to {largest:g} eV (correlation of slopes "
            f"{found[best]:.2f}): is it of the same sample? A larger `max_shift` tries more"
        )
    fine = shifts[best] + np.arange(-TRIED, TRIED + 0.5 * REFINED, REFINED)
    refined = np.array([likeness(shift) for shift in fine.tolist()])
    tops = np.flatnonzero((found[1:-1] >= found[:-2]) & (found[1:-1] >= found[2:])) + 1
    rivals = [k for k in tops if abs(shifts[k] - shifts[best]) > APART and found[k] > found[best] - NEARLY]
    rival = float(shifts[max(rivals, key=lambda k: float(found[k]))]) if rivals else None
    return Alignment(float(fine[int(np.argmax(refined))]), float(refined.max()), rival)


def correlation(standard: Curve, other: Curve) -> float:
    """Return how well the slopes of two spectra correlate around the main rise of the first; NaN without one.

    What the noise of each takes from the correlation is added again, so that repeated scans reach 1.

    Examples
    --------
    >>> energies, rng = np.arange(7080.0, 7180.0, 0.37), np.random.default_rng(0)
    >>> edge = np.arctan(energies - 7112.0)
    >>> noisy = [edge + 0.05 * rng.standard_normal(energies.size) for _ in range(2)]
    >>> round(correlation((energies, noisy[0]), (energies, noisy[1])), 1)
    1.0
    >>> round(correlation((energies, edge), (energies, np.arctan((energies - 7112.0) / 5.0))), 1)
    0.8
    """
    rise = main_rise(*standard)
    if rise is None:
        return float("nan")
    steps = [_step(x, rise) for x, _ in (standard, other)]
    width = max(SMOOTHED, STEPS * max(steps))
    low = max(rise - BEFORE, standard[0][0] + width, other[0][0] + width)
    at = np.arange(low, min(rise + AFTER, standard[0][-1] - width, other[0][-1] - width), GRID)
    if at.size * GRID < LEAST_COMPARED * (BEFORE + AFTER):
        return float("nan")
    first, second = (averaged_slopes(x, y, at, width) for x, y in (standard, other))
    if not (np.ptp(first) > 0 and np.ptp(second) > 0):
        return float("nan")
    found = float(np.corrcoef(first, second)[0, 1])
    for (x, y), slope, step in zip((standard, other), (first, second), steps, strict=True):
        of_noise = 2.0 * step * np.square(noise_level(x, y)) / width**3
        found /= np.sqrt(max(1.0 - of_noise / float(slope.var()), LEAST_SIGNAL))
    return float(min(found, 1.0))


def _step(energies: Array, rise: float) -> float:
    near = energies[np.abs(energies - rise) <= BEFORE]
    return float(np.median(np.diff(near))) if near.size > 1 else 0.0
