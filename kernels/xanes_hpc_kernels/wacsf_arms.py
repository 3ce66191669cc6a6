"""Angular functions without the opposite side: equation (13) of ``kernels/README.md``.

Axes: i site, p pair, n neighbour of one site, m neighbour after it, k weight channel, z atomic number, t triplet of a
block, f Gaussian (mu, eta) of the mean arm, l lambda, q zeta, a angle, g factor (channel outermost, then lambda, then
zeta; then the angles of the channel).

Triplets are packed into blocks, whose factors w_j w_k fc fc times a function of the angle are rows of a table (g, t).
The functions are the product of this table and the Gaussians (f, t), as in ``wacsf_angular``. Blocks are processed in
the type of ``out``; geometry and the sum over blocks are float64.
"""

from math import cos, sin, sqrt

import numpy as np

from xanes_hpc_kernels._jit import inline, kernel
from xanes_hpc_kernels.compaction import aligned_rows, lanes_of
from xanes_hpc_kernels.directions import N_NEIGHBOUR_ROWS, RADIUS, X, Y, Z, fill_neighbours
from xanes_hpc_kernels.ragged import longest
from xanes_hpc_kernels.types import Floats, Ints
from xanes_hpc_kernels.vector_exp import exp_nonpositive
from xanes_hpc_kernels.wacsf_angular import add_eight, add_two
from xanes_hpc_kernels.wacsf_paths import fill_gaussians, fill_powers

BLOCK = 512
"""Triplets after which a block is processed; those of its last neighbour may exceed this number."""
ARM, COSINE, SINE, N_TRIPLET_ROWS = range(4)
"""Rows of a block: (r_ij + r_ik) / 2, and cosine and sine of the angle; weights follow."""


@inline
def add_triplets(n: int, first: int, neighbours: Floats, block: Floats, t: int) -> None:
    """Append the triplets of the neighbour ``first`` and each of the ``n`` neighbours after it to a block."""
    behind = first + 1  # separate slices of rows are contiguous to the compiler
    x, y, z, r = neighbours[X, first], neighbours[Y, first], neighbours[Z, first], neighbours[RADIUS, first]
    x_m, y_m, z_m, r_m = (
        neighbours[X][behind:],
        neighbours[Y][behind:],
        neighbours[Z][behind:],
        neighbours[RADIUS][behind:],
    )
    arm_t, cosine_t, sine_t = block[ARM][t:], block[COSINE][t:], block[SINE][t:]
    for m in range(n):
        a, b, c = y * z_m[m] - z * y_m[m], z * x_m[m] - x * z_m[m], x * y_m[m] - y * x_m[m]
        arm_t[m] = 0.5 * (r + r_m[m])
        cosine_t[m] = min(max(x * x_m[m] + y * y_m[m] + z * z_m[m], -1.0), 1.0)
        sine_t[m] = sqrt(a * a + b * b + c * c)  # accurate also where the angle is nearly straight
    for k in range(N_NEIGHBOUR_ROWS, neighbours.shape[0]):
        weight, weight_m = neighbours[k, first], neighbours[k][behind:]
        weight_t = block[N_TRIPLET_ROWS + k - N_NEIGHBOUR_ROWS][t:]
        for m in range(n):
            weight_t[m] = weight * weight_m[m]


@inline
def fill_turned(
    n: int, cosine_t: Floats, sine_t: Floats, angle: float, width: float, base_t: Floats, angular_t: Floats
) -> None:
    """Fill exp((cos(theta - angle) - 1) / width^2), a Gaussian on the circle; both in radians."""
    real = angular_t.dtype.type
    c, s, scale, one = real(cos(angle)), real(sin(angle)), real(1.0 / (width * width)), real(1.0)
    for t in range(n):
        base_t[t] = min(c * cosine_t[t] + s * sine_t[t] - one, real(0.0))
    for t in range(n):
        angular_t[t] = exp_nonpositive(scale * base_t[t])


@inline
def add_block(
    n: int,
    block: Floats,
    mu_f: Floats,
    eta_f: Floats,
    lambda_l: Floats,
    zeta_q: Floats,
    angle_a: Floats,
    width: float,
    work: Floats,
    factors_gt: Floats,
    gaussians: Floats,
    totals_fg: Floats,
) -> None:
    """Add the first ``n`` triplets of a block to the totals of the site, two Gaussians at a time."""
    real, lanes, n_channels = block.dtype.type, lanes_of(block), block.shape[0] - N_TRIPLET_ROWS
    whole = (n + lanes - 1) // lanes * lanes
    block[:, n:whole] = real(0.0)
    half = real(0.5)
    n_powers = lambda_l.size * zeta_q.size
    n_angular = n_powers + angle_a.size
    base_t, angular_t = work[0], work[1]
    for a in range(n_angular):
        if a < n_powers:
            lam = real(0.5 * lambda_l[a // zeta_q.size])
            cosine_t = block[COSINE]
            for t in range(whole):
                base_t[t] = max(half + lam * cosine_t[t], real(0.0))
            fill_powers(whole, base_t, zeta_q[a % zeta_q.size], angular_t)
        else:
            fill_turned(whole, block[COSINE], block[SINE], angle_a[a - n_powers], width, base_t, angular_t)
        for k in range(n_channels):
            weight_t, factor_t = block[N_TRIPLET_ROWS + k], factors_gt[k * n_angular + a]
            for t in range(whole):
                factor_t[t] = weight_t[t] * angular_t[t]
    first_t, second_t, n_rows = gaussians[0], gaussians[1], factors_gt.shape[0]
    for f in range(0, mu_f.size, 2):
        fill_gaussians(whole, block[ARM], mu_f[f], eta_f[f], first_t)
        if f + 1 < mu_f.size:
            fill_gaussians(whole, block[ARM], mu_f[f + 1], eta_f[f + 1], second_t)
        for g in range(0, n_rows // 8 * 8, 8):
            add_eight(whole, first_t, second_t, factors_gt, f, g, totals_fg)
        for g in range(n_rows // 8 * 8, n_rows, 2):
            add_two(whole, first_t, second_t, factors_gt, f, g, totals_fg)


@kernel
def arms(
    offsets_i: Ints,
    distances_p: Floats,
    vectors_pc: Floats,
    numbers_p: Ints,
    weights_kz: Floats,
    cutoff: float,
    mu_f: Floats,
    eta_f: Floats,
    lambda_l: Floats,
    zeta_q: Floats,
    angle_a: Floats,
    width: float,
    columns_kfg: Ints,
    out: Floats,
) -> None:
    """Write equation (13) for all functions and weight channels to ``out[:, columns_kfg]``; pairs j < k count once.

    The last axis of ``columns_kfg`` has lambda and zeta, then the angles.
    """
    n_channels, n_functions, n_angular = columns_kfg.shape
    real, most = out.dtype.type, longest(offsets_i)
    n_rows = n_channels * n_angular + n_channels * n_angular % 2
    neighbours = aligned_rows(N_NEIGHBOUR_ROWS + n_channels, most, distances_p)
    block = aligned_rows(N_TRIPLET_ROWS + n_channels, BLOCK + most, out)
    work = aligned_rows(2, BLOCK + most, out)
    factors = aligned_rows(n_rows, BLOCK + most, out)
    factors[n_rows - 1] = real(0.0)  # padding if the number of rows is odd
    gaussians = aligned_rows(2, BLOCK + most, out)
    gaussians[1] = real(0.0)  # padding if the number of Gaussians is odd
    totals = np.empty((n_functions + n_functions % 2, n_rows))
    for i in range(offsets_i.size - 1):
        start, stop = offsets_i[i], offsets_i[i + 1]
        count = stop - start
        totals[:] = 0.0
        fill_neighbours(
            distances_p[start:stop], vectors_pc[start:stop], numbers_p[start:stop], weights_kz, cutoff, neighbours
        )
        t = 0
        for n in range(count - 1):
            add_triplets(count - 1 - n, n, neighbours, block, t)
            t += count - 1 - n
            if t >= BLOCK or n == count - 2:
                add_block(t, block, mu_f, eta_f, lambda_l, zeta_q, angle_a, width, work, factors, gaussians, totals)
                t = 0
        for k in range(n_channels):
            for f in range(n_functions):
                for g in range(n_angular):
                    scale = 2.0 if g < lambda_l.size * zeta_q.size else 1.0
                    out[i, columns_kfg[k, f, g]] = scale * totals[f, k * n_angular + g]
