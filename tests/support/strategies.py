"""Hypothesis strategies for structures, and the settings the property tests share."""

import numpy as np
from ase import Atoms
from hypothesis import settings
from hypothesis import strategies as st

quick = settings(max_examples=25, deadline=None, derandomize=True, database=None)
"""Few examples, always the same; no deadline, because the first call compiles kernels."""

ELEMENTS = (1, 6, 7, 8, 9, 15, 16, 17, 26, 35)
NEAREST = 0.7
"""Smallest distance between two atoms of a drawn molecule, in Å."""


def coordinates(size):
    """Draw a coordinate on a lattice of 0.01 Å: easy to shrink, and rarely within rounding of a boundary."""
    return st.integers(-round(100 * size), round(100 * size)).map(lambda i: i / 100.0)


@st.composite
def molecules(draw, min_atoms=2, max_atoms=8, size=4.0):
    """Draw molecules without a cell; the first atom is Fe, and no two atoms are closer than ``NEAREST``."""
    points = draw(st.lists(st.tuples(*[coordinates(size)] * 3), min_size=min_atoms, max_size=max_atoms, unique=True))
    kept = [points[0]]
    for point in points[1:]:
        if all(np.linalg.norm(np.subtract(point, other)) >= NEAREST for other in kept):
            kept.append(point)
    numbers = [26, *(draw(st.sampled_from(ELEMENTS)) for _ in kept[1:])]
    return Atoms(numbers=numbers, positions=kept)


@st.composite
def cells(draw):
    """Draw triclinic cells with edges of 1.5 to 6 Å and a volume well above zero."""
    lengths = [draw(st.integers(150, 600)) / 100.0 for _ in range(3)]
    tilts = [draw(st.integers(-70, 70)) / 100.0 for _ in range(3)]
    cell = np.eye(3)
    cell[1, 0], cell[2, 0], cell[2, 1] = tilts
    return cell * np.array(lengths)[:, None]


@st.composite
def crystals(draw, max_atoms=4):
    """Draw atoms in a triclinic cell, periodic along any of its vectors or none; atoms may be outside the cell."""
    pbc = draw(st.tuples(st.booleans(), st.booleans(), st.booleans()))
    cell = draw(cells())
    fractions = draw(st.lists(st.tuples(*[coordinates(1.5)] * 3), min_size=1, max_size=max_atoms, unique=True))
    numbers = [draw(st.sampled_from(ELEMENTS)) for _ in fractions]
    return Atoms(numbers=numbers, scaled_positions=fractions, cell=cell, pbc=pbc)


@st.composite
def rotations(draw):
    """Draw rotation matrices, from quaternions."""
    q = np.array([draw(st.integers(-50, 50)) for _ in range(4)], float)
    q = np.array([1.0, 0, 0, 0]) if not q.any() else q / np.linalg.norm(q)
    w, x, y, z = q
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
