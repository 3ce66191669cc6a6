"""Radial symmetry functions: equations (2) and (3) of ``kernels/README.md``.

Axes: i site, p pair (the neighbours of site i are the rows ``offsets_i[i]:offsets_i[i + 1]``), k weight channel,
f radial function, z atomic number.
"""

import numpy as np
from numba import prange

from xanes_hpc_kernels._jit import parallel_kernel
from xanes_hpc_kernels.cutoff import cosine_cutoff
from xanes_hpc_kernels.types import Floats, Ints
from xanes_hpc_kernels.vector_exp import exp_nonpositive


@parallel_kernel
def g1(offsets_i: Ints, distances_p: Floats, cutoff: float, column: int, out: Floats) -> None:
    """Equation (2): the sum of fc over a site's neighbours, into ``out[:, column]``."""
    for i in prange(offsets_i.size - 1):
        total = 0.0
        for p in range(offsets_i[i], offsets_i[i + 1]):
            total += cosine_cutoff(distances_p[p] * distances_p[p], cutoff * cutoff)
        out[i, column] = total


@parallel_kernel
def g2(
    offsets_i: Ints,
    distances_p: Floats,
    numbers_p: Ints,
    weights_kz: Floats,
    cutoff: float,
    mu_f: Floats,
    eta_f: Floats,
    columns_kf: Ints,
    out: Floats,
) -> None:
    """Equation (3) for every function and weight channel, into ``out[:, columns_kf]``.

    The Gaussian of a pair is computed once per function and shared by the channels.
    """
    n_channels = weights_kz.shape[0]
    for i in prange(offsets_i.size - 1):
        start = offsets_i[i]
        n_neighbours = offsets_i[i + 1] - start
        fc = np.empty(n_neighbours)
        gaussian = np.empty(n_neighbours)
        weights = np.empty((n_channels, n_neighbours))
        for j in range(n_neighbours):
            r = distances_p[start + j]
            fc[j] = cosine_cutoff(r * r, cutoff * cutoff)
            for k in range(n_channels):
                weights[k, j] = weights_kz[k, numbers_p[start + j]]
        for f in range(mu_f.size):
            mu, eta = mu_f[f], eta_f[f]
            for j in range(n_neighbours):
                x = distances_p[start + j] - mu
                gaussian[j] = exp_nonpositive(-eta * x * x) * fc[j]
            for k in range(n_channels):
                total = 0.0
                for j in range(n_neighbours):
                    total += weights[k, j] * gaussian[j]
                out[i, columns_kf[k, f]] = total
