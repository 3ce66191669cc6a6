"""How far sites are from training sites: the mean absolute difference of their standardised features."""

import numpy as np

from xanes_hpc.models.scaling import Array
from xanes_hpc.runtime import threads
from xanes_hpc_kernels.manhattan import manhattan

ROWS_A_THREAD = 64


def mean_differences(x: Array, landmarks: Array) -> Array:
    """mean_f |x_f - l_f| of sites (n_sites, n_features) and landmarks, (n_sites, n_landmarks)."""
    found = np.empty((len(x), len(landmarks)), np.float32)

    def some(start: int, stop: int) -> None:
        manhattan(x[start:stop], landmarks, found[start:stop])
        found[start:stop] /= np.float32(x.shape[1])

    threads.share_out(len(x), ROWS_A_THREAD, some)
    return found
