"""Radial symmetry functions: equations (2) and (3) of ``kernels/README.md``.

Axes: i site, p pair (the neighbours of site i are the rows ``offsets_i[i]:offsets_i[i + 1]``), k weight channel,
n neighbour of one site, f radial function, z atomic number.

All functions of a pair are computed together, in the type of ``out``, and added only to channels in which the neighbour
has a weight. With one channel per element, that is a single channel.
"""

from xanes_hpc_kernels._jit import inline, kernel
from xanes_hpc_kernels.compaction import aligned_rows, lanes_of
from xanes_hpc_kernels.cutoff import cosine_cutoff
from xanes_hpc_kernels.ragged import longest
from xanes_hpc_kernels.types import Floats, Ints, Real
from xanes_hpc_kernels.vector_exp import exp_nonpositive


@kernel
def g1(offsets_i: Ints, distances_p: Floats, cutoff: float, column: int, out: Floats) -> None:
    """Write equation (2), the sum of fc over a site's neighbours, to ``out[:, column]``."""
    for i in range(offsets_i.size - 1):
        total: Real = 0.0
        distances_n = distances_p[offsets_i[i] : offsets_i[i + 1]]
        for n in range(distances_n.size):
            total += cosine_cutoff(distances_n[n] * distances_n[n], cutoff * cutoff)
        out[i, column] = total


@inline
def fill_gaussians(n: int, r: Real, mu_f: Floats, eta_f: Floats, gaussian_f: Floats) -> None:
    """Fill the first ``n`` Gaussians of one distance."""
    for f in range(n):
        x = r - mu_f[f]
        gaussian_f[f] = exp_nonpositive(-eta_f[f] * (x * x))


@inline
def add_weighted(n: int, weight: Real, gaussian_f: Floats, k: int, totals_kf: Floats) -> None:
    """Add the first ``n`` Gaussians to the totals of a channel."""
    for f in range(n):
        totals_kf[k, f] += weight * gaussian_f[f]


@kernel
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
    """Write equation (3) for all functions and weight channels to ``out[:, columns_kf]``.

    The Gaussian of a pair is computed once per function and shared by all channels.
    """
    n_channels, n_functions = columns_kf.shape
    lanes, real = lanes_of(out), out.dtype.type
    whole = (n_functions + lanes - 1) // lanes * lanes
    parameters, gaussian = aligned_rows(2, whole, out), aligned_rows(1, whole, out)[0]
    parameters[:] = real(0.0)
    for f in range(n_functions):
        parameters[0, f], parameters[1, f] = mu_f[f], eta_f[f]
    totals = aligned_rows(n_channels, whole, out)
    cut = aligned_rows(1, longest(offsets_i), distances_p)[0]
    for i in range(offsets_i.size - 1):
        totals[:] = real(0.0)
        distances_n, numbers_n = (
            distances_p[offsets_i[i] : offsets_i[i + 1]],
            numbers_p[offsets_i[i] : offsets_i[i + 1]],
        )
        for n in range(distances_n.size):
            cut[n] = cosine_cutoff(distances_n[n] * distances_n[n], cutoff * cutoff)
        for n in range(distances_n.size):
            fill_gaussians(whole, real(distances_n[n]), parameters[0], parameters[1], gaussian)
            for k in range(n_channels):
                weight = cut[n] * weights_kz[k, numbers_n[n]]
                if weight != 0.0:
                    add_weighted(whole, real(weight), gaussian, k, totals)
        for k in range(n_channels):
            for f in range(n_functions):
                out[i, columns_kf[k, f]] = totals[k, f]
