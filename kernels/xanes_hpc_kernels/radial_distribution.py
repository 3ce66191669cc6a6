"""The radial distribution curve: equation (5) of ``kernels/README.md``.

Axes: i site, p pair (the neighbours of site i are the rows ``offsets_i[i]:offsets_i[i + 1]``), g point of the grid.
"""

from xanes_hpc_kernels._jit import kernel
from xanes_hpc_kernels.compaction import aligned_rows
from xanes_hpc_kernels.types import Floats, Ints
from xanes_hpc_kernels.vector_exp import exp_nonpositive


@kernel
def radial_distribution(
    offsets_i: Ints,
    numbers_i: Ints,
    distances_p: Floats,
    numbers_p: Ints,
    grid_g: Floats,
    alpha: float,
    out_ig: Floats,
) -> None:
    """Write equation (5) at every distance ``grid_g`` to ``out_ig``.

    ``numbers_i`` are the atomic numbers of the absorbers. Each pair is added to the whole grid in one flat loop, in the
    type of ``out_ig``.
    """
    real = out_ig.dtype.type
    points_g = grid_g.astype(out_ig.dtype)
    scale = real(-alpha)
    curve_g = aligned_rows(1, grid_g.size, out_ig)[0]
    for i in range(offsets_i.size - 1):
        curve_g[:] = real(0.0)
        for p in range(offsets_i[i], offsets_i[i + 1]):
            r, z = real(distances_p[p]), real(numbers_p[p])
            for g in range(points_g.size):
                x = r - points_g[g]
                curve_g[g] += z * exp_nonpositive(scale * (x * x))
        z = real(numbers_i[i])
        for g in range(points_g.size):
            out_ig[i, g] = z * curve_g[g]
