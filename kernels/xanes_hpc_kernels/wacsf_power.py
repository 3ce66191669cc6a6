"""Power spectra of the neighbours' angles: equation (12) of ``kernels/README.md``.

Axes: i site, p pair, n neighbour of one site, k weight channel, z atomic number, f Gaussian (mu, eta), e channel and
Gaussian (channel outermost), h harmonic, d degree l, q pair of rows e <= e'.

By the addition theorem, the sum of P_l(cos theta) over all pairs of neighbours is the sum over m of products of two
expansion coefficients, each a sum over neighbours: the cost grows with their number, not its square. The real spherical
harmonics are normalised so that the squares of one degree add up to 1 (Schmidt's semi-normalisation), and computed by
recurrence in l from x, y and z of a unit vector. Weighted Gaussians (e, n) times harmonics (h, n) are the coefficients,
as in ``wacsf_angular``; they are summed in the type of ``out``, and the products of two in float64.
"""

from math import sqrt

import numpy as np

from xanes_hpc_kernels._jit import inline, kernel
from xanes_hpc_kernels.compaction import aligned_rows, lanes_of
from xanes_hpc_kernels.directions import N_NEIGHBOUR_ROWS, RADIUS, X, Y, Z, fill_neighbours
from xanes_hpc_kernels.ragged import longest
from xanes_hpc_kernels.types import Floats, Ints
from xanes_hpc_kernels.vector_exp import exp_nonpositive
from xanes_hpc_kernels.wacsf_angular import add_eight, add_two

RE, IM, BEFORE, LAST, N_WORK_ROWS = range(5)
"""Rows of ``work``: real and imaginary part of (x + iy)^m, and the two last degrees without that factor."""


@inline
def fill_harmonics(n: int, most: int, neighbours: Floats, work: Floats, harmonics_hn: Floats) -> None:
    """Fill the harmonics of degrees 0 to ``most`` of ``n`` neighbours; degree l has rows l^2 to (l + 1)^2.

    With x + iy to the power of m taken out, S_m^m is a number, and S_l^m follows from the two degrees before it.
    """
    real = harmonics_hn.dtype.type
    x_n, y_n, z_n = neighbours[X], neighbours[Y], neighbours[Z]
    re_n, im_n, before_n, last_n = work[RE], work[IM], work[BEFORE], work[LAST]
    for t in range(n):
        re_n[t], im_n[t] = real(1.0), real(0.0)
    diagonal = 1.0
    for m in range(most + 1):
        if m > 0:
            diagonal *= sqrt((2.0 * m - 1.0) / (2.0 * m)) if m > 1 else 1.0
            for t in range(n):
                re = re_n[t] * x_n[t] - im_n[t] * y_n[t]
                im_n[t] = re_n[t] * y_n[t] + im_n[t] * x_n[t]
                re_n[t] = re
        for t in range(n):
            before_n[t], last_n[t] = real(0.0), real(diagonal)
        for degree in range(m, most + 1):
            if degree > m:
                scale = 1.0 / sqrt(float(degree * degree - m * m))
                rise, fall = real((2.0 * degree - 1.0) * scale), real(scale * sqrt(float((degree - 1) ** 2 - m * m)))
                for t in range(n):
                    s = rise * z_n[t] * last_n[t] - fall * before_n[t]
                    before_n[t] = last_n[t]
                    last_n[t] = s
            centre = degree * degree + degree
            re_h = harmonics_hn[centre + m]
            for t in range(n):
                re_h[t] = last_n[t] * re_n[t]
            if m > 0:
                im_h = harmonics_hn[centre - m]
                for t in range(n):
                    im_h[t] = last_n[t] * im_n[t]


@inline
def fill_gaussian(n: int, radius_n: Floats, weight_n: Floats, mu: float, eta: float, gaussian_n: Floats) -> None:
    """Fill one weighted Gaussian of the first ``n`` neighbours."""
    scale, centre = gaussian_n.dtype.type(-eta), gaussian_n.dtype.type(mu)
    for t in range(n):
        x = radius_n[t] - centre
        gaussian_n[t] = weight_n[t] * exp_nonpositive(scale * (x * x))


@kernel
def power_spectrum(
    offsets_i: Ints,
    distances_p: Floats,
    vectors_pc: Floats,
    numbers_p: Ints,
    weights_kz: Floats,
    cutoff: float,
    mu_f: Floats,
    eta_f: Floats,
    degrees_d: Ints,
    columns_qd: Ints,
    out: Floats,
) -> None:
    """Write equation (12) for all degrees and pairs of rows (channel, Gaussian) to ``out[:, columns_qd]``."""
    n_channels, n_functions, most = weights_kz.shape[0], mu_f.size, degrees_d.max()
    n_rows, n_harmonics = n_channels * n_functions, (most + 1) ** 2
    n_columns = n_harmonics + n_harmonics % 2
    real, lanes = out.dtype.type, lanes_of(out)
    width = longest(offsets_i) + lanes
    neighbours = aligned_rows(N_NEIGHBOUR_ROWS + n_channels, width, out)
    work = aligned_rows(N_WORK_ROWS, width, out)
    harmonics = aligned_rows(n_columns, width, out)
    harmonics[n_columns - 1] = real(0.0)  # padding if the number of harmonics is odd
    gaussians = aligned_rows(2, width, out)
    totals = np.empty((n_rows + n_rows % 2, n_columns))
    for i in range(offsets_i.size - 1):
        start, stop = offsets_i[i], offsets_i[i + 1]
        totals[:] = 0.0
        fill_neighbours(
            distances_p[start:stop], vectors_pc[start:stop], numbers_p[start:stop], weights_kz, cutoff, neighbours
        )
        n = stop - start
        whole = (n + lanes - 1) // lanes * lanes
        neighbours[:, n:whole] = real(0.0)  # no weight
        fill_harmonics(whole, most, neighbours, work, harmonics)
        first_n, second_n = gaussians[0], gaussians[1]
        for e in range(0, n_rows, 2):
            k, f = e // n_functions, e % n_functions
            fill_gaussian(whole, neighbours[RADIUS], neighbours[N_NEIGHBOUR_ROWS + k], mu_f[f], eta_f[f], first_n)
            if e + 1 < n_rows:
                k, f = (e + 1) // n_functions, (e + 1) % n_functions
                fill_gaussian(whole, neighbours[RADIUS], neighbours[N_NEIGHBOUR_ROWS + k], mu_f[f], eta_f[f], second_n)
            else:
                second_n[:whole] = real(0.0)
            for h in range(0, n_columns // 8 * 8, 8):
                add_eight(whole, first_n, second_n, harmonics, e, h, totals)
            for h in range(n_columns // 8 * 8, n_columns, 2):
                add_two(whole, first_n, second_n, harmonics, e, h, totals)
        q = 0
        for e in range(n_rows):
            for e2 in range(e, n_rows):
                for d in range(degrees_d.size):
                    degree = degrees_d[d]
                    total = 0.0
                    for h in range(degree * degree, (degree + 1) ** 2):
                        total += totals[e, h] * totals[e2, h]
                    out[i, columns_qd[q, d]] = total
                q += 1
