"""Broadening of spectra: equations (7) to (9) of ``kernels/README.md``.

Axes: s spectrum (its points are ``offsets_s[s]:offsets_s[s + 1]``), p point of any spectrum. Every spectrum is
broadened at its own energies. A spectrum is taken as constant over bins that meet half-way between its points. In terms
of the jumps at the edges of the bins, each point is one sum over integrals of the line shape.
"""

import math

import numpy as np

from xanes_hpc_kernels._jit import inline, kernel
from xanes_hpc_kernels.types import Floats, Ints
from xanes_hpc_kernels.vector_atan import arctan

WHOLE = 6.0
"""From this argument on the error function is 1 to the last digit."""


@inline
def jumps(energies: Floats, intensities: Floats, begin: float, end: float, edges: Floats, heights: Floats) -> int:
    """Write the edges of a spectrum's bins and the jump at each; return the number of edges.

    Bins begin at energy ``begin``, and the last one reaches to ``end``. If ``begin`` is minus infinity, the first bin
    extends to it.
    """
    n, n_edges, before = energies.size, 0, 0.0
    for k in range(n):
        upper = 0.5 * (energies[k] + energies[k + 1]) if k + 1 < n else end
        if upper <= begin:
            continue
        lower = 0.5 * (energies[k - 1] + energies[k]) if k else 1.5 * energies[0] - 0.5 * energies[1]
        edges[n_edges] = begin if n_edges == 0 and (begin > lower or begin == -math.inf) else lower
        heights[n_edges] = intensities[k] - before
        before = intensities[k]
        n_edges += 1
    if n_edges:
        edges[n_edges] = end
        heights[n_edges] = -before
        n_edges += 1
    return n_edges


@inline
def lorentzian(edges: Floats, heights: Floats, energy: float, width: float) -> float:
    """Return equation (7) at one energy."""
    scale, total = 2.0 / width, 0.0
    for k in range(edges.size):
        total += heights[k] * arctan(scale * (edges[k] - energy))
    return -total / math.pi


@inline
def gaussian(edges: Floats, heights: Floats, energy: float, width: float) -> float:
    """Return equation (8) at one energy."""
    scale, total = 2.0 * math.sqrt(math.log(2.0)) / width, 0.0
    first = np.searchsorted(edges, energy - WHOLE / scale)
    last = np.searchsorted(edges, energy + WHOLE / scale)
    for k in range(first):
        total -= heights[k]
    for k in range(first, last):
        total += heights[k] * math.erf(scale * (edges[k] - energy))
    for k in range(last, edges.size):
        total += heights[k]
    return -0.5 * total


@kernel
def broaden(
    offsets_s: Ints, energies_p: Floats, intensities_p: Floats, begins_s: Floats, ends_s: Floats, widths_p: Floats,
    by_gaussian: bool, out_p: Floats,
) -> None:  # fmt: skip
    """Write equation (7), or (8), with full widths at half maximum ``widths_p`` above 0, to ``out_p``.

    ``begins_s`` and ``ends_s`` limit each spectrum, as in ``jumps``.
    """
    for s in range(offsets_s.size - 1):
        start, stop = offsets_s[s], offsets_s[s + 1]
        energies, widths, out = energies_p[start:stop], widths_p[start:stop], out_p[start:stop]
        edges, heights = np.empty(energies.size + 1), np.empty(energies.size + 1)
        n_edges = jumps(energies, intensities_p[start:stop], begins_s[s], ends_s[s], edges, heights)
        edges, heights = edges[:n_edges], heights[:n_edges]
        if by_gaussian:
            for i in range(energies.size):
                out[i] = gaussian(edges, heights, energies[i], widths[i])
        else:
            for i in range(energies.size):
                out[i] = lorentzian(edges, heights, energies[i], widths[i])


@kernel
def summed_lorentzian(
    offsets_s: Ints, energies_p: Floats, intensities_p: Floats, begins_s: Floats, ends_s: Floats, widths_p: Floats,
    out_p: Floats,
) -> None:  # fmt: skip
    """Write equation (9), a sum over points without those before ``begins_s``, the last repeated to ``ends_s``."""
    for s in range(offsets_s.size - 1):
        start, stop = offsets_s[s], offsets_s[s + 1]
        energies, intensities = energies_p[start:stop], intensities_p[start:stop]
        widths, out = widths_p[start:stop], out_p[start:stop]
        n, last = energies.size, energies.size - 1
        step = energies[last] - energies[last - 1]
        n_beyond = math.floor((ends_s[s] - energies[last]) / step + 0.5)
        first = int(np.searchsorted(energies, begins_s[s]))
        for i in range(n):
            energy, half, total, beyond = energies[i], 0.5 * widths[i], 0.0, 0.0
            for k in range(first, n):
                x = energies[k] - energy
                total += intensities[k] * (half / (x * x + half * half))
            for k in range(n_beyond):
                x = energies[last] + (k + 1) * step - energy
                beyond += half / (x * x + half * half)
            out[i] = total + intensities[last] * beyond
