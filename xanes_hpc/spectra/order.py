"""Bring the points of a measured spectrum into ascending order of energy."""

from dataclasses import replace

import numpy as np

from xanes_hpc.errors import SpectrumError
from xanes_hpc.spectra.spectrum import Choices, Spectrum

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
    energies, intensities, source = spectrum.energies, spectrum.intensities, spectrum.source
    steps = np.diff(energies)
    if (steps > 0).all() or not np.isfinite(energies).all():
        return spectrum
    choices: Choices = ()
    if energies[-1] < energies[0]:
        energies, intensities = energies[::-1], intensities[::-1]
        choices += ((REVERSED, f"{source}: from {energies[-1]:g} to {energies[0]:g} eV"),)
    highest = np.maximum.accumulate(energies)
    back = highest - energies
    at = int(np.argmax(back))
    if back[at] > FARTHEST_BACK * np.ptp(energies):
        raise SpectrumError(
            f"{source}: energies go back from {highest[at]:g} to {energies[at]:g} eV; expected a single scan"
        )
    if back[at] > 0:
        order = np.argsort(energies, kind="stable")
        energies, intensities = energies[order], intensities[order]
        choices += ((SORTED, f"{source}: they go back by up to {back[at]:.3g} eV"),)
    first = np.concatenate([[True], np.diff(energies) > 0])
    if not first.all():
        group = np.cumsum(first) - 1
        intensities = np.bincount(group, intensities) / np.bincount(group)
        energies = energies[first]
        choices += ((MERGED, f"{source}: {first.size - energies.size:,} of {first.size:,} points"),)
    return replace(
        spectrum,
        energies=np.ascontiguousarray(energies),
        intensities=np.ascontiguousarray(intensities),
        choices=(*spectrum.choices, *choices),
    )
