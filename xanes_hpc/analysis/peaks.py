"""Find peaks of spectra and match predicted peaks to those of references.

Arrays are (n_sites, n_energies) unless stated otherwise.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from scipy.signal import find_peaks

Array = npt.NDArray[np.float64]

PROMINENCE = 0.02
"""Smallest prominence of a peak, as a fraction of the spectrum's range."""
WITHIN = 2.0
"""Largest distance of two matching peaks, eV."""


def find_spectrum_peaks(energies: Array, intensities: Array) -> tuple[Array, Array]:
    """Return energies and intensities of a spectrum's peaks; a plateau counts at its middle.

    The prominence of a peak is at least 2 % of the spectrum's range.
    """
    found, properties = find_peaks(intensities, prominence=PROMINENCE * np.ptp(intensities), plateau_size=1)
    left, right = properties["left_edges"], properties["right_edges"]
    return 0.5 * (energies[left] + energies[right]), intensities[found]


def match_peaks(first: Array, second: Array) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Match peak energies one to one within 2 eV.

    The matching has as many pairs as possible, and then the smallest sum of distances.
    """
    distance = np.abs(first[:, None] - second[None, :])
    allowed = distance <= WITHIN
    penalty = 1.0 + WITHIN * max(1, min(distance.shape))
    rows, columns = linear_sum_assignment(np.where(allowed, distance, penalty))
    kept = allowed[rows, columns]
    return rows[kept], columns[kept]


@dataclass(frozen=True)
class PeakMatches:
    """Matches of a site's predicted peaks with those of its reference.

    Attributes
    ----------
    n_reference, n_predicted
        Number of peaks in each spectrum.
    delta_energy, delta_intensity : (n_matched,)
        |dE| (eV) and |dI|/I (%) of the matched pairs.
    """

    n_reference: int
    n_predicted: int
    delta_energy: Array
    delta_intensity: Array


def site_peaks(reference: Array, predicted: Array, energies: Array) -> list[PeakMatches]:
    """Match each site's peaks; points whose reference is NaN are left out of both spectra."""
    found = []
    for y, p in zip(reference, predicted, strict=True):
        there = np.isfinite(y)
        energies_y, heights_y = find_spectrum_peaks(energies[there], y[there])
        energies_p, heights_p = find_spectrum_peaks(energies[there], p[there])
        i, j = match_peaks(energies_y, energies_p)
        with np.errstate(divide="ignore", invalid="ignore"):  # a peak can have height zero
            delta_intensity = 100.0 * np.abs(heights_y[i] - heights_p[j]) / np.abs(heights_y[i])
        delta_energy = np.abs(energies_y[i] - energies_p[j])
        found.append(PeakMatches(energies_y.size, energies_p.size, delta_energy, delta_intensity))
    return found


class Mean:
    """The mean of the finite ones of values that arrive in blocks.

    Examples
    --------
    >>> mean = Mean()
    >>> print(mean.value)
    None
    >>> mean.add(np.array([1.0, np.nan]))
    >>> mean.add(np.array([2.0, 6.0]))
    >>> mean.value
    3.0
    """

    def __init__(self) -> None:
        self._sum, self._n = 0.0, 0

    def add(self, values: Array) -> None:
        """Add values of any shape."""
        finite = values[np.isfinite(values)]
        self._sum += float(finite.sum())
        self._n += finite.size

    @property
    def value(self) -> float | None:
        """The mean; None without finite values."""
        return self._sum / self._n if self._n else None


class PeakTotals:
    """Peaks of spectra that arrive in blocks.

    Parameters
    ----------
    energies : (n_energies,)
        Energies, eV.
    """

    def __init__(self, energies: Array) -> None:
        self._energies = energies
        self._n_reference = self._n_predicted = self._n_matched = 0
        self._delta_energy, self._delta_intensity = Mean(), Mean()

    def add(self, reference: Array, predicted: Array) -> None:
        """Add spectra."""
        for own in site_peaks(reference, predicted, self._energies):
            self._n_reference += own.n_reference
            self._n_predicted += own.n_predicted
            self._n_matched += own.delta_energy.size
            self._delta_energy.add(own.delta_energy)
            self._delta_intensity.add(own.delta_intensity)

    def figures(self) -> dict[str, float | int | None]:
        """Return recall, precision and F1 of peaks, pooled over spectra, and mean |dE| and |dI|/I of matched pairs."""
        recall = _ratio(self._n_matched, self._n_reference)
        precision = _ratio(self._n_matched, self._n_predicted)
        both = (recall or 0.0) + (precision or 0.0)
        return {
            "recall": recall,
            "precision": precision,
            "f1": 2.0 * (recall or 0.0) * (precision or 0.0) / both if both else None,
            "delta_energy_ev": self._delta_energy.value,
            "delta_intensity_percent": self._delta_intensity.value,
            "n_reference": self._n_reference,
            "n_predicted": self._n_predicted,
            "n_matched": self._n_matched,
        }


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
