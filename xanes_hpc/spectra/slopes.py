"""The slope of a spectrum at any energy, averaged so that noise and the places of points do not decide."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def averaged_slopes(energies: Array, intensities: Array, at: Array, width: float) -> Array:
    """Return the slope of a spectrum at given energies, averaged with a triangle.

    The average is exact for the polygon through the points:
    [F(E + w) - 2 F(E) + F(E - w)] / w², where F is the area under it.

    Parameters
    ----------
    energies, intensities
        The spectrum, energies ascending, (n_points,).
    at
        Energies between the spectrum's ends, (n,).
    width
        Half of the triangle's base, w.

    Examples
    --------
    >>> averaged_slopes(np.array([0.0, 1.0, 4.0]), np.array([1.0, 3.0, 9.0]), np.array([1.5, 2.0]), 0.5).tolist()
    [2.0, 2.0]
    """
    area = np.concatenate([[0.0], np.cumsum(0.5 * (intensities[1:] + intensities[:-1]) * np.diff(energies))])
    slopes = np.diff(intensities) / np.diff(energies)

    def below(x: Array) -> Array:
        k = np.clip(np.searchsorted(energies, x, side="right") - 1, 0, slopes.size - 1)
        x = x - energies[k]
        return np.asarray(area[k] + (intensities[k] + 0.5 * slopes[k] * x) * x)

    return (below(at + width) - 2 * below(at) + below(at - width)) / width**2
