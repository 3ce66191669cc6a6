"""Find glitches: single points of a spectrum that do not lie on the curve through their neighbours.

Each point is compared with the cubic through the two points on either side. A glitch is far off compared with the
scatter of other points nearby, and once it is left out its neighbours lie on smooth curves again. The second condition
spares white lines and steep edges with few points: there, the neighbours are as far off as the point itself.
"""

import numpy as np
import numpy.typing as npt

from xanes_hpc.spectra.rise import main_rise
from xanes_hpc.spectra.scatter import TO_SIGMA, deviations
from xanes_hpc.spectra.spectrum import Spectrum

Array = npt.NDArray[np.float64]

ABOVE_SCATTER = 7.0
"""A glitch is off by more than this many standard deviations of the scatter nearby."""
ABOVE_NEIGHBOURS = 3.0
"""It is off by more than this many times the largest deviation of its neighbours once it is left out."""
EDGE_REGION, STRICTER = (-25.0, 30.0), 3.0
"""Range around the main rise, eV, in which features may be as narrow as the steps, and how much clearer a glitch is
there, and anywhere in a spectrum without a clear rise."""
SMALLEST = 0.003
"""Fraction of the spectrum's range: smaller deviations are noise."""
NEARBY, BESIDE, TOUCHED = 14, 3, 2
"""Points on either side that tell the scatter, that must lie on smooth curves without the glitch, and that it moves."""
FEWEST, MOST_TRIED = 15, 20
"""Fewest points of a spectrum, and most of them that are tried each time."""
MOST = 0.03
"""Largest fraction of points that can be glitches; a spectrum with more is noise."""
LEFT_OUT = "single points off the curve were left out as glitches"


def without_glitches(spectrum: Spectrum) -> Spectrum:
    """Return a spectrum without its glitches, which its choices name by their energies."""
    found = glitches(spectrum.energies, spectrum.intensities)
    if not found.size:
        return spectrum
    listed = ", ".join(f"{energy:.2f}" for energy in spectrum.energies[found])
    return spectrum.at_points(np.delete(np.arange(spectrum.energies.size), found)).told(LEFT_OUT, f"at {listed} eV")


def glitches(energies: Array, intensities: Array) -> npt.NDArray[np.int64]:
    """Return the points of a spectrum that are glitches, in ascending order; none if there are too many.

    Parameters
    ----------
    energies, intensities
        The spectrum, energies ascending, (n_points,).

    Examples
    --------
    >>> energies = np.arange(7080.0, 7180.0, 0.5)
    >>> intensities = np.arctan((energies - 7112.0) / 2.0)
    >>> intensities[120] += 0.2
    >>> glitches(energies, intensities).tolist()
    [120]
    """
    kept = np.arange(energies.size)
    found: list[int] = []
    rise = main_rise(energies, intensities) if energies.size >= FEWEST else None
    strict = np.full(energies.size, STRICTER)
    if rise is not None:
        strict[(energies < rise + EDGE_REGION[0]) | (energies > rise + EDGE_REGION[1])] = 1.0
    while kept.size >= FEWEST:
        worst = _worst(energies[kept], intensities[kept], strict[kept])
        if worst is None:
            break
        found.append(int(kept[worst]))
        if len(found) > max(1.0, MOST * energies.size):
            return np.empty(0, np.int64)
        kept = np.delete(kept, worst)
    return np.array(sorted(found), np.int64)


def without(energies: Array, intensities: Array) -> tuple[Array, Array]:
    """Return the points of a spectrum that are no glitches."""
    found = glitches(energies, intensities)
    return np.delete(energies, found), np.delete(intensities, found)


def _worst(x: Array, y: Array, strict: Array) -> int | None:
    """Return the point that is most clearly a glitch; None if none is."""
    off = deviations(x, y)
    n = off.size
    size = min(2 * NEARBY + 1, n)
    around = np.clip(np.arange(n) - NEARBY, 0, n - size)[:, None] + np.arange(size)
    itself = np.abs(around - np.arange(n)[:, None]) <= TOUCHED
    scatter = TO_SIGMA * np.nanmedian(np.where(itself, np.nan, np.abs(off)[around]), axis=1)
    limit = np.maximum(ABOVE_SCATTER * scatter, SMALLEST * np.ptp(y))
    best, clearest = None, ABOVE_NEIGHBOURS
    for i in np.argsort(-np.abs(off) / limit, kind="stable")[: min(int((np.abs(off) > limit).sum()), MOST_TRIED)]:
        low, high = max(i - BESIDE - TOUCHED, 0), min(i + BESIDE + TOUCHED + 1, n)
        others = np.delete(np.arange(low, high), i - low)
        beside = np.abs(deviations(x[others], y[others]))[np.abs(others - i) <= BESIDE].max()
        ratio = float(np.abs(off[i]) / (strict[i] * max(beside, np.finfo(float).tiny)))
        if ratio > clearest:
            best, clearest = int(i), ratio
    return best
