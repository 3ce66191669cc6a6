"""How far the edge of each spectrum lies from that of a mean spectrum, and spectra moved by such shifts.

The shift s of a spectrum y from the reference r is the energy, at most ``LARGEST`` either way, at which

    C(s) = mean_E ((y(E) - r(E - s)) / scale)² + (s / TYPICAL)²                                                      (1)

is lowest. It uses the whole spectrum, so no single crossing, wiggle or pre-edge peak decides. The second term keeps the
shift small where spectra differ by more than a shift.
"""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

LARGEST, TYPICAL = 8.0, 4.0
"""Largest shift, and a typical one, eV; cross-validated errors are the same for typical shifts of 3 to 6 eV."""
TRIED = 0.25
"""Step of the shifts that are tried, eV; a parabola through the best one and its neighbours gives the minimum."""
FLAT = 1e-12
"""Smallest curvature of that parabola."""


def edge_shifts(spectra: npt.NDArray[np.floating], reference: Array, scale: float, energies: Array) -> Array:
    """Return the shift of each spectrum from a reference, equation (1), (n_spectra,), eV; positive if it lies above.

    Parameters
    ----------
    spectra, reference : (n_spectra, n_energies) and (n_energies,)
        Spectra, and the one to compare them with.
    scale
        Typical difference between them.
    energies : (n_energies,)
        Their energies, eV, ascending.

    Examples
    --------
    >>> energies = np.arange(-20.0, 40.0, 0.5)
    >>> reference, spectrum = np.arctan(energies), np.arctan(energies - 1.6)
    >>> edge_shifts(spectrum[None], reference, 0.1, energies).round(1).tolist()
    [1.6]
    """
    tried = np.arange(-LARGEST, LARGEST + 0.5 * TRIED, TRIED)
    references = np.array([np.interp(energies - shift, energies, reference) for shift in tried])
    differences = np.mean(references**2, axis=1) - 2.0 / energies.size * (spectra @ references.T)  # but for mean y²
    costs = differences / scale**2 + (tried / TYPICAL) ** 2
    best = costs.argmin(axis=1)
    inside = np.clip(best, 1, tried.size - 2)
    before, here, after = (costs[np.arange(len(costs)), inside + k] for k in (-1, 0, 1))
    beside = 0.5 * (before - after) / np.maximum(before - 2.0 * here + after, FLAT)
    return np.asarray(tried[best] + np.where(best == inside, TRIED * beside, 0.0))


def moved(spectra: npt.NDArray[np.floating], shifts: npt.NDArray[np.floating], energies: Array) -> Array:
    """Return spectra with their features at higher energies by the shifts: y(E - shift), interpolated linearly.

    Beyond its ends, a spectrum continues with its first and last value.

    Parameters
    ----------
    spectra, shifts : (n_spectra, n_energies) and (n_spectra,)
        Spectra, and their shifts, eV.
    energies : (n_energies,)
        Energies of the spectra and of the result, eV, ascending.

    Examples
    --------
    >>> moved(np.array([[0.0, 1.0, 3.0]]), np.array([0.5]), np.array([0.0, 1.0, 2.0])).tolist()
    [[0.0, 0.5, 2.0]]
    """
    found = np.empty(spectra.shape)
    for row, spectrum, shift in zip(found, spectra, shifts, strict=True):
        row[:] = np.interp(energies - shift, energies, spectrum)
    return found
