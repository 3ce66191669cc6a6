"""Neighbours of absorption sites within a cutoff, molecules and periodic systems alike.

Axes: i site, s structure, a atom (of all structures, one after another), p pair, c Cartesian component or cell vector.

A pair is (site, atom j, image n): vector = r_j + n . cell - r_site, kept where 0 < length < cutoff or j is another
atom or image. Pairs of a site are ordered by j, then by n. Every atom of the structure is looked at, and per periodic
direction only the images that can reach the cutoff: the spacing of the lattice planes bounds them, whatever the
angles of the cell, wherever in it the atoms stand.
"""

from math import ceil, floor, sqrt

import numpy as np
from numba import prange

from xanes_hpc_kernels._jit import inline, parallel_kernel
from xanes_hpc_kernels.types import Bools, Floats, Ints


@inline
def scan_site(
    site_atom: int,
    first_atom: int,
    last_atom: int,
    positions_ac: Floats,
    cell_cc: Floats,
    inverse_cc: Floats,
    pbc_c: Bools,
    cutoff: float,
    start: int,
    atoms_p: Ints,
    shifts_pc: Ints,
    vectors_pc: Floats,
    distances_p: Floats,
) -> int:
    """Count the pairs of one site, and write them from row ``start`` on unless it is negative."""
    n_pairs = 0
    periodic = pbc_c[0] or pbc_c[1] or pbc_c[2]
    low = np.zeros(3, np.int64)
    high = np.zeros(3, np.int64)
    centre = positions_ac[site_atom]
    for a in range(first_atom, last_atom):
        dx = positions_ac[a, 0] - centre[0]
        dy = positions_ac[a, 1] - centre[1]
        dz = positions_ac[a, 2] - centre[2]
        if periodic:
            for c in range(3):
                if pbc_c[c]:
                    gx, gy, gz = inverse_cc[0, c], inverse_cc[1, c], inverse_cc[2, c]
                    fraction = dx * gx + dy * gy + dz * gz
                    reach = cutoff * sqrt(gx * gx + gy * gy + gz * gz) + 1e-9
                    low[c] = ceil(-reach - fraction)
                    high[c] = floor(reach - fraction)
        for n0 in range(low[0], high[0] + 1):
            for n1 in range(low[1], high[1] + 1):
                for n2 in range(low[2], high[2] + 1):
                    if a == site_atom and n0 == 0 and n1 == 0 and n2 == 0:
                        continue
                    x = dx + n0 * cell_cc[0, 0] + n1 * cell_cc[1, 0] + n2 * cell_cc[2, 0]
                    y = dy + n0 * cell_cc[0, 1] + n1 * cell_cc[1, 1] + n2 * cell_cc[2, 1]
                    z = dz + n0 * cell_cc[0, 2] + n1 * cell_cc[1, 2] + n2 * cell_cc[2, 2]
                    distance = sqrt(x * x + y * y + z * z)
                    if distance >= cutoff:
                        continue
                    if start >= 0:
                        p = start + n_pairs
                        atoms_p[p] = a
                        shifts_pc[p, 0], shifts_pc[p, 1], shifts_pc[p, 2] = n0, n1, n2
                        vectors_pc[p, 0], vectors_pc[p, 1], vectors_pc[p, 2] = x, y, z
                        distances_p[p] = distance
                    n_pairs += 1
    return n_pairs


@inline
def first_pair(
    positions_ac: Floats, cell_cc: Floats, inverse_cc: Floats, pbc_c: Bools, cutoff: float
) -> tuple[int, int, float]:
    """Two atoms of one structure that are closer than the cutoff, and their distance; -1, -1, 0 if there are none."""
    n_atoms = len(positions_ac)
    no_index, no_vector = np.empty(0, np.int64), np.empty((0, 3))
    no_shift, no_distance = np.empty((0, 3), np.int64), np.empty(0)
    for i in range(n_atoms):
        n = scan_site(
            i, 0, n_atoms, positions_ac, cell_cc, inverse_cc, pbc_c, cutoff,
            -1, no_index, no_shift, no_vector, no_distance,
        )  # fmt: skip
        if n > 0:
            atoms_p, shifts_pc = np.empty(n, np.int64), np.empty((n, 3), np.int64)
            vectors_pc, distances_p = np.empty((n, 3)), np.empty(n)
            scan_site(
                i, 0, n_atoms, positions_ac, cell_cc, inverse_cc, pbc_c, cutoff,
                0, atoms_p, shifts_pc, vectors_pc, distances_p,
            )  # fmt: skip
            return i, atoms_p[0], distances_p[0]
    return -1, -1, 0.0


@parallel_kernel
def find_pairs(
    site_atoms_i: Ints,
    site_structures_i: Ints,
    offsets_s: Ints,
    positions_ac: Floats,
    cells_scc: Floats,
    inverses_scc: Floats,
    pbc_sc: Bools,
    cutoff: float,
    starts_i: Ints,
    counts_i: Ints,
    atoms_p: Ints,
    shifts_pc: Ints,
    vectors_pc: Floats,
    distances_p: Floats,
) -> None:
    """Fill ``counts_i``; where ``starts_i`` is not negative, also the pairs of the site from that row on.

    ``site_atoms_i`` and ``atoms_p`` count over the atoms of all structures.
    """
    for i in prange(site_atoms_i.size):
        s = site_structures_i[i]
        counts_i[i] = scan_site(
            site_atoms_i[i],
            offsets_s[s],
            offsets_s[s + 1],
            positions_ac,
            cells_scc[s],
            inverses_scc[s],
            pbc_sc[s],
            cutoff,
            starts_i[i],
            atoms_p,
            shifts_pc,
            vectors_pc,
            distances_p,
        )
