"""Radial functions weighted with the neighbours' own neighbours: equation (14) of ``kernels/README.md``.

Axes: i site, p pair, n neighbour of one site, k weight channel, b group of bonded elements, z atomic number, f Gaussian
(mu, eta). Everything is computed in float64.
"""

from math import sqrt

import numpy as np

from xanes_hpc_kernels._jit import inline, kernel
from xanes_hpc_kernels.cutoff import cosine_cutoff
from xanes_hpc_kernels.types import Floats, Ints, Real
from xanes_hpc_kernels.vector_exp import exp_nonpositive

WHOLE, NONE = 1.1, 1.4
"""Distances, in sums of the covalent radii, up to which a neighbour counts as bonded, and from which on it does not."""


@inline
def bonded(r: float, radii: float) -> Real:
    """Return how much an atom at distance ``r`` is bonded to another: 1, 0, or between them half a cosine's period."""
    over = r - WHOLE * radii
    width = (NONE - WHOLE) * radii
    return 1.0 if over <= 0.0 else cosine_cutoff(over * over, width * width)


@kernel
def bonded_functions(
    offsets_i: Ints,
    distances_p: Floats,
    vectors_pc: Floats,
    numbers_p: Ints,
    weights_kz: Floats,
    bonds_bz: Floats,
    radii_z: Floats,
    cutoff: float,
    mu_f: Floats,
    eta_f: Floats,
    columns_kbf: Ints,
    out: Floats,
) -> None:
    """Write equation (14) for all functions, weight channels and groups to ``out[:, columns_kbf]``.

    The neighbours may reach beyond the cutoff: those of an atom near it count if they are there.
    """
    n_channels, n_groups, n_functions = columns_kbf.shape
    totals, counts_b = np.empty(columns_kbf.shape), np.empty(n_groups)
    gaussian_f = np.empty(n_functions)
    for i in range(offsets_i.size - 1):
        start, stop = offsets_i[i], offsets_i[i + 1]
        distances_n, numbers_n, vectors_nc = distances_p[start:stop], numbers_p[start:stop], vectors_pc[start:stop]
        totals[:] = 0.0
        for n in range(distances_n.size):
            r, z = distances_n[n], numbers_n[n]
            if r >= cutoff:
                continue
            counts_b[:] = 0.0
            for m in range(distances_n.size):
                radii = radii_z[z] + radii_z[numbers_n[m]]
                dx = vectors_nc[m, 0] - vectors_nc[n, 0]
                dy = vectors_nc[m, 1] - vectors_nc[n, 1]
                dz = vectors_nc[m, 2] - vectors_nc[n, 2]
                apart = sqrt(dx * dx + dy * dy + dz * dz)
                if m != n and apart < NONE * radii:
                    part = bonded(apart, radii)
                    for b in range(n_groups):
                        counts_b[b] += part * bonds_bz[b, numbers_n[m]]
            cut = cosine_cutoff(r * r, cutoff * cutoff)
            for f in range(n_functions):
                x = r - mu_f[f]
                gaussian_f[f] = cut * exp_nonpositive(-eta_f[f] * (x * x))
            for k in range(n_channels):
                if weights_kz[k, z] != 0.0:
                    for b in range(n_groups):
                        weight = weights_kz[k, z] * counts_b[b]
                        for f in range(n_functions):
                            totals[k, b, f] += weight * gaussian_f[f]
        for k in range(n_channels):
            for b in range(n_groups):
                for f in range(n_functions):
                    out[i, columns_kbf[k, b, f]] = totals[k, b, f]
