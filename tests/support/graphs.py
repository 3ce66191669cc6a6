"""Slow, obvious versions of the graphs of sites, written straight from the definitions."""

import itertools
import math

import numpy as np

from support.reference import neighbours

CUTOFF, BOND, NEAR, WIDTH = 6.0, 3.1, 3.0, 0.5


def atoms_of(atoms, centre):
    """Return (number, vector) of every atom and image within the cutoff of an atom, in the order of a graph."""
    found = neighbours(atoms.positions, atoms.cell[:], atoms.pbc, centre, CUTOFF)
    return [(int(atoms.numbers[row[0]]), np.asarray(row[-1], float)) for row in sorted(found, key=lambda row: row[:4])]


def edges_of(around):
    """Return (j, k, r_jk) of the edges of a graph's atoms."""
    found = []
    for (j, (z, v)), (k, (y, w)) in itertools.combinations(enumerate(around), 2):
        apart = math.dist(v, w)
        both_near = math.dist(v, (0, 0, 0)) < NEAR and math.dist(w, (0, 0, 0)) < NEAR
        if not z == y == 1 and (apart < BOND or both_near):
            found.append((j, k, apart))
    return found


def fade(r, cutoff):
    start = cutoff - WIDTH
    return 1.0 if r <= start else 0.5 * (math.cos(math.pi * (r - start) / WIDTH) + 1.0) if r < cutoff else 0.0


def directed(around):
    """Return (receiver, sender, r_jk, cosines at absorber, receiver and sender, strength), sorted."""
    found = []
    for j, k, apart in edges_of(around):
        for receiver, sender in ((j, k), (k, j)):
            to, of = around[receiver][1], around[sender][1]
            cosines = angle(to, of), angle(-to, of - to), angle(-of, to - of)
            r, s = np.linalg.norm(to), np.linalg.norm(of)
            strength = 1 - (1 - fade(apart, BOND)) * (1 - fade(r, NEAR) * fade(s, NEAR))
            found.append((receiver, sender, apart, cosines, strength))
    return sorted(found)


def angle(v, w):
    return math.cos(math.atan2(np.linalg.norm(np.cross(v, w)), v @ w))
