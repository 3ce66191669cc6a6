"""Path functions: equation (10) of ``kernels/README.md``.

Axes: i site, p pair, n neighbour of one site, m neighbour after it, k weight channel, z atomic number, t path of a
block, q exponent zeta, f Gaussian (mu, eta), g factor (channel outermost, then zeta).

Paths whose half length is below the cutoff are packed into blocks, each path for both of its directions. For each
block, the factors w_j Z_k cos^2(beta / 2)^zeta fc / (r_ij r_jk r_ki) are rows of a table (g, t). The functions are the
product of this table and the Gaussians (f, t), as in ``wacsf_angular``. Blocks are processed in the type of ``out``;
geometry and the sum over blocks are float64.
"""

from math import sqrt

import numpy as np

from xanes_hpc_kernels._jit import inline, kernel
from xanes_hpc_kernels.compaction import aligned_rows, lanes_of
from xanes_hpc_kernels.cutoff import cosine_cutoff
from xanes_hpc_kernels.powers import square_of
from xanes_hpc_kernels.ragged import longest
from xanes_hpc_kernels.types import Floats, Ints
from xanes_hpc_kernels.vector_exp import exp_nonpositive
from xanes_hpc_kernels.wacsf_angular import add_eight, add_two

BLOCK = 512
"""Paths after which a block is processed; those of its last neighbour may exceed this number."""
X, Y, Z, RADIUS, INVERSE, N_NEIGHBOUR_ROWS = range(6)
"""Rows of ``neighbours``: components of the vector from the site, its length, and the inverse of the length."""
LENGTH, OUTWARD, BACKWARD, STRENGTH, N_PATH_ROWS = range(5)
"""Rows of ``paths``: half the length; cos^2(beta / 2) with the neighbour that is first in the list as the path's first
atom, and with the other one; fc divided by the product of the sides. In a block the last row is replaced by the weights
of both directions, channel by channel."""
WEIGHTS = STRENGTH
SHORTEST = 0.1
"""Smallest r_jk (Å) in the denominator, for neighbours closer to each other than in any molecule."""


@inline
def fill_geometry(n: int, first: int, neighbours: Floats, cutoff: float, paths: Floats) -> None:
    """Fill the geometry of the paths via the neighbour ``first`` and each of the ``n`` neighbours after it."""
    x, y, z, r = neighbours[X, first], neighbours[Y, first], neighbours[Z, first], neighbours[RADIUS, first]
    behind = first + 1  # separate slices of rows are contiguous to the compiler
    x_m, y_m, z_m = neighbours[X][behind:], neighbours[Y][behind:], neighbours[Z][behind:]
    radius_m, inverse_m, inverse = neighbours[RADIUS][behind:], neighbours[INVERSE][behind:], neighbours[INVERSE, first]
    length_m, strength_m, outward_m, backward_m = paths[LENGTH], paths[STRENGTH], paths[OUTWARD], paths[BACKWARD]
    for m in range(n):
        dx, dy, dz = x_m[m] - x, y_m[m] - y, z_m[m] - z
        apart = sqrt(dx * dx + dy * dy + dz * dz)
        over = 1.0 / max(apart, SHORTEST)
        length = 0.5 * (r + radius_m[m] + apart)
        rest = (length - apart) * over
        length_m[m] = length
        strength_m[m] = cosine_cutoff(length * length, cutoff * cutoff) * (inverse * inverse_m[m] * over)
        outward_m[m] = max((length - r) * inverse * rest, 0.0)
        backward_m[m] = max((length - radius_m[m]) * inverse_m[m] * rest, 0.0)


@inline
def fill_powers(n: int, base_t: Floats, zeta: float, power_t: Floats) -> None:
    """Fill the first ``n`` powers ``base_t`` ** zeta; powers of two are repeated squares."""
    real = power_t.dtype.type
    reached = 1.0
    while reached < zeta:
        reached *= 2.0
    if zeta == 0.0:
        power_t[:n] = real(1.0)
    elif reached != zeta:
        for t in range(n):
            power_t[t] = real(base_t[t] ** zeta)
    else:
        power_t[:n] = base_t[:n]
        while reached > 1.0:
            for t in range(n):
                power_t[t] = square_of(power_t[t])
            reached *= 0.5


@inline
def fill_gaussians(n: int, length_t: Floats, mu: float, eta: float, gaussian_t: Floats) -> None:
    """Fill one Gaussian of the first ``n`` paths."""
    scale, centre = gaussian_t.dtype.type(-eta), gaussian_t.dtype.type(mu)
    for t in range(n):
        x = length_t[t] - centre
        gaussian_t[t] = exp_nonpositive(scale * (x * x))


@inline
def add_block(
    n: int,
    block: Floats,
    mu_f: Floats,
    eta_f: Floats,
    zeta_q: Floats,
    powers: Floats,
    factors_gt: Floats,
    gaussians: Floats,
    totals_fg: Floats,
) -> None:
    """Add the first ``n`` paths of a block to the totals of the site, two Gaussians at a time."""
    lanes, n_channels = lanes_of(block), (block.shape[0] - WEIGHTS) // 2
    whole = (n + lanes - 1) // lanes * lanes
    block[:, n:whole] = block.dtype.type(0.0)
    for q in range(zeta_q.size):
        fill_powers(whole, block[OUTWARD], zeta_q[q], powers[0])
        fill_powers(whole, block[BACKWARD], zeta_q[q], powers[1])
        outward_t, backward_t = powers[0], powers[1]
        for k in range(n_channels):
            first_t, second_t = block[WEIGHTS + 2 * k], block[WEIGHTS + 2 * k + 1]
            factor_t = factors_gt[k * zeta_q.size + q]
            for t in range(whole):
                factor_t[t] = first_t[t] * outward_t[t] + second_t[t] * backward_t[t]
    first_t, second_t, n_rows = gaussians[0], gaussians[1], factors_gt.shape[0]
    for f in range(0, mu_f.size, 2):
        fill_gaussians(whole, block[LENGTH], mu_f[f], eta_f[f], first_t)
        if f + 1 < mu_f.size:
            fill_gaussians(whole, block[LENGTH], mu_f[f + 1], eta_f[f + 1], second_t)
        for g in range(0, n_rows // 8 * 8, 8):
            add_eight(whole, first_t, second_t, factors_gt, f, g, totals_fg)
        for g in range(n_rows // 8 * 8, n_rows, 2):
            add_two(whole, first_t, second_t, factors_gt, f, g, totals_fg)


@kernel
def path_functions(
    offsets_i: Ints,
    distances_p: Floats,
    vectors_pc: Floats,
    numbers_p: Ints,
    weights_kz: Floats,
    cutoff: float,
    mu_f: Floats,
    eta_f: Floats,
    zeta_q: Floats,
    columns_kfq: Ints,
    out: Floats,
) -> None:
    """Write equation (10) for all functions and weight channels to ``out[:, columns_kfq]``."""
    n_channels, n_functions, n_powers = columns_kfq.shape
    real, most, n_factors = out.dtype.type, longest(offsets_i), n_channels * n_powers
    neighbours = aligned_rows(N_NEIGHBOUR_ROWS, most, distances_p)
    paths = aligned_rows(N_PATH_ROWS, most, distances_p)
    block = aligned_rows(WEIGHTS + 2 * n_channels, BLOCK + most, out)
    powers = aligned_rows(2, BLOCK + most, out)
    factors = aligned_rows(n_factors + n_factors % 2, BLOCK + most, out)
    factors[n_factors + n_factors % 2 - 1] = real(0.0)  # padding if the number of factors is odd
    gaussians = aligned_rows(2, BLOCK + most, out)
    gaussians[1] = real(0.0)  # padding if the number of Gaussians is odd
    totals = np.empty((n_functions + n_functions % 2, n_factors + n_factors % 2))
    for i in range(offsets_i.size - 1):
        start = offsets_i[i]
        count = offsets_i[i + 1] - start
        totals[:] = 0.0
        distances_n, numbers_n = distances_p[start : start + count], numbers_p[start : start + count]
        vectors_nc = vectors_pc[start : start + count]
        for n in range(count):
            neighbours[X, n], neighbours[Y, n], neighbours[Z, n] = vectors_nc[n, 0], vectors_nc[n, 1], vectors_nc[n, 2]
            neighbours[RADIUS, n], neighbours[INVERSE, n] = distances_n[n], 1.0 / distances_n[n]
        t = 0
        for n in range(count - 1):
            fill_geometry(count - 1 - n, n, neighbours, cutoff, paths)
            for m in range(count - 1 - n):
                if paths[LENGTH, m] < cutoff:
                    first, second = numbers_n[n], numbers_n[n + 1 + m]
                    block[LENGTH, t] = paths[LENGTH, m]
                    block[OUTWARD, t], block[BACKWARD, t] = paths[OUTWARD, m], paths[BACKWARD, m]
                    outward, backward = paths[STRENGTH, m] * second, paths[STRENGTH, m] * first
                    for k in range(n_channels):
                        block[WEIGHTS + 2 * k, t] = outward * weights_kz[k, first]
                        block[WEIGHTS + 2 * k + 1, t] = backward * weights_kz[k, second]
                    t += 1
            if t >= BLOCK or n == count - 2:
                add_block(t, block, mu_f, eta_f, zeta_q, powers, factors, gaussians, totals)
                t = 0
        for k in range(n_channels):
            for f in range(n_functions):
                for q in range(n_powers):
                    out[i, columns_kfq[k, f, q]] = totals[f, k * n_powers + q]
