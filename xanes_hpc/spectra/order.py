"""Bring the points of a measured spectrum into ascending order of energy."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import SpectrumError
from xanes_hpc.spectra.spectrum import Spectrum

FARTHEST_BACK = 0.2
"""Fraction of its range by which a scan may go back in energy, where regions overlap or the monochromator jitters."""
REVERSED = "spectra were scanned from high to low energy"
SORTED = "spectra were brought into the order of their energies"
MERGED = "points at the same energy were averaged"


def in_order(spectrum: Spectrum) -> Spectrum:
    """Return a spectrum with ascending energies, points at the same energy averaged, and a note of what was done.

    A spectrum with an energy that is not finite is returned as it is.

    Raises
    ------
    SpectrumError
        If energies go back so far that the file seems to hold several scans.

    Examples
    --------
    >>> found = in_order(Spectrum(np.array([1.0, 2.0, 2.0, 3.0]), np.array([0.0, 1.0, 2.0, 3.0])))
    >>> found.energies.tolist(), found.intensities.tolist()
    ([1.0, 2.0, 3.0], [0.0, 1.5, 3.0])
    """
    steps = np.diff(spectrum.energies)
    if (steps > 0).all() or not np.isfinite(spectrum.energies).all():
        return spectrum
    found, source = spectrum, spectrum.source
    first, last = found.energies[0], found.energies[-1]
    if last < first:
        found = found.at_points(np.arange(found.energies.size)[::-1])
        found = found.told(REVERSED, f"from {first:g} to {last:g} eV")
    energies = found.energies
    highest = np.maximum.accumulate(energies)
    back = highest - energies
    at = int(np.argmax(back))
    if back[at] > FARTHEST_BACK * np.ptp(energies):
        raise SpectrumError(
            f"{source}: energies go back from {highest[at]:g} to {energies[at]:g} eV; expected a single scan"
        )
    if back[at] > 0:
        found = found.at_points(np.argsort(energies, kind="stable"))
        found = found.told(SORTED, f"they go back by up to {back[at]:.3g} eV")
    new = np.concatenate([[True], np.diff(found.energies) > 0])
    return found if new.all() else _averaged(found, new)


def _averaged(spectrum: Spectrum, new: npt.NDArray[np.bool_]) -> Spectrum:
    """Return a spectrum whose points at the same energy are averaged; ``new`` marks the first of each."""
    group = np.cumsum(new) - 1
    counts = np.bincount(group)
    sigma, reference = spectrum.sigma, spectrum.reference
    found = replace(
        spectrum,
        energies=spectrum.energies[new],
        intensities=np.bincount(group, spectrum.intensities) / counts,
        sigma=None if sigma is None else np.sqrt(np.bincount(group, np.square(sigma))) / counts,
        reference=None if reference is None else np.bincount(group, reference) / counts,
    )
    return found.told(MERGED, f"{new.size - counts.size:,} of {new.size:,} points")
