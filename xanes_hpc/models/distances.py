"""Distances between sites.

The feature distance is the mean absolute difference of standardised features, in which all count alike. The kernel
distance is that of the largest component of a Gaussian process's kernel (``kernels.Matern``), which has learned what
counts for the spectrum.
"""

import numpy as np

from xanes_hpc.models.scaling import Array
from xanes_hpc.runtime import threads
from xanes_hpc_kernels.manhattan import manhattan

ROWS_AT_ONCE = 64
"""Largest number of rows that a thread computes at a time."""

FEATURES, KERNEL = "features", "kernel"
DISTANCES = {FEATURES: "feature distance", KERNEL: "kernel distance"}
"""What sites are compared by, and its name for users."""


def mean_differences(x: Array, landmarks: Array) -> Array:
    """Return the distances mean_f |x_f - l_f|, (n_sites, n_landmarks), between sites and landmarks.

    Parameters
    ----------
    x, landmarks : (n_sites, n_features) and (n_landmarks, n_features)
        Standardised features.
    """
    found = np.empty((len(x), len(landmarks)), np.float32)

    def some(start: int, stop: int) -> None:
        manhattan(x[start:stop], landmarks, found[start:stop])
        found[start:stop] /= np.float32(x.shape[1])

    threads.share_out(len(x), ROWS_AT_ONCE, some)
    return found
