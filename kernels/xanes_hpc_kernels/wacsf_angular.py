"""Angular symmetry functions: equation (4) of ``kernels/README.md``.

Axes: i site, p pair, n neighbour of one site, k weight channel, z atomic number, e Gaussian (mu, eta), g factor
(channel outermost, then lambda, then zeta), t triplet within a block.

Pairs of a site's neighbours are packed into blocks of triplets. For each block, the factors
w_j w_k fc fc fc ((1 + lambda cos theta) / 2)^zeta are rows of a table (g, t). G4 / 2 is the product of this table and
the Gaussians (e, t), which are computed once for all channels. Blocks are processed in the type of ``out`` and summed
in float64.
"""

from math import sqrt

import numpy as np

from xanes_hpc_kernels._jit import inline, kernel
from xanes_hpc_kernels.compaction import (
    COSINE,
    FAR,
    INVERSE,
    LANES,
    N_GEOMETRY,
    OPPOSITE_SQUARED,
    SQUARE,
    SUM_OF_SQUARES,
    X,
    Y,
    Z,
    aligned_rows,
    count_kept,
    keep_close,
    keep_difference,
    keep_product,
    keep_sum,
    lanes_of,
)
from xanes_hpc_kernels.cutoff import cosine_cutoff
from xanes_hpc_kernels.powers import square_of
from xanes_hpc_kernels.ragged import longest
from xanes_hpc_kernels.types import Floats, Ints, Real
from xanes_hpc_kernels.vector_exp import exp_nonpositive

BLOCK = 512
"""Triplets in a block, whose tables fit into the first- and second-level caches."""
RADIUS, N_NEIGHBOUR_ROWS = N_GEOMETRY, N_GEOMETRY + 1
"""Row of ``neighbours`` for sqrt(1/2) times the distance; weights follow."""
ARMS, ARMS_DIFFER, OPPOSITE, N_TRIPLET_ROWS = range(COSINE + 1, COSINE + 5)
"""Rows of ``triplets`` for sqrt(1/2) (r_ij + r_ik), (r_ik - r_ij)^2 / 2 and r_jk; weights follow."""


@inline
def fill_neighbours(
    distances_n: Floats,
    vectors_nc: Floats,
    numbers_n: Ints,
    weights_kz: Floats,
    cutoff: float,
    neighbours: Floats,
) -> None:
    """Write one site's neighbours in the layout of ``compaction``, followed by columns at ``FAR``."""
    real, behind = neighbours.dtype.type, distances_n.size
    neighbours[:, behind : behind + LANES] = real(0.0)
    neighbours[X, behind : behind + LANES] = real(FAR)
    for n in range(distances_n.size):
        r = distances_n[n]
        neighbours[X, n], neighbours[Y, n], neighbours[Z, n] = vectors_nc[n, 0], vectors_nc[n, 1], vectors_nc[n, 2]
        neighbours[SQUARE, n] = r * r
        neighbours[INVERSE, n] = sqrt(0.5) / r
        neighbours[RADIUS, n] = sqrt(0.5) * r
    for n in range(distances_n.size):  # a separate loop vectorises
        neighbours[N_NEIGHBOUR_ROWS, n] = cosine_cutoff(distances_n[n] * distances_n[n], cutoff * cutoff)
    for k in range(weights_kz.shape[0] - 1, -1, -1):
        for n in range(distances_n.size):
            neighbours[N_NEIGHBOUR_ROWS + k, n] = neighbours[N_NEIGHBOUR_ROWS, n] * weights_kz[k, numbers_n[n]]


@inline
def fill_factor(n: int, squarings: int, weight_t: Floats, lam: Real, cosine_t: Floats, factor_t: Floats) -> None:
    """Fill one row of factors, for zeta a power of two; a constant number of squarings unrolls."""
    half, zero = factor_t.dtype.type(0.5), factor_t.dtype.type(0.0)
    for t in range(n):
        b = max(half + lam * cosine_t[t], zero)
        for _ in range(squarings):
            b = square_of(b)
        factor_t[t] = weight_t[t] * b


@inline
def fill_factors(
    n: int, triplets: Floats, cutoff: float, shifted: bool, lambda_l: Floats, zeta_q: Floats, factors_gt: Floats
) -> None:
    """Fill the factors of the first ``n`` triplets; the cutoff of the opposite side is multiplied into the weights.

    The angular part ((1 + lambda cos theta) / 2)^zeta is at most 1, so that it cannot overflow.
    """
    real = factors_gt.dtype.type
    half, zero, squared = real(0.5), real(0.0), real(cutoff * cutoff)
    opposite_t, cosine_t = triplets[OPPOSITE_SQUARED], triplets[COSINE]
    if shifted:
        for t in range(n):
            triplets[OPPOSITE, t] = np.sqrt(opposite_t[t])
            triplets[ARMS_DIFFER, t] *= triplets[ARMS_DIFFER, t]
    for t in range(n):
        opposite_t[t] = cosine_cutoff(opposite_t[t], squared)
    g = 0
    for k in range(N_TRIPLET_ROWS, triplets.shape[0]):
        weight_t = triplets[k]
        for t in range(n):
            weight_t[t] *= opposite_t[t]
        for index in range(lambda_l.size):
            lam = real(0.5 * lambda_l[index])
            for q in range(zeta_q.size):
                factor_t, zeta = factors_gt[g], zeta_q[q]
                if zeta == 1.0:
                    fill_factor(n, 0, weight_t, lam, cosine_t, factor_t)
                elif zeta == 2.0:
                    fill_factor(n, 1, weight_t, lam, cosine_t, factor_t)
                elif zeta == 4.0:
                    fill_factor(n, 2, weight_t, lam, cosine_t, factor_t)
                elif zeta == 8.0:
                    fill_factor(n, 3, weight_t, lam, cosine_t, factor_t)
                elif zeta == 16.0:
                    fill_factor(n, 4, weight_t, lam, cosine_t, factor_t)
                elif zeta == 32.0:
                    fill_factor(n, 5, weight_t, lam, cosine_t, factor_t)
                elif zeta == 64.0:
                    fill_factor(n, 6, weight_t, lam, cosine_t, factor_t)
                else:
                    for t in range(n):
                        factor_t[t] = weight_t[t] * real(max(half + lam * cosine_t[t], zero) ** zeta)
                g += 1


@inline
def add_two(n: int, first_t: Floats, second_t: Floats, factors_gt: Floats, e: int, g: int, totals_eg: Floats) -> None:
    """Add the products of two Gaussians and two factors to the totals from (e, g) on."""
    a0 = a1 = factors_gt.dtype.type(0.0)
    b0 = b1 = factors_gt.dtype.type(0.0)
    f0, f1 = factors_gt[g], factors_gt[g + 1]
    for t in range(n):
        x, y = first_t[t], second_t[t]
        a0 += x * f0[t]
        b0 += y * f0[t]
        a1 += x * f1[t]
        b1 += y * f1[t]
    totals_eg[e, g] += a0
    totals_eg[e, g + 1] += a1
    totals_eg[e + 1, g] += b0
    totals_eg[e + 1, g + 1] += b1


@inline
def add_eight(n: int, first_t: Floats, second_t: Floats, factors_gt: Floats, e: int, g: int, totals_eg: Floats) -> None:
    """Add the products of two Gaussians and eight factors, as many as the vector registers hold."""
    a0 = a1 = a2 = a3 = a4 = a5 = a6 = a7 = factors_gt.dtype.type(0.0)
    b0 = b1 = b2 = b3 = b4 = b5 = b6 = b7 = factors_gt.dtype.type(0.0)
    f0, f1, f2, f3, f4, f5, f6, f7 = (
        factors_gt[g],
        factors_gt[g + 1],
        factors_gt[g + 2],
        factors_gt[g + 3],
        factors_gt[g + 4],
        factors_gt[g + 5],
        factors_gt[g + 6],
        factors_gt[g + 7],
    )
    for t in range(n):
        x, y = first_t[t], second_t[t]
        a0 += x * f0[t]
        b0 += y * f0[t]
        a1 += x * f1[t]
        b1 += y * f1[t]
        a2 += x * f2[t]
        b2 += y * f2[t]
        a3 += x * f3[t]
        b3 += y * f3[t]
        a4 += x * f4[t]
        b4 += y * f4[t]
        a5 += x * f5[t]
        b5 += y * f5[t]
        a6 += x * f6[t]
        b6 += y * f6[t]
        a7 += x * f7[t]
        b7 += y * f7[t]
    totals_eg[e, g] += a0
    totals_eg[e, g + 1] += a1
    totals_eg[e, g + 2] += a2
    totals_eg[e, g + 3] += a3
    totals_eg[e, g + 4] += a4
    totals_eg[e, g + 5] += a5
    totals_eg[e, g + 6] += a6
    totals_eg[e, g + 7] += a7
    totals_eg[e + 1, g] += b0
    totals_eg[e + 1, g + 1] += b1
    totals_eg[e + 1, g + 2] += b2
    totals_eg[e + 1, g + 3] += b3
    totals_eg[e + 1, g + 4] += b4
    totals_eg[e + 1, g + 5] += b5
    totals_eg[e + 1, g + 6] += b6
    totals_eg[e + 1, g + 7] += b7


@inline
def fill_gaussians(n: int, triplets: Floats, shifted: bool, mu: float, eta: float, gaussian_t: Floats) -> None:
    """Fill the product of the three Gaussians of each of the first ``n`` triplets.

    The product is one Gaussian of the sum of (r - mu)^2 over the sides. The two sides at the site contribute
    (r_ij + r_ik - 2 mu)^2 / 2 + (r_ik - r_ij)^2 / 2, in which no large numbers cancel.
    """
    real = triplets.dtype.type
    scale, centre, twice = real(-eta), real(mu), real(sqrt(2.0) * mu)
    if shifted:
        arms_t, differ_t, opposite_t = triplets[ARMS], triplets[ARMS_DIFFER], triplets[OPPOSITE]
        for t in range(n):
            x, y = arms_t[t] - twice, opposite_t[t] - centre
            gaussian_t[t] = exp_nonpositive(scale * (x * x + y * y + differ_t[t]))
    else:
        squares_t = triplets[SUM_OF_SQUARES]
        for t in range(n):
            gaussian_t[t] = exp_nonpositive(scale * squares_t[t])


@inline
def add_block(
    n: int,
    triplets: Floats,
    cutoff: float,
    shifted: bool,
    mu_e: Floats,
    eta_e: Floats,
    lambda_l: Floats,
    zeta_q: Floats,
    factors_gt: Floats,
    gaussians_et: Floats,
    totals_eg: Floats,
) -> None:
    """Add the first ``n`` triplets of a block to the totals of the site, two Gaussians at a time."""
    lanes = lanes_of(triplets)
    whole = (n + lanes - 1) // lanes * lanes
    triplets[:, n:whole] = triplets.dtype.type(0.0)
    fill_factors(whole, triplets, cutoff, shifted, lambda_l, zeta_q, factors_gt)
    first_t, second_t = gaussians_et[0], gaussians_et[1]
    n_rows = factors_gt.shape[0]
    for e in range(0, mu_e.size, 2):
        fill_gaussians(whole, triplets, shifted, mu_e[e], eta_e[e], first_t)
        if e + 1 < mu_e.size:
            fill_gaussians(whole, triplets, shifted, mu_e[e + 1], eta_e[e + 1], second_t)
        for g in range(0, n_rows // 8 * 8, 8):
            add_eight(whole, first_t, second_t, factors_gt, e, g, totals_eg)
        for g in range(n_rows // 8 * 8, n_rows, 2):
            add_two(whole, first_t, second_t, factors_gt, e, g, totals_eg)


@kernel
def g4(
    offsets_i: Ints,
    distances_p: Floats,
    vectors_pc: Floats,
    numbers_p: Ints,
    weights_kz: Floats,
    cutoff: float,
    mu_e: Floats,
    eta_e: Floats,
    lambda_l: Floats,
    zeta_q: Floats,
    columns_keg: Ints,
    out: Floats,
) -> None:
    """Write equation (4) for all functions and weight channels to ``out[:, columns_keg]``; pairs j < k count once."""
    n_channels, n_factors = weights_kz.shape[0], lambda_l.size * zeta_q.size
    n_rows = n_channels * n_factors + n_channels * n_factors % 2
    real, shifted = out.dtype.type, False
    for e in range(mu_e.size):
        shifted = shifted or mu_e[e] != 0.0
    neighbours = aligned_rows(N_NEIGHBOUR_ROWS + n_channels, longest(offsets_i) + LANES, out)
    triplets = aligned_rows(N_TRIPLET_ROWS + n_channels, BLOCK, out)
    factors = aligned_rows(n_rows, BLOCK, out)
    factors[n_rows - 1] = real(0.0)  # padding if the number of rows is odd
    gaussians = aligned_rows(2, BLOCK, out)
    gaussians[1] = real(0.0)  # padding if the number of Gaussians is odd
    totals = np.empty((mu_e.size + mu_e.size % 2, n_rows))
    lanes, limit = lanes_of(triplets), real(cutoff * cutoff)
    for i in range(offsets_i.size - 1):
        start, stop = offsets_i[i], offsets_i[i + 1]
        totals[:] = 0.0
        fill_neighbours(
            distances_p[start:stop], vectors_pc[start:stop], numbers_p[start:stop], weights_kz, cutoff, neighbours
        )
        last, p, q = stop - start - 1, 0, 1
        while p < last:
            t = 0
            while p < last and t <= BLOCK - LANES:
                kept = keep_close(neighbours, p, q, limit, triplets, t)
                if shifted:
                    keep_sum(kept, neighbours, RADIUS, p, q, triplets, ARMS, t)
                    keep_difference(kept, neighbours, RADIUS, p, q, triplets, ARMS_DIFFER, t)
                for k in range(n_channels):
                    keep_product(kept, neighbours, N_NEIGHBOUR_ROWS + k, p, q, triplets, N_TRIPLET_ROWS + k, t)
                t += count_kept(kept)
                q += lanes
                if q > last:
                    p += 1
                    q = p + 1
            add_block(t, triplets, cutoff, shifted, mu_e, eta_e, lambda_l, zeta_q, factors, gaussians, totals)
        for k in range(n_channels):
            for e in range(mu_e.size):
                for g in range(n_factors):
                    out[i, columns_keg[k, e, g]] = 2.0 * totals[e, k * n_factors + g]
