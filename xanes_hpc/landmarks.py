"""How far sites are from training sites: the mean absolute difference of their standardised features."""

import numpy as np
import numpy.typing as npt

from xanes_hpc import threads
from xanes_hpc.scaling import Array, Scalers
from xanes_hpc_kernels.manhattan import manhattan

ROWS_A_THREAD, ROWS_AT_ONCE = 64, 2048


def mean_differences(x: Array, landmarks: Array) -> Array:
    """mean_f |x_f - l_f| of sites (n_sites, n_features) and landmarks, (n_sites, n_landmarks)."""
    found = np.empty((len(x), len(landmarks)), np.float32)

    def some(start: int, stop: int) -> None:
        manhattan(x[start:stop], landmarks, found[start:stop])
        found[start:stop] /= np.float32(x.shape[1])

    threads.share_out(len(x), ROWS_A_THREAD, some)
    return found


class Distances:
    """Distances to a model's training sites.

    Parameters
    ----------
    scalers
        The model's.
    trained
        Standardised features of training sites, (n_reference, n_features).
    """

    def __init__(self, scalers: Scalers, trained: Array) -> None:
        self._scalers, self._trained = scalers, trained

    def nearest(self, x: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Distance of each row of features as stored to the nearest training site, (n_sites,)."""
        scaled = self._scalers.features(x)
        blocks = [scaled[start : start + ROWS_AT_ONCE] for start in range(0, len(scaled), ROWS_AT_ONCE)]
        nearest = [mean_differences(rows, self._trained).min(axis=1) for rows in blocks]
        return np.concatenate([np.empty(0), *nearest])
