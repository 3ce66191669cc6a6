"""Neighbours of sites in one large structure by cell lists, which search only the bins around a site.

Axes: i site, a atom of the structure, o position in the order of bins, b bin, c Cartesian component or cell vector,
p pair, f pair found for one site.

Bins are parallelepipeds at least as thick as the cutoff, if the structure is large enough. Along a periodic direction
they divide the cell, and atoms are wrapped into it: r = wrapped + wrap . cell. Along other directions they divide the
range of the atoms. Bins are numbered with the last direction fastest; the atoms of a bin are stored together, in
ascending order. The pairs and their order are those of ``neighbours``, whose function computes vector and distance.
"""

from math import floor

import numpy as np

from xanes_hpc_kernels._jit import inline, kernel
from xanes_hpc_kernels.compaction import LANES, count_near, keep_near, lanes_of
from xanes_hpc_kernels.neighbours import image_distance, write_pair
from xanes_hpc_kernels.types import Bools, Floats, Ints

RUN = 256
"""Atoms tested at once, before the exact distances of the near ones are computed."""
ROUNDING = 1e-9
"""Relative half-width of the shell around the squared cutoff in which only the exact distance decides."""
FEW = 1024
"""Up to this many pairs of a site are ranked by counting, which vectorises; more are sorted."""


@inline
def bin_along(fraction: float, low: float, width: float, n_bins: int) -> int:
    """Return the bin along one direction."""
    return max(0, min(n_bins - 1, floor((fraction - low) / width)))


@kernel
def sort_into_bins(
    positions_ac: Floats,
    cell_cc: Floats,
    inverse_cc: Floats,
    pbc_c: Bools,
    low_c: Floats,
    width_c: Floats,
    n_bins_c: Ints,
    wraps_ac: Ints,
    bins_ac: Ints,
    starts_b: Ints,
    order_o: Ints,
    wrapped_co: Floats,
) -> None:
    """Wrap the atoms into the cell and sort them by bin; ``starts_b`` has one more entry than there are bins."""
    n_atoms = len(positions_ac)
    flat_a = np.empty(n_atoms, np.int64)
    starts_b[:] = 0
    for a in range(n_atoms):
        b = 0
        for c in range(3):
            fraction = 0.0
            for k in range(3):
                fraction += positions_ac[a, k] * inverse_cc[k, c]
            wraps_ac[a, c] = floor(fraction) if pbc_c[c] else 0
            bins_ac[a, c] = bin_along(fraction - wraps_ac[a, c], low_c[c], width_c[c], n_bins_c[c])
            b = b * n_bins_c[c] + bins_ac[a, c]
        flat_a[a] = b
        starts_b[b + 1] += 1
    for b in range(1, starts_b.size):
        starts_b[b] += starts_b[b - 1]
    next_b = starts_b.copy()
    for a in range(n_atoms):
        o = next_b[flat_a[a]]
        next_b[flat_a[a]] += 1
        order_o[o] = a
        for k in range(3):
            wrapped_co[k, o] = positions_ac[a, k] - (
                wraps_ac[a, 0] * cell_cc[0, k] + wraps_ac[a, 1] * cell_cc[1, k] + wraps_ac[a, 2] * cell_cc[2, k]
            )


@inline
def scan_run(
    site: int,
    first: int,
    last: int,
    s0: int,
    s1: int,
    s2: int,
    positions_ac: Floats,
    cell_cc: Floats,
    cutoff: float,
    wraps_ac: Ints,
    order_o: Ints,
    wrapped_co: Floats,
    near: Ints,
    n_pairs: int,
    found_f: Ints,
    images_fc: Ints,
    vectors_fd: Floats,
) -> int:
    """Add pairs with the atoms at positions ``first:last``, shifted by (s0, s1, s2) cells, and return the new count.

    Pairs are written while ``found_f`` has room, and otherwise only counted. The site itself counts as a pair.
    """
    w0, w1, w2 = wraps_ac[site, 0] + s0, wraps_ac[site, 1] + s1, wraps_ac[site, 2] + s2
    x = positions_ac[site, 0] - (w0 * cell_cc[0, 0] + w1 * cell_cc[1, 0] + w2 * cell_cc[2, 0])
    y = positions_ac[site, 1] - (w0 * cell_cc[0, 1] + w1 * cell_cc[1, 1] + w2 * cell_cc[2, 1])
    z = positions_ac[site, 2] - (w0 * cell_cc[0, 2] + w1 * cell_cc[1, 2] + w2 * cell_cc[2, 2])
    inner, outer = cutoff * cutoff * (1.0 - ROUNDING), cutoff * cutoff * (1.0 + ROUNDING)
    lanes = lanes_of(wrapped_co)
    if found_f.size == 0:
        n_inner = n_outer = 0
        for o in range(first, last, lanes):
            within_inner, within_outer = count_near(wrapped_co, o, last, x, y, z, inner, outer)
            n_inner += within_inner
            n_outer += within_outer
        if n_inner == n_outer:
            return n_pairs + n_inner
    for begin in range(first, last, RUN):
        end = min(begin + RUN, last)
        n_near = 0
        for o in range(begin, end, lanes):
            n_near += keep_near(wrapped_co, o, end, x, y, z, outer, near, n_near)
        for k in range(n_near):
            a = order_o[near[k]]
            n0, n1, n2 = w0 - wraps_ac[a, 0], w1 - wraps_ac[a, 1], w2 - wraps_ac[a, 2]
            x_, y_, z_, distance = image_distance(site, a, n0, n1, n2, positions_ac, cell_cc)
            if distance >= cutoff:
                continue
            if n_pairs < found_f.size:
                found_f[n_pairs] = a
                images_fc[n_pairs, 0], images_fc[n_pairs, 1], images_fc[n_pairs, 2] = n0, n1, n2
                vectors_fd[n_pairs, 0], vectors_fd[n_pairs, 1], vectors_fd[n_pairs, 2] = x_, y_, z_
                vectors_fd[n_pairs, 3] = distance
            n_pairs += 1
    return n_pairs


@inline
def scan_bins(
    site: int,
    positions_ac: Floats,
    cell_cc: Floats,
    pbc_c: Bools,
    cutoff: float,
    reach_c: Ints,
    n_bins_c: Ints,
    wraps_ac: Ints,
    bins_ac: Ints,
    starts_b: Ints,
    order_o: Ints,
    wrapped_co: Floats,
    found_f: Ints,
    images_fc: Ints,
    vectors_fd: Floats,
) -> int:
    """Find the pairs of one site, itself included, and return their number; those of an atom are ordered by image."""
    near = np.empty(RUN + LANES, np.int64)
    n0, n1, n2 = n_bins_c[0], n_bins_c[1], n_bins_c[2]
    low, high = bins_ac[site, 2] - reach_c[2], bins_ac[site, 2] + reach_c[2]
    n_pairs = 0
    for b0 in range(bins_ac[site, 0] - reach_c[0], bins_ac[site, 0] + reach_c[0] + 1):
        s0 = b0 // n0
        if s0 != 0 and not pbc_c[0]:
            continue
        for b1 in range(bins_ac[site, 1] - reach_c[1], bins_ac[site, 1] + reach_c[1] + 1):
            s1 = b1 // n1
            if s1 != 0 and not pbc_c[1]:
                continue
            row = ((b0 - s0 * n0) * n1 + (b1 - s1 * n1)) * n2
            for s2 in range(low // n2, high // n2 + 1):
                if s2 != 0 and not pbc_c[2]:
                    continue
                first = row + max(low - s2 * n2, 0)
                last = row + min(high - s2 * n2, n2 - 1)
                n_pairs = scan_run(
                    site, starts_b[first], starts_b[last + 1], s0, s1, s2, positions_ac, cell_cc, cutoff,
                    wraps_ac, order_o, wrapped_co, near, n_pairs, found_f, images_fc, vectors_fd,
                )  # fmt: skip
    return n_pairs


@inline
def ranks(found_f: Ints) -> Ints:
    """Return the rank of each pair of a site by atom; pairs of the same atom keep their order."""
    n = found_f.size
    keys, places = np.empty(n, np.int64), np.empty(n, np.int64)
    for f in range(n):
        keys[f] = found_f[f] * n + f
    if n > FEW:
        places[np.argsort(keys)] = np.arange(n)
        return places
    for f in range(n):
        key, smaller = keys[f], 0
        for other in range(n):
            smaller += keys[other] < key
        places[f] = smaller
    return places


@kernel
def find_pairs(
    rows_r: Ints,
    site_atoms_i: Ints,
    first_atom: int,
    numbers_a: Ints,
    positions_ac: Floats,
    cell_cc: Floats,
    pbc_c: Bools,
    cutoff: float,
    reach_c: Ints,
    n_bins_c: Ints,
    wraps_ac: Ints,
    bins_ac: Ints,
    starts_b: Ints,
    order_o: Ints,
    wrapped_co: Floats,
    starts_i: Ints,
    counts_i: Ints,
    atoms_p: Ints,
    numbers_p: Ints,
    shifts_pc: Ints,
    vectors_pc: Floats,
    distances_p: Floats,
) -> None:
    """Count the pairs of the sites ``rows_r`` in ``counts_i``, and write them from row ``starts_i`` on.

    The pairs of a site whose ``starts_i`` is negative are only counted. Atoms of the structure are numbered from 0,
    ``site_atoms_i`` and the atoms of pairs from ``first_atom``.
    """
    for r in range(rows_r.size):
        i = rows_r[r]
        site, start = site_atoms_i[i] - first_atom, starts_i[i]
        n_found = counts_i[i] + 1 if start >= 0 else 0
        found, images, vectors = np.empty(n_found, np.int64), np.empty((n_found, 3), np.int64), np.empty((n_found, 4))
        n_pairs = scan_bins(
            site, positions_ac, cell_cc, pbc_c, cutoff, reach_c, n_bins_c,
            wraps_ac, bins_ac, starts_b, order_o, wrapped_co, found, images, vectors,
        )  # fmt: skip
        counts_i[i] = n_pairs - 1  # without the site itself
        if start >= 0:
            places = ranks(found)
            own = n_found
            for f in range(n_found):
                if found[f] == site and images[f, 0] == 0 and images[f, 1] == 0 and images[f, 2] == 0:
                    own = places[f]
            for f in range(n_found):
                if places[f] != own:
                    a, n0, n1, n2 = found[f], images[f, 0], images[f, 1], images[f, 2]
                    x, y, z, distance = vectors[f, 0], vectors[f, 1], vectors[f, 2], vectors[f, 3]
                    p = start + places[f] - (places[f] > own)
                    write_pair(
                        p,
                        first_atom + a,
                        numbers_a[a],
                        n0,
                        n1,
                        n2,
                        x,
                        y,
                        z,
                        distance,
                        atoms_p,
                        numbers_p,
                        shifts_pc,
                        vectors_pc,
                        distances_p,
                    )
