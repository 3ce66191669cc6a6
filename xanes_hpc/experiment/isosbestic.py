"""Isosbestic points: energies at which all spectra of a series cross, as where one component turns into another."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
MOST_NOISE = 3.0
"""Largest scatter of the series at an isosbestic point, in units of the noise."""
LEAST_CHANGE = 0.1
"""Smallest change on either side of the point before the next crossing, as a fraction of the largest."""


def isosbestic_points(energies: Array, spectra: Array, noise: float) -> list[float]:
    """Return the energies at which a series crosses.

    There the change along the series, its first principal component about the mean, passes through 0 between two
    ranges in which it is more than a tenth of its largest, and the spectra scatter by no more than three times the
    noise.

    Parameters
    ----------
    energies, spectra
        The series, (n_energies,) and (n_spectra, n_energies).
    noise
        Standard deviation of its points.

    Examples
    --------
    >>> energies = np.linspace(0.0, 10.0, 101)
    >>> shares = np.linspace(0.0, 1.0, 5)[:, None]
    >>> spectra = (1.0 - shares) * energies + shares * (8.0 - energies)
    >>> [round(one, 2) for one in isosbestic_points(energies, spectra, 0.01)]
    [4.0]
    """
    about = spectra - spectra.mean(axis=0)
    _, sizes, vectors = np.linalg.svd(about, full_matrices=False)
    if not sizes[0] > MOST_NOISE * noise * np.sqrt(spectra.size / max(len(spectra), 1)):
        return []
    change = vectors[0]
    largest = np.abs(change).max()
    crossings = np.flatnonzero((change[1:] > 0) != (change[:-1] > 0))
    bounds = [0, *(crossings + 1).tolist(), change.size]
    strong = [bool(np.abs(change[a:b]).max() > LEAST_CHANGE * largest) for a, b in pairwise(bounds)]
    found = []
    for j, k in enumerate(crossings.tolist()):
        share = change[k] / (change[k] - change[k + 1])
        at = (1.0 - share) * about[:, k] + share * about[:, k + 1]
        if strong[j] and strong[j + 1] and np.sqrt(np.mean(np.square(at))) <= MOST_NOISE * noise:
            found.append(float(energies[k] + share * (energies[k + 1] - energies[k])))
    return found
