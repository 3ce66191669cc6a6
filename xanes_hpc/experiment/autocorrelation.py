"""Residuals of neighbouring points that are not independent."""

import numpy as np
import numpy.typing as npt

CLEAR = 2.0
"""Autocorrelation, in standard deviations of that of noise, below which it is not distinguished from noise."""


def correlation_length(residuals: npt.NDArray[np.float64]) -> float:
    """Return the number of neighbouring points that count as one: 1 for noise, more if residuals are smooth.

    It is 1 + 2 sum_k rho_k, where rho_k is the autocorrelation at a distance of k points, summed as long as it is
    clearly positive. A mean of n points has this many times the variance that it would have if they were independent
    (Bayley and Hammersley 1946, doi:10.2307/2983560).

    Parameters
    ----------
    residuals : (n_points,)
        Residuals in the order of their energies.

    Examples
    --------
    >>> correlation_length(np.random.default_rng(0).standard_normal(200))
    1.0
    >>> correlation_length(np.repeat(np.random.default_rng(0).standard_normal(50), 4)) > 3.0
    True
    """
    n = residuals.size
    own = residuals - residuals.mean() if n else residuals
    size = float(own @ own)
    if not size:
        return 1.0
    along = np.correlate(own, own, "full")[n:] / size
    below = np.flatnonzero(along < CLEAR / np.sqrt(n))
    return 1.0 + 2.0 * float(along[: below[0] if below.size else n].sum())
