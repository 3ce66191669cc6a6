"""Where a spectrum rises, found so that up to three neighbouring wrong points and repeated energies do not matter."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

AMONG = 7
"""Number of neighbouring points with which each is compared: the majority of them must be right."""
WRONG = 4.0
"""A point is wrong if it lies off their median by this many median absolute deviations."""
ROUNDING = 1e-12
"""Fraction of the largest value that is never taken for a deviation."""
SMALLEST = 1e-9
"""Fraction of the largest value: a smaller change of the spectrum is rounding."""
SAME = 0.1
"""Fraction of the median step: points closer than this are averaged, as where two regions of a scan meet."""
HALF_WIDTH, FALL_WIDTH = 5.0, 10.0
"""Widths on either side, eV, over which ``main_rise`` and ``main_fall`` average; white lines are narrower."""
GRID, MOST_TRIED = 0.5, 20_000
"""Step of the energies that ``main_rise`` tries, eV, and how many it tries at most."""
CLEAR, ABOVE_NOISE = 3.0, 8.0
"""A rise is clear if it exceeds the median change of the spectrum, and its standard error, by these factors; a fall if
it exceeds its standard error so."""
BEFORE, AS_LOW = 30.0, 0.3
"""A peak, which is no fall, was as low within so many eV before it, to this fraction of the fall (calculated spectra
without a continuum: below 0; measured ones upside down: above 0.67)."""


def cleaned(energies: Array, intensities: Array) -> tuple[Array, Array]:
    """Return a spectrum without spikes of up to three points, and with points at nearly the same energy averaged.

    Parameters
    ----------
    energies, intensities
        The spectrum, energies ascending, shape (n,).
    """
    steps = np.diff(energies)
    near = steps <= SAME * np.median(steps)
    x, y = energies, intensities
    if near.any():
        group = np.concatenate([[0], np.cumsum(~near)])
        counts = np.bincount(group)
        x, y = np.bincount(group, energies) / counts, np.bincount(group, intensities) / counts
    y = _without_runs(x, y)
    if y.size > 2:  # the median of each point and its neighbours
        before, here, after = y[:-2], y[1:-1], y[2:]
        y = y.copy()
        y[1:-1] = np.maximum(np.minimum(before, here), np.minimum(np.maximum(before, here), after))
    return x, y


def _without_runs(x: Array, y: Array) -> Array:
    """Return intensities with wrong points, which a Hampel filter finds, replaced by a line between right ones."""
    if y.size <= AMONG:
        return y
    first = np.clip(np.arange(y.size) - AMONG // 2, 0, y.size - AMONG)
    around = np.lib.stride_tricks.sliding_window_view(y, AMONG)[first]
    median = np.median(around, axis=1)
    deviation = np.median(np.abs(around - median[:, None]), axis=1)
    right = np.abs(y - median) <= WRONG * deviation + ROUNDING * np.abs(y).max()
    return np.asarray(np.interp(x, x[right], y[right]))


def steepest_rise(energies: Array, intensities: Array) -> float:
    """Return the energy of the steepest rise: the top of the parabola through the largest slope and its neighbours.

    The slopes at the first and last two points do not count, because wrong points are most frequent there.

    Examples
    --------
    >>> energies = np.linspace(-10, 30, 201)
    >>> wrong_last = np.where(energies < 29.7, np.arctan(energies - 1.5), 9.0)
    >>> round(steepest_rise(energies, wrong_last), 2)
    1.5
    """
    x, y = cleaned(energies, intensities)
    slopes = np.gradient(y, x) if x.size > 1 else np.zeros(x.size)
    edge = 2 if x.size > 6 else 0
    i = edge + int(np.argmax(slopes[edge : x.size - edge]))
    if not 0 < i < x.size - 1:
        return float(x[i])
    near = slice(i - 1, i + 2)
    second, first, _ = np.polyfit(x[near] - x[i], slopes[near], 2)
    return float(x[i] - 0.5 * first / second) if second < 0 else float(x[i])


def main_rise(energies: Array, intensities: Array) -> float | None:
    """Return the energy at which a spectrum rises most, averaged over ``HALF_WIDTH`` on either side; None if unclear.

    Examples
    --------
    >>> energies = np.linspace(-40, 60, 201)
    >>> abs(main_rise(energies, np.arctan(energies - 10.0)) - 10.0) < 1.0
    True
    >>> main_rise(energies, 0.1 * energies) is None
    True
    """
    x, y = cleaned(energies, intensities)
    found = _changes(x, y, HALF_WIDTH, HALF_WIDTH)
    if found is None:
        return None
    at, change = found
    k = int(np.argmax(change))
    least = max(CLEAR * np.median(np.abs(change)), _least(x, intensities, HALF_WIDTH))
    return float(at[k]) if change[k] > least else None


def main_fall(energies: Array, intensities: Array) -> float | None:
    """Return the energy at which a spectrum falls most, if it falls clearly, and more than it rises anywhere.

    An absorption spectrum rises at its edge by more than it falls after its white line; upside down it does not. A
    spectrum that begins at its edge is taken to rise there; one that falls from a peak, before which it was as low, as
    calculated spectra without a continuum do, does not fall.

    Examples
    --------
    >>> energies = np.linspace(-40, 60, 201)
    >>> main_fall(energies, np.arctan(energies - 10.0)) is None
    True
    >>> abs(main_fall(energies, -np.arctan(energies - 10.0)) - 10.0) < 1.0
    True
    >>> main_fall(energies, np.exp(-((energies / 10) ** 2)) * (1 + energies / 50)) is None
    True
    """
    x, y = cleaned(energies, intensities)
    found = _changes(x, y, FALL_WIDTH, 0.0)
    if found is None:
        return None
    at, change = found
    k = int(np.argmin(change))
    fall = -change[k]
    if fall <= max(change.max(), _least(x, intensities, FALL_WIDTH)):
        return None
    before = at[(at >= at[k] - BEFORE) & (at <= at[k])]
    lowest = _means(x, y, before - HALF_WIDTH, HALF_WIDTH).min()
    after = _means(x, y, at[k : k + 1], FALL_WIDTH)[0]
    return float(at[k]) if lowest > after + AS_LOW * fall else None


def _means(x: Array, y: Array, first: Array, width: float) -> Array:
    """Return the means over a ``width`` above each energy; before its beginning a spectrum is as there."""
    x, y = np.concatenate([[x[0] - FALL_WIDTH], x]), np.concatenate([[np.median(y[:3])], y])
    area = np.concatenate([[0.0], np.cumsum(0.5 * (y[1:] + y[:-1]) * np.diff(x))])
    return np.asarray((np.interp(first + width, x, area) - np.interp(first, x, area)) / width)


def _changes(x: Array, y: Array, width: float, margin: float) -> tuple[Array, Array] | None:
    """Return energies, and by how much a spectrum is higher on average in a ``width`` above them than below.

    Energies have a ``margin`` to the beginning, before which a spectrum is as at its beginning. A spectrum that is too
    short has none.
    """
    first, last = x[0] + margin, x[-1] - width
    if last - x[0] < 3 * HALF_WIDTH:
        return None
    at = np.arange(first, last, max(GRID, (last - first) / MOST_TRIED))
    return at, _means(x, y, at, width) - _means(x, y, at - width, width)


def _least(x: Array, intensities: Array, width: float) -> float:
    """Return the smallest change that is clear of the noise."""
    scatter = np.median(np.abs(intensities[1:-1] - 0.5 * (intensities[2:] + intensities[:-2])))
    noise = ABOVE_NOISE * scatter * np.sqrt(2 * np.median(np.diff(x)) / width)
    return float(max(noise, SMALLEST * np.abs(intensities).max()))
