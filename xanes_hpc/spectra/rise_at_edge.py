"""Hold the rise of a spectrum to the edge energy at which it should be."""

from math import ceil

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import RecurringError, SpectrumError
from xanes_hpc.spectra.rise import HALF_WIDTH, main_fall, main_rise, steepest_rise
from xanes_hpc.spectra.spectrum import Spectrum

Array = npt.NDArray[np.float64]
FAR, VERY_FAR = 20.0, 50.0
"""Distances in eV between e0 and the rise of a spectrum that are noted, and that are refused."""
MISCALIBRATED = 200.0
"""Largest distance in eV that a wrong energy scale may explain."""
LOW = 0.24
"""Fraction of its range below which a spectrum is before its edge, on average; a straight line is at 0.25."""
UNCLEAR = "spectra have no clear rise"
FAR_KIND = f"spectra rise more than {VERY_FAR:g} eV from e0"
OTHER_EDGE = "check `absorber` and `edge`, or give `e0`"


def rises_here(energies: Array, intensities: Array) -> bool:
    """Return True if a spectrum is low up to a point near e0 and high from there on: a quick check that most pass."""
    low = intensities.min()
    span = intensities.max() - low
    k = int(np.argmax(intensities > low + 0.5 * span))
    if not k > 0 or abs(energies[k]) > FAR:
        return False
    return bool(intensities[:k].mean() < low + LOW * span and intensities[k:].mean() > low + 0.4 * span)


def held_to_e0(
    spectrum: Spectrum, relative: Array, e0: float, at: str, given: bool = False, advice: str | None = None
) -> Spectrum:
    """Return a spectrum that does not obviously rise at e0, with a note if it rises far from there, or not clearly.

    Parameters
    ----------
    spectrum, relative
        The spectrum, and its energies in eV from e0, (n_points,).
    e0, at
        Edge energy, eV, and in words.
    given
        Whether the user gave e0 or a shift: then it may rise anywhere.
    advice
        What to do about one that rises very far from e0; by default the shift that puts its rise there.

    Raises
    ------
    SpectrumError
        If it rises very far from an e0 that is not given.
    """
    rise = main_rise(relative, spectrum.intensities)
    if rise is None:
        return spectrum.told(UNCLEAR, f"{spectrum.intensities.min():.4g} to {spectrum.intensities.max():.4g}")
    if abs(rise) <= FAR:
        return spectrum
    distance = f"{abs(rise):.0f} eV {'above' if rise > 0 else 'below'} {at}"
    if abs(rise) > VERY_FAR and not given:
        if advice is None:
            raise far_from_e0(spectrum, f"it rises {distance}", e0)
        raise RecurringError(f"{spectrum.source}: it rises {distance}", advice, FAR_KIND)
    return spectrum.told(f"spectra rise more than {FAR:g} eV from e0", distance)


def check_not_falling(spectrum: Spectrum) -> None:
    """Check that a spectrum does not fall by more than it rises anywhere.

    Raises
    ------
    SpectrumError
        If it does.
    """
    energies, mu = spectrum.energies, spectrum.intensities
    fall = main_fall(energies, mu)
    if fall is None:
        return
    before, after = np.interp([fall - HALF_WIDTH, fall + HALF_WIDTH], energies, mu)
    raise SpectrumError(
        f"{spectrum.source}: falls from {before:.4g} to {after:.4g} at {fall:.0f} eV, and rises nowhere as much; "
        "expected a rise at the edge: are these raw counts, or are channels exchanged?"
    )


def far_from_e0(spectrum: Spectrum, fact: str, e0: float) -> RecurringError:
    """Return the error of a spectrum on absolute energies that rises far from e0, with the shift that would help."""
    shift = _shift_to(e0, spectrum)
    if abs(float(shift)) > MISCALIBRATED:
        steepest = e0 - float(shift)
        return RecurringError(
            f"{spectrum.source}: {fact}",
            f"its steepest rise is at {steepest:.0f} eV; {OTHER_EDGE}",
            FAR_KIND,
            OTHER_EDGE,
        )
    return RecurringError(
        f"{spectrum.source}: {fact}", f"`shift` {shift} puts its steepest rise at e0, or give `e0`", FAR_KIND,
        "give `shift` or `e0`", float(shift),
    )  # fmt: skip


def _shift_to(e0: float, spectrum: Spectrum) -> str:
    """Return the shift that puts the steepest rise at e0, rounded to a hundredth of the step there."""
    middles = 0.5 * (spectrum.energies[1:] + spectrum.energies[:-1])
    rise = float(np.clip(steepest_rise(spectrum.energies, spectrum.intensities), middles[0], middles[-1]))
    k = int(np.clip(np.searchsorted(spectrum.energies, rise), 1, spectrum.energies.size - 1))
    digits = max(1, 2 - ceil(np.log10(spectrum.energies[k] - spectrum.energies[k - 1])))
    return f"{round(e0 - rise, digits) + 0.0:.{digits}f}"  # never -0
