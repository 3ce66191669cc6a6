"""Peaks of spectra, and how well predicted ones match them; arrays are (n_sites, n_energies) unless said otherwise."""

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from scipy.signal import find_peaks

Array = npt.NDArray[np.float64]

PROMINENCE = 0.02
"""Of a spectrum's own range, below which a maximum is no peak."""
WITHIN = 2.0
"""eV that two matching peaks may be apart."""


def find_spectrum_peaks(energies: Array, intensities: Array) -> tuple[Array, Array]:
    """Energies and intensities of a spectrum's peaks, prominence at least 2 % of its range; of a plateau the middle."""
    found, properties = find_peaks(intensities, prominence=PROMINENCE * np.ptp(intensities), plateau_size=1)
    left, right = properties["left_edges"], properties["right_edges"]
    return 0.5 * (energies[left] + energies[right]), intensities[found]


def match_peaks(first: Array, second: Array) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """One-to-one pairs of peak energies within 2 eV: the most pairs, and of those the least sum of distances."""
    distance = np.abs(first[:, None] - second[None, :])
    allowed = distance <= WITHIN
    penalty = 1.0 + WITHIN * max(1, min(distance.shape))
    rows, columns = linear_sum_assignment(np.where(allowed, distance, penalty))
    kept = allowed[rows, columns]
    return rows[kept], columns[kept]


def peaks(reference: Array, predicted: Array, energies: Array) -> dict[str, float | int | None]:
    """Recall, precision and F1 of peaks, counts pooled over spectra; mean |dE| and |dI|/I of matched pairs."""
    n_reference = n_predicted = 0
    delta_energy, delta_intensity = [np.empty(0)], [np.empty(0)]
    for y, p in zip(reference, predicted, strict=True):
        there = np.isfinite(y)
        energies_y, heights_y = find_spectrum_peaks(energies[there], y[there])
        energies_p, heights_p = find_spectrum_peaks(energies[there], p[there])
        n_reference += energies_y.size
        n_predicted += energies_p.size
        i, j = match_peaks(energies_y, energies_p)
        delta_energy.append(np.abs(energies_y[i] - energies_p[j]))
        with np.errstate(divide="ignore", invalid="ignore"):  # a peak may be of height zero
            delta_intensity.append(100.0 * np.abs(heights_y[i] - heights_p[j]) / np.abs(heights_y[i]))
    every = np.concatenate(delta_energy)
    recall, precision = _ratio(every.size, n_reference), _ratio(every.size, n_predicted)
    both = (recall or 0.0) + (precision or 0.0)
    return {
        "recall": recall,
        "precision": precision,
        "f1": 2.0 * (recall or 0.0) * (precision or 0.0) / both if both else None,
        "delta_energy_ev": finite_mean(every),
        "delta_intensity_percent": finite_mean(np.concatenate(delta_intensity)),
        "n_reference": n_reference,
        "n_predicted": n_predicted,
        "n_matched": int(every.size),
    }


def finite_mean(values: Array) -> float | None:
    """Mean of the finite values; None where there is none."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else None


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
