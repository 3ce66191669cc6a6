"""Neighbours of absorption sites within a cutoff, in molecules and periodic systems.

Axes: i site, s structure, a atom (of all structures, in sequence), p pair, c Cartesian component or cell vector.

A pair is (site, atom j, image n) with the vector r_j + n . cell - r_site. It is kept if its length is less than the
cutoff and it is not the site itself. Pairs of a site are ordered by j, then by n. This module tests every atom of the
structure, and per periodic direction only the images that can be within the cutoff. The spacing of the lattice planes
bounds these images for any angles of the cell and any positions in it. ``cell_lists`` tests only atoms near the site.
"""

from math import ceil, floor, sqrt

import numpy as np

from xanes_hpc_kernels._jit import exact_inline, inline, kernel
from xanes_hpc_kernels.types import Bools, Floats, Ints

ROUNDED = 1.0 + 1e-9
"""Larger than what rounding does to a square."""


@exact_inline
def atom_distance(site: int, a: int, positions_ac: Floats) -> tuple[float, float, float, float]:
    """Return the vector from a site to atom ``a``, and its length."""
    x = positions_ac[a, 0] - positions_ac[site, 0]
    y = positions_ac[a, 1] - positions_ac[site, 1]
    z = positions_ac[a, 2] - positions_ac[site, 2]
    return x, y, z, sqrt(x * x + y * y + z * z)


@exact_inline
def image_distance(
    site: int, a: int, n0: int, n1: int, n2: int, positions_ac: Floats, cell_cc: Floats
) -> tuple[float, float, float, float]:
    """Return the vector from a site to an image of atom ``a``, and its length."""
    x = positions_ac[a, 0] - positions_ac[site, 0] + n0 * cell_cc[0, 0] + n1 * cell_cc[1, 0] + n2 * cell_cc[2, 0]
    y = positions_ac[a, 1] - positions_ac[site, 1] + n0 * cell_cc[0, 1] + n1 * cell_cc[1, 1] + n2 * cell_cc[2, 1]
    z = positions_ac[a, 2] - positions_ac[site, 2] + n0 * cell_cc[0, 2] + n1 * cell_cc[1, 2] + n2 * cell_cc[2, 2]
    return x, y, z, sqrt(x * x + y * y + z * z)


@inline
def write_pair(
    p: int,
    a: int,
    number: int,
    n0: int,
    n1: int,
    n2: int,
    x: float,
    y: float,
    z: float,
    distance: float,
    atoms_p: Ints,
    numbers_p: Ints,
    shifts_pc: Ints,
    vectors_pc: Floats,
    distances_p: Floats,
) -> None:
    """Write row ``p`` of the pairs."""
    atoms_p[p] = a
    numbers_p[p] = number
    shifts_pc[p, 0], shifts_pc[p, 1], shifts_pc[p, 2] = n0, n1, n2
    vectors_pc[p, 0], vectors_pc[p, 1], vectors_pc[p, 2] = x, y, z
    distances_p[p] = distance


@inline
def scan_molecule(
    site: int,
    first_atom: int,
    last_atom: int,
    numbers_a: Ints,
    positions_ac: Floats,
    cutoff: float,
    start: int,
    atoms_p: Ints,
    numbers_p: Ints,
    shifts_pc: Ints,
    vectors_pc: Floats,
    distances_p: Floats,
) -> int:
    """Return the number of pairs of one site in a molecule, and write them from row ``start`` on.

    If ``start`` is negative, pairs are only counted.
    """
    if start < 0:
        n_pairs = -1  # the site itself
        for a in range(first_atom, last_atom):
            n_pairs += atom_distance(site, a, positions_ac)[3] < cutoff
        return n_pairs
    n_pairs = 0
    near = np.empty(last_atom - first_atom, np.int64)
    for a in range(first_atom, last_atom):
        near[n_pairs] = a  # the next atom overwrites this one unless it is near: no branch to mispredict
        n_pairs += (atom_distance(site, a, positions_ac)[3] < cutoff) & (a != site)
    for k in range(n_pairs):
        a = near[k]
        x, y, z, distance = atom_distance(site, a, positions_ac)
        write_pair(
            start + k,
            a,
            numbers_a[a],
            0,
            0,
            0,
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
    return n_pairs


@inline
def reach_in_cells(inverse_cc: Floats, c: int, cutoff: float) -> float:
    """Return the number of cells that the cutoff spans along a direction, with a margin for rounding."""
    return cutoff * sqrt(inverse_cc[0, c] ** 2 + inverse_cc[1, c] ** 2 + inverse_cc[2, c] ** 2) + 1e-9


@inline
def images_between(
    x: float, y: float, z: float, inverse_cc: Floats, c: int, periodic: bool, reach: float
) -> tuple[int, int]:
    """Return the first and last image of an atom that can be within reach along a direction; (0, 0) without images."""
    if not periodic:
        return 0, 0
    fraction = x * inverse_cc[0, c] + y * inverse_cc[1, c] + z * inverse_cc[2, c]
    return ceil(-reach - fraction), floor(reach - fraction)


@inline
def scan_images(
    site: int,
    first_atom: int,
    last_atom: int,
    numbers_a: Ints,
    positions_ac: Floats,
    cell_cc: Floats,
    inverse_cc: Floats,
    pbc_c: Bools,
    cutoff: float,
    start: int,
    atoms_p: Ints,
    numbers_p: Ints,
    shifts_pc: Ints,
    vectors_pc: Floats,
    distances_p: Floats,
) -> int:
    """Return the number of pairs of one site in a periodic structure, and write them; see ``scan_molecule``."""
    n_pairs = 0
    reach0, reach1, reach2 = (
        reach_in_cells(inverse_cc, 0, cutoff),
        reach_in_cells(inverse_cc, 1, cutoff),
        reach_in_cells(inverse_cc, 2, cutoff),
    )
    for a in range(first_atom, last_atom):
        x = positions_ac[a, 0] - positions_ac[site, 0]
        y = positions_ac[a, 1] - positions_ac[site, 1]
        z = positions_ac[a, 2] - positions_ac[site, 2]
        low0, high0 = images_between(x, y, z, inverse_cc, 0, pbc_c[0], reach0)
        low1, high1 = images_between(x, y, z, inverse_cc, 1, pbc_c[1], reach1)
        low2, high2 = images_between(x, y, z, inverse_cc, 2, pbc_c[2], reach2)
        for n0 in range(low0, high0 + 1):
            for n1 in range(low1, high1 + 1):
                for n2 in range(low2, high2 + 1):
                    if a == site and n0 == 0 and n1 == 0 and n2 == 0:
                        continue
                    x, y, z, distance = image_distance(site, a, n0, n1, n2, positions_ac, cell_cc)
                    if distance < cutoff:
                        if start >= 0:
                            write_pair(
                                start + n_pairs,
                                a,
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
                        n_pairs += 1
    return n_pairs


@inline
def first_pair_of_molecule(positions_ac: Floats, radii_a: Floats) -> tuple[int, int, float]:
    """Return what ``first_pair`` does, for atoms without images."""
    for i in range(radii_a.size):
        for j in range(i + 1, radii_a.size):
            x = positions_ac[j, 0] - positions_ac[i, 0]
            y = positions_ac[j, 1] - positions_ac[i, 1]
            z = positions_ac[j, 2] - positions_ac[i, 2]
            closest = radii_a[i] + radii_a[j]
            if x * x + y * y + z * z < ROUNDED * closest * closest:
                distance = atom_distance(i, j, positions_ac)[3]
                if distance < closest:
                    return i, j, distance
    return -1, -1, 0.0


@kernel
def first_pair(
    positions_ac: Floats, cell_cc: Floats, inverse_cc: Floats, pbc_c: Bools, radii_a: Floats
) -> tuple[int, int, float]:
    """Return two atoms closer than the sum of their radii, and their distance; (-1, -1, 0) if there are none."""
    n_atoms = len(positions_ac)
    if not (pbc_c[0] or pbc_c[1] or pbc_c[2]):
        return first_pair_of_molecule(positions_ac, radii_a)
    numbers = np.zeros(n_atoms, np.uint8)
    largest = 0.0
    for i in range(n_atoms):
        largest = max(largest, radii_a[i])
    for i in range(n_atoms):
        cutoff = radii_a[i] + largest
        n = 0
        for start in (-1, 0):
            atoms_p, numbers_p = np.empty(n, np.int64), np.empty(n, np.uint8)
            shifts_pc, vectors_pc, distances_p = np.empty((n, 3), np.int32), np.empty((n, 3)), np.empty(n)
            n = scan_images(
                i, 0, n_atoms, numbers, positions_ac, cell_cc, inverse_cc, pbc_c, cutoff, start,
                atoms_p, numbers_p, shifts_pc, vectors_pc, distances_p,
            )  # fmt: skip
            if start == 0:
                for p in range(n):
                    if distances_p[p] < radii_a[i] + radii_a[atoms_p[p]]:
                        return i, atoms_p[p], distances_p[p]
    return -1, -1, 0.0


@kernel
def find_pairs(
    rows_r: Ints,
    site_atoms_i: Ints,
    site_structures_i: Ints,
    offsets_s: Ints,
    numbers_a: Ints,
    positions_ac: Floats,
    cells_scc: Floats,
    inverses_scc: Floats,
    pbc_sc: Bools,
    cutoff: float,
    starts_i: Ints,
    counts_i: Ints,
    atoms_p: Ints,
    numbers_p: Ints,
    shifts_pc: Ints,
    vectors_pc: Floats,
    distances_p: Floats,
) -> None:
    """Count the pairs of the sites ``rows_r`` in ``counts_i``, and write them from row ``starts_i`` on.

    The pairs of a site whose ``starts_i`` is negative are only counted. ``site_atoms_i`` and the atoms of pairs are
    numbered over all structures.
    """
    for r in range(rows_r.size):
        i = rows_r[r]
        s = site_structures_i[i]
        first, last = offsets_s[s], offsets_s[s + 1]
        if pbc_sc[s, 0] or pbc_sc[s, 1] or pbc_sc[s, 2]:
            counts_i[i] = scan_images(
                site_atoms_i[i], first, last, numbers_a, positions_ac, cells_scc[s], inverses_scc[s], pbc_sc[s],
                cutoff, starts_i[i], atoms_p, numbers_p, shifts_pc, vectors_pc, distances_p,
            )  # fmt: skip
        else:
            counts_i[i] = scan_molecule(
                site_atoms_i[i],
                first,
                last,
                numbers_a,
                positions_ac,
                cutoff,
                starts_i[i],
                atoms_p,
                numbers_p,
                shifts_pc,
                vectors_pc,
                distances_p,
            )
