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
SAME = 0.1
"""Fraction of the median step: points closer than this are averaged, as where two regions of a scan meet."""
HALF_WIDTH = 5.0
"""Width on either side, eV, over which ``main_rise`` averages."""
GRID, MOST_TRIED = 0.5, 20_000
"""Step of the energies that ``main_rise`` tries, eV, and how many it tries at most."""
CLEAR, ABOVE_NOISE = 3.0, 8.0
"""A rise is clear if it exceeds the median change of the spectrum, and its standard error, by these factors."""


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
    first, last = x[0] + HALF_WIDTH, x[-1] - HALF_WIDTH
    if last - first < 2 * HALF_WIDTH:
        return None
    area = np.concatenate([[0.0], np.cumsum(0.5 * (y[1:] + y[:-1]) * np.diff(x))])
    at = np.arange(first, last, max(GRID, (last - first) / MOST_TRIED))
    below, here, above = (np.interp(at + move, x, area) for move in (-HALF_WIDTH, 0.0, HALF_WIDTH))
    rise = (above - 2 * here + below) / HALF_WIDTH
    k = int(np.argmax(rise))
    scatter = np.median(np.abs(intensities[1:-1] - 0.5 * (intensities[2:] + intensities[:-2])))
    error = scatter * np.sqrt(2 * np.median(np.diff(x)) / HALF_WIDTH)
    return float(at[k]) if rise[k] > max(CLEAR * np.median(np.abs(rise)), ABOVE_NOISE * error) else None
