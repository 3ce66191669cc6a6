"""Bring a spectrum to other energies: averages where its points are denser, interpolation where they are not.

Each new energy is the middle of a bin that reaches halfway to the nearer of its neighbours. Points that are denser
are averaged, and the average is moved along the slope from their mean energy to the middle. Otherwise the line between
neighbouring points holds.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import SpectrumError
from xanes_hpc.spectra.spectrum import Spectrum

Array = npt.NDArray[np.float64]

PRE_STEP, PRE_STOP = 2.0, -30.0
"""Step before the edge region and the region's start, eV from the edge."""
XANES_STOP, K_STEP = 15.0, 0.05
"""End of the edge region, eV from the edge, and step beyond it, 1/Å."""
EV_PER_K2 = 3.8099821
"""Energy in eV of a photoelectron with a wave number of 1/Å: ħ²/2m."""
XANES_STEPS = 25_000.0
"""Edge energy over the step in the edge region, which is a multiple of ``ROUND`` eV."""
ROUND = 0.05
DENSER = 1.5
"""Width of a bin over the step of points, from which these are averaged."""
FEWEST = 10


def three_regions(energies: Array, e0: float) -> Array:
    """Return energies in the field's three regions: coarse before the edge, fine around it, even in k beyond.

    Parameters
    ----------
    energies
        Energies of the spectrum, ascending, (n_points,), eV.
    e0
        Its edge energy, eV.

    Examples
    --------
    >>> grid = three_regions(np.arange(7000.0, 7500.0), 7112.0) - 7112.0
    >>> [round(float(step), 2) for step in (grid[1] - grid[0], grid[60] - grid[59], grid[-1] - grid[-2])]
    [2.0, 0.25, 3.81]
    """
    first, last = float(energies[0]) - e0, float(energies[-1]) - e0
    step = ROUND * max(1, int(e0 / XANES_STEPS / ROUND))
    before = PRE_STOP - PRE_STEP * np.arange(max(int((PRE_STOP - first) / PRE_STEP + 1e-9), 0), 0, -1)
    start = max(PRE_STOP, first)
    around = np.arange(start, min(XANES_STOP, last) + 1e-9, step)
    k = np.sqrt(XANES_STOP / EV_PER_K2)
    n_beyond = int((np.sqrt(max(last, 0.0) / EV_PER_K2) - k) / K_STEP + 1e-9)
    beyond = EV_PER_K2 * np.square(k + K_STEP * np.arange(1, n_beyond + 1)) if last > XANES_STOP else np.empty(0)
    return np.asarray(np.concatenate([before, around, beyond]) + e0)


def even_steps(energies: Array, step: float) -> Array:
    """Return energies in even steps from a spectrum's first to its last.

    Raises
    ------
    SpectrumError
        If these are too few.
    """
    n = int((energies[-1] - energies[0]) / step + 1e-9) + 1 if step > 0 else 0
    if not FEWEST <= n <= energies.size * FEWEST:
        raise SpectrumError(
            f"`step` {step:g} eV: expected one that divides {energies[0]:g} to {energies[-1]:g} eV into "
            f"{FEWEST} to {energies.size * FEWEST} parts"
        )
    return np.asarray(energies[0] + step * np.arange(n))


def rebinned(spectrum: Spectrum, energies: Array) -> Spectrum:
    """Return a spectrum at other energies, with its standard deviations and reference channel.

    Parameters
    ----------
    spectrum
        The spectrum, energies ascending.
    energies
        The new ones, ascending and between the spectrum's ends, (n,).
    """
    bins = Bins(spectrum.energies, energies)
    return replace(
        spectrum,
        energies=energies,
        intensities=bins.means(spectrum.intensities),
        sigma=None if spectrum.sigma is None else bins.sigma(spectrum.sigma),
        reference=None if spectrum.reference is None else bins.means(spectrum.reference),
    )


class Bins:
    """The points of a spectrum in the bins around new energies.

    Attributes
    ----------
    kept : (n,)
        Fraction of the points' variance that is left at each new energy although its neighbours share the same points:
        1 at a measured point and in an average, 1/2 halfway between two points.
    """

    def __init__(self, old: Array, new: Array) -> None:
        self._old, self._new = old, new
        halves = 0.5 * np.diff(new)
        left, right = np.append(new[0] - old[0], halves), np.append(halves, old[-1] - new[-1])
        half = np.maximum(np.minimum(left, right), 0.0)
        self._low, self._high = new - half, new + half
        self._first, self._last = np.searchsorted(old, self._low), np.searchsorted(old, self._high, side="right")
        count = self._last - self._first
        k = np.clip(np.searchsorted(old, new, side="right") - 1, 0, old.size - 2)
        denser = self._high - self._low >= DENSER * (old[k + 1] - old[k])
        self._dense, self._count = denser & (count > 1), np.maximum(count, 1)
        share = np.clip((new - old[k]) / (old[k + 1] - old[k]), 0.0, 1.0)
        self.kept = np.where(self._dense, 1.0, np.square(1.0 - share) + np.square(share))

    def _sums(self, values: Array) -> Array:
        total = np.concatenate([[0.0], np.cumsum(values)])
        return np.asarray(total[self._last] - total[self._first])

    def means(self, intensities: Array) -> Array:
        """Return intensities at the new energies."""
        off = self._new - self._old[0] - self._sums(self._old - self._old[0]) / self._count
        rise = np.interp(self._high, self._old, intensities) - np.interp(self._low, self._old, intensities)
        means = self._sums(intensities) / self._count + off * rise / np.where(self._dense, self._high - self._low, 1.0)
        return np.where(self._dense, means, np.interp(self._new, self._old, intensities))

    def sigma(self, sigma: Array) -> Array:
        """Return standard deviations at the new energies: of the average, or interpolated ones."""
        of_means = np.sqrt(self._sums(np.square(sigma))) / self._count
        return np.where(self._dense, of_means, np.interp(self._new, self._old, sigma))
