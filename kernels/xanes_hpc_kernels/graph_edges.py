"""Edges of the graphs of sites: equations (15) and (16) of ``kernels/README.md``.

Axes: i site, p pair of a site and a neighbour, a atom of a graph, e edge, d edge in one direction, c end of an edge.

The atoms of a site's graph are its pairs, in their order; an edge joins the atoms ``ends_ec`` of its site, of which the
first has the lower number. Edges are ordered by their first and then by their second atom.
"""

from math import sqrt

import numpy as np

from xanes_hpc_kernels._jit import exact_inline, inline, kernel
from xanes_hpc_kernels.cutoff import cosine_cutoff
from xanes_hpc_kernels.ragged import longest
from xanes_hpc_kernels.types import Floats, Ints, Real

LEAST_SIDES = 1e-6
"""Smallest product of two sides of a triangle to divide by, Å²."""


@exact_inline
def _apart(n: int, m: int, vectors_pc: Floats) -> float:
    x = vectors_pc[m, 0] - vectors_pc[n, 0]
    y = vectors_pc[m, 1] - vectors_pc[n, 1]
    z = vectors_pc[m, 2] - vectors_pc[n, 2]
    return sqrt(x * x + y * y + z * z)


@exact_inline
def _joined(n: int, m: int, distances_p: Floats, numbers_p: Ints, apart: float, bond: float, near: float) -> bool:
    if numbers_p[n] == 1 and numbers_p[m] == 1:
        return False
    return apart < bond or (distances_p[n] < near and distances_p[m] < near)


@kernel
def count_edges(
    offsets_i: Ints, distances_p: Floats, vectors_pc: Floats, numbers_p: Ints, bond: float, near: float, out: Ints
) -> None:
    """Write the number of edges of each site, equation (15), to ``out``."""
    for i in range(offsets_i.size - 1):
        start, stop = offsets_i[i], offsets_i[i + 1]
        found = 0
        for n in range(start, stop):
            for m in range(n + 1, stop):
                found += _joined(n, m, distances_p, numbers_p, _apart(n, m, vectors_pc), bond, near)
        out[i] = found


@kernel
def find_edges(
    offsets_i: Ints,
    distances_p: Floats,
    vectors_pc: Floats,
    numbers_p: Ints,
    bond: float,
    near: float,
    edge_offsets_i: Ints,
    ends_ec: Ints,
    lengths_e: Floats,
) -> None:
    """Write the atoms and the length of each edge; ``edge_offsets_i`` come from the counts of ``count_edges``."""
    for i in range(offsets_i.size - 1):
        start, stop = offsets_i[i], offsets_i[i + 1]
        e = edge_offsets_i[i]
        for n in range(start, stop):
            for m in range(n + 1, stop):
                apart = _apart(n, m, vectors_pc)
                if _joined(n, m, distances_p, numbers_p, apart, bond, near):
                    ends_ec[e, 0], ends_ec[e, 1] = n - start, m - start
                    lengths_e[e] = apart
                    e += 1


@inline
def _faded(r: float, cutoff: float, width: float) -> Real:
    """Return 1 up to ``width`` before the cutoff, and from there half a cosine's period that falls to 0 at it."""
    over = r - (cutoff - width)
    return 1.0 if over <= 0.0 else cosine_cutoff(over * over, width * width)


@inline
def _cosine(a: float, b: float, opposite: float) -> float:
    """Return the cosine of the angle between two sides of a triangle, from its sides."""
    cosine = (a * a + b * b - opposite * opposite) / (2.0 * max(a * b, LEAST_SIDES))
    return min(max(cosine, -1.0), 1.0)


@kernel
def fade_atoms(distances_a: Floats, cutoff: float, width: float, out: Floats) -> None:
    """Write the strength of each atom, which falls to 0 at the cutoff, to ``out``."""
    for a in range(distances_a.size):
        out[a] = _faded(distances_a[a], cutoff, width)


@kernel
def direct_edges(
    offsets_i: Ints,
    distances_a: Floats,
    edge_offsets_i: Ints,
    ends_ec: Ints,
    lengths_e: Floats,
    bond: float,
    near: float,
    width: float,
    receivers_d: Ints,
    senders_d: Ints,
    lengths_d: Floats,
    cosines_dx: Floats,
    strengths_d: Floats,
) -> None:
    """Write every edge in both directions, ordered by receiving and then by sending atom, with its triangle.

    Atoms are numbered through all sites. ``cosines_dx`` are those of the angles at the absorber, at the receiver and at
    the sender; ``strengths_d`` are equation (16).
    """
    places_a = np.empty(longest(offsets_i) + 1, np.int64)
    for i in range(offsets_i.size - 1):
        first, n_atoms = offsets_i[i], offsets_i[i + 1] - offsets_i[i]
        start, stop = edge_offsets_i[i], edge_offsets_i[i + 1]
        places_a[:] = 0
        for e in range(start, stop):
            places_a[ends_ec[e, 0] + 1] += 1
            places_a[ends_ec[e, 1] + 1] += 1
        places_a[0] = 2 * start
        for a in range(n_atoms):
            places_a[a + 1] += places_a[a]
        for e in range(start, stop):
            r, s = float(distances_a[first + ends_ec[e, 0]]), float(distances_a[first + ends_ec[e, 1]])
            apart = float(lengths_e[e])
            together = _faded(r, near, width) * _faded(s, near, width)
            strength = 1.0 - (1.0 - _faded(apart, bond, width)) * (1.0 - together)
            cosines = _cosine(r, s, apart), _cosine(r, apart, s), _cosine(s, apart, r)
            for way in range(2):
                receiver, sender = ends_ec[e, way], ends_ec[e, 1 - way]
                d = places_a[receiver]
                places_a[receiver] += 1
                receivers_d[d], senders_d[d] = first + receiver, first + sender
                lengths_d[d], strengths_d[d] = apart, strength
                cosines_dx[d, 0], cosines_dx[d, 1], cosines_dx[d, 2] = cosines[0], cosines[1 + way], cosines[2 - way]


@kernel
def send_messages(filters_dc: Floats, values_ac: Floats, receivers_d: Ints, senders_d: Ints, out: Floats) -> None:
    """Add to ``out[receiver]`` the sender's values times the filter, for every direction of every edge."""
    n_channels = values_ac.shape[1]
    for d in range(receivers_d.size):
        filter_c, value_c, out_c = filters_dc[d], values_ac[senders_d[d]], out[receivers_d[d]]
        for c in range(n_channels):
            out_c[c] += filter_c[c] * value_c[c]
