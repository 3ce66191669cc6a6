"""Angular symmetry functions: equation (4) of ``kernels/README.md``.

Axes: i site, p pair, k weight channel, z atomic number, e Gaussian (mu, eta), l lambda, q zeta, g angular factor
(lambda outermost, then zeta), t triplet within a block.

The triplets of a site are gathered into blocks, so that Gaussians and angular factors run over long flat arrays;
G4 of a block is then the small matrix product of Gaussians (e, t) and angular factors (g, t), per channel.
"""

from math import sqrt

import numpy as np
from numba import prange

from xanes_hpc_kernels._jit import inline, parallel_kernel
from xanes_hpc_kernels.cutoff import cosine_cutoff
from xanes_hpc_kernels.types import Floats, Ints
from xanes_hpc_kernels.vector_exp import exp_nonpositive

BLOCK = 256


@inline
def angular_factors(n: int, cosine_t: Floats, lambda_l: Floats, zeta_q: Floats, factors_gt: Floats) -> None:
    """(1 + lambda cos theta)^zeta, by repeated squaring where zeta is 1, 2, 4, 8, …"""
    n_zeta = zeta_q.size
    for index_l in range(lambda_l.size):
        for q in range(n_zeta):
            zeta = zeta_q[q]
            row = factors_gt[index_l * n_zeta + q]
            for t in range(n):
                row[t] = max(1.0 + lambda_l[index_l] * cosine_t[t], 0.0)
            squarings = 0
            power = 1.0
            while power < zeta:
                power *= 2.0
                squarings += 1
            if power == zeta:
                for _ in range(squarings):
                    for t in range(n):
                        row[t] *= row[t]
            else:
                for t in range(n):
                    row[t] = row[t] ** zeta


@inline
def add_block(
    n: int,
    sum_t: Floats,
    sum_squares_t: Floats,
    cosine_t: Floats,
    weights_kt: Floats,
    mu_e: Floats,
    eta_e: Floats,
    lambda_l: Floats,
    zeta_q: Floats,
    factors_gt: Floats,
    gaussian_t: Floats,
    weighted_t: Floats,
    totals_keg: Floats,
) -> None:
    """Add the first ``n`` triplets of a block to the totals of the site.

    All weight channels share the Gaussians. The three of a triplet are one:
    sum over the sides of (r - mu)^2 = sum r^2 - 2 mu sum r + 3 mu^2.
    """
    angular_factors(n, cosine_t, lambda_l, zeta_q, factors_gt)
    for e in range(mu_e.size):
        mu, eta = mu_e[e], eta_e[e]
        for t in range(n):
            exponent = sum_squares_t[t] - 2.0 * mu * sum_t[t] + 3.0 * mu * mu
            gaussian_t[t] = exp_nonpositive(-eta * max(exponent, 0.0))
        for k in range(weights_kt.shape[0]):
            for t in range(n):
                weighted_t[t] = gaussian_t[t] * weights_kt[k, t]
            for g in range(factors_gt.shape[0]):
                total = 0.0
                for t in range(n):
                    total += weighted_t[t] * factors_gt[g, t]
                totals_keg[k, e, g] += total


@parallel_kernel
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
    """Equation (4) for every function and weight channel, into ``out[:, columns_keg]``; each pair j < k once."""
    n_channels, n_zeta = weights_kz.shape[0], zeta_q.size
    n_factors = lambda_l.size * n_zeta
    cutoff_squared = cutoff * cutoff
    for i in prange(offsets_i.size - 1):
        start, stop = offsets_i[i], offsets_i[i + 1]
        sums = np.empty(BLOCK)
        sums_of_squares = np.empty(BLOCK)
        cosines = np.empty(BLOCK)
        gaussian = np.empty(BLOCK)
        weighted = np.empty(BLOCK)
        weights = np.empty((n_channels, BLOCK))
        factors = np.empty((n_factors, BLOCK))
        totals = np.zeros((n_channels, mu_e.size, n_factors))
        fc = np.empty(stop - start)
        for p in range(start, stop):
            fc[p - start] = cosine_cutoff(distances_p[p] * distances_p[p], cutoff_squared)
        t = 0
        for p in range(start, stop):
            for q in range(p + 1, stop):
                dx = vectors_pc[q, 0] - vectors_pc[p, 0]
                dy = vectors_pc[q, 1] - vectors_pc[p, 1]
                dz = vectors_pc[q, 2] - vectors_pc[p, 2]
                opposite_squared = dx * dx + dy * dy + dz * dz
                if opposite_squared >= cutoff_squared:
                    continue
                r_p, r_q = distances_p[p], distances_p[q]
                dot = (
                    vectors_pc[p, 0] * vectors_pc[q, 0]
                    + vectors_pc[p, 1] * vectors_pc[q, 1]
                    + vectors_pc[p, 2] * vectors_pc[q, 2]
                )
                cosines[t] = dot / (r_p * r_q)
                sums[t] = r_p + r_q + sqrt(opposite_squared)
                sums_of_squares[t] = r_p * r_p + r_q * r_q + opposite_squared
                cut = fc[p - start] * fc[q - start] * cosine_cutoff(opposite_squared, cutoff_squared)
                for k in range(n_channels):
                    weights[k, t] = cut * weights_kz[k, numbers_p[p]] * weights_kz[k, numbers_p[q]]
                t += 1
                if t == BLOCK:
                    add_block(
                        t, sums, sums_of_squares, cosines, weights, mu_e, eta_e, lambda_l, zeta_q,
                        factors, gaussian, weighted, totals,
                    )  # fmt: skip
                    t = 0
        add_block(
            t, sums, sums_of_squares, cosines, weights, mu_e, eta_e, lambda_l, zeta_q,
            factors, gaussian, weighted, totals,
        )  # fmt: skip
        for k in range(n_channels):
            for e in range(mu_e.size):
                for g in range(n_factors):
                    prefactor = 2.0 ** (1.0 - zeta_q[g % n_zeta])
                    out[i, columns_keg[k, e, g]] = prefactor * totals[k, e, g]
