"""One site's neighbours as unit vectors, distances and weights, for functions of angles.

Axes: n neighbour of one site, k weight channel, z atomic number, c component.
"""

from xanes_hpc_kernels._jit import inline
from xanes_hpc_kernels.cutoff import cosine_cutoff
from xanes_hpc_kernels.types import Floats, Ints

X, Y, Z, RADIUS, CUT, N_NEIGHBOUR_ROWS = range(6)
"""Rows of ``neighbours``: unit vector from the site, distance, and fc; weights follow."""


@inline
def fill_neighbours(
    distances_n: Floats, vectors_nc: Floats, numbers_n: Ints, weights_kz: Floats, cutoff: float, neighbours: Floats
) -> None:
    """Write one site's neighbours."""
    for n in range(distances_n.size):
        over = 1.0 / distances_n[n]
        neighbours[X, n], neighbours[Y, n], neighbours[Z, n] = (
            vectors_nc[n, 0] * over,
            vectors_nc[n, 1] * over,
            vectors_nc[n, 2] * over,
        )
        neighbours[RADIUS, n] = distances_n[n]
        neighbours[CUT, n] = cosine_cutoff(distances_n[n] * distances_n[n], cutoff * cutoff)
        for k in range(weights_kz.shape[0]):
            neighbours[N_NEIGHBOUR_ROWS + k, n] = weights_kz[k, numbers_n[n]] * neighbours[CUT, n]
