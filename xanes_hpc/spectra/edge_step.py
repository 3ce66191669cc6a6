"""The edge energy, pre-edge line, post-edge polynomial and edge step of a spectrum, with windows chosen from its range.

    step = post(E0) - pre(E0)        norm(E) = [mu(E) - pre(E)] / step
    flat(E) = norm(E) - [post(E) - pre(E)] / step + 1  above E0

with a line fitted to mu in the pre-edge window and a polynomial fitted to mu - pre in the post-edge window (Ravel and
Newville, doi:10.1107/S0909049505012719). The windows are in eV from E0.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import SpectrumError
from xanes_hpc.spectra.rise import cleaned, main_rise, steepest_rise
from xanes_hpc.spectra.slopes import averaged_slopes

Array = npt.NDArray[np.float64]
Window = tuple[float, float]

SLACK = 0.51
"""Fraction of a spectrum's step there by which a window may reach beyond it, because files round energies."""
SMALLEST_STEP = 1e-9
"""Fraction of a spectrum's largest value: a smaller edge step is rounding."""
AROUND = 15.0
"""Distance from the main rise within which the edge is looked for, eV."""
NEEDED_BEFORE, NEEDED_AFTER = 20.0, 65.0
"""Range before and after the edge that windows of their own need, eV."""
FIRST_POST = 25.0
"""Latest start of a post-edge window that is chosen, eV from the edge."""
QUADRATIC, LINEAR = 350.0, 30.0
"""Lengths of the post-edge window from which its polynomial has degree 2, and 1, eV."""
SMOOTHED, STEPS = 1.5, 3.0
"""Half-width over which slopes are averaged in the search for the edge: at least this many eV, and steps."""


@dataclass(frozen=True)
class EdgeWindows:
    """Windows before and after the edge in eV from it, and the degree of the polynomial in the second."""

    pre: Window
    post: Window
    order: int

    @property
    def in_words(self) -> str:
        """The windows as a phrase."""
        (a, b), (c, d) = self.pre, self.post
        return f"pre-edge {a:.4g} to {b:.4g} eV, post-edge {c:.4g} to {d:.4g} eV, degree {self.order}"


@dataclass(frozen=True)
class EdgeStep:
    """The background of a spectrum.

    Attributes
    ----------
    step
        Edge step, in the spectrum's own unit.
    pre, post : (n_points,)
        Pre-edge line and post-edge curve at the spectrum's energies.
    windows
        The windows that were fitted.
    """

    step: float
    pre: Array
    post: Array
    windows: EdgeWindows

    def normalised(self, energies: Array, mu: Array, flatten: bool) -> Array:
        """Return a spectrum normalised by this background; ``energies`` are in eV from the edge."""
        norm = (mu - self.pre) / self.step
        if flatten:
            above = energies >= 0
            norm[above] -= (self.post[above] - self.pre[above]) / self.step - 1.0
        return np.asarray(norm)


def find_edge(energies: Array, mu: Array) -> float:
    """Return the energy of the steepest rise near the main rise of a spectrum, on its own scale.

    Up to three neighbouring wrong points and repeated energies do not matter. Slopes are averaged, so that noise does
    not decide.

    Examples
    --------
    >>> energies = np.arange(7000.0, 7300.0, 0.7)
    >>> abs(find_edge(energies, 0.002 * energies + np.arctan((energies - 7120.0) / 2.0)) - 7120.0) < 0.1
    True
    """
    rise = main_rise(energies, mu)
    if rise is None:
        return steepest_rise(energies, mu)
    x, y = cleaned(energies, mu)
    near = np.abs(x - rise) <= AROUND
    step = float(np.median(np.diff(x[near]))) if near.sum() > 1 else 1.0
    width = max(SMOOTHED, STEPS * step)
    at = np.arange(max(rise - AROUND, x[0] + width), min(rise + AROUND, x[-1] - width), 0.05 * width)
    if not at.size:
        return rise
    return float(at[int(np.argmax(averaged_slopes(x, y, at, width)))])


def chosen_windows(energies: Array) -> EdgeWindows | None:
    """Return windows that suit the range of a spectrum; None if it is too short for any.

    Parameters
    ----------
    energies
        Ascending energies in eV from the edge, (n_points,).
    """
    first, last = float(energies[min(1, energies.size - 1)]), float(energies[-1])  # a first point is often wrong
    if first > -NEEDED_BEFORE or last < NEEDED_AFTER:
        return None
    start = max(5.0 * round(first / 5.0), float(energies[0]))
    stop = min(5.0 * round(last / 5.0), last)
    post = min(FIRST_POST, 5.0 * round(stop / 15.0))
    length = stop - post
    order = 2 if length >= QUADRATIC else 1 if length >= LINEAR else 0
    return EdgeWindows(_points_of(energies, start, start / 2.0), _points_of(energies, post, stop), order)


def _points_of(energies: Array, start: float, stop: float) -> Window:
    """Return the energies of the point at or below ``start``, and of the one before that nearest ``stop``."""
    low = max(int(np.searchsorted(energies, start, side="right")) - 1, 0)
    high = max(int(np.argmin(np.abs(energies - stop))) - 1, low + 1)
    return float(energies[low]), float(energies[high])


def edge_step(name: str, energies: Array, mu: Array, windows: EdgeWindows, at: Array | None = None) -> EdgeStep:
    """Fit the background of a spectrum.

    Parameters
    ----------
    name
        Name of the spectrum, for messages.
    energies, mu
        The spectrum, (n_points,), energies in eV from the edge.
    windows
        The windows to fit.
    at
        Energies at which the spectrum is fitted, in eV from the edge, (n_fitted,); by default its own. Two spectra get
        one background only if their points lie equally dense.

    Raises
    ------
    SpectrumError
        If a window reaches beyond the spectrum or has too few points, or the edge step is not positive.
    """
    x, y = energies, mu
    if at is not None:
        x = at[(at >= energies[0]) & (at <= energies[-1])]
        y = np.interp(x, energies, mu)
    before = window(name, "pre-edge window", x, *windows.pre, 2)
    after = window(name, "post-edge window", x, *windows.post, windows.order + 1)
    line = np.polynomial.Polynomial.fit(x[before], y[before], 1)
    pre = np.asarray(line(energies))
    curve = np.polynomial.Polynomial.fit(x[after], y[after] - line(x[after]), windows.order)
    step = float(curve(0.0))
    if not step > SMALLEST_STEP * np.abs(mu).max():
        raise SpectrumError(f"{name}: {_no_step(step, np.abs(mu).max())}")
    return EdgeStep(step, pre, pre + np.asarray(curve(energies)), windows)


def _no_step(step: float, largest: float) -> str:
    """Return what is wrong with an edge step that is not above 0."""
    if abs(step) <= SMALLEST_STEP * largest:
        return "the spectrum is the same before and after its edge (no edge step)"
    return (
        f"the spectrum falls at its edge, by {-step:.4g}; expected a rise: are these raw counts, or are the channels "
        "of the incoming and the transmitted beam exchanged?"
    )


def _step_at(energies: Array, energy: float) -> int:
    """Return the index of the step between the points on either side of an energy; the nearest if it is outside."""
    return int(np.clip(np.searchsorted(energies, energy), 1, energies.size - 1)) - 1


def window(
    name: str, what: str, energies: Array, start: float | None, stop: float | None, fewest: int
) -> npt.NDArray[np.bool_]:
    """Return a mask of the points in a window; an end that is None is the spectrum's own.

    Raises
    ------
    SpectrumError
        If the window reaches beyond the spectrum, or has fewer points than ``fewest``.
    """
    first, last, steps = energies[0], energies[-1], np.diff(energies)
    start, stop = first if start is None else start, last if stop is None else stop
    before, after = (SLACK * float(steps[_step_at(energies, end)]) for end in (start, stop))
    if start < first - before or stop > last + after:
        raise SpectrumError(
            f"{name}: the {what}, {start:g} to {stop:g} eV from the edge, reaches beyond the spectrum, "
            f"{first:g} to {last:g} eV"
        )
    inside = (energies >= start - before) & (energies <= stop + after)
    if inside.sum() < fewest:
        raise SpectrumError(
            f"{name}: the {what}, {start:g} to {stop:g} eV from the edge, has {inside.sum()} points; "
            f"expected {fewest} or more"
        )
    return inside
