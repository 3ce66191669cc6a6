"""A structure to look at before any is opened: a small complex or crystal of an element that the model knows."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from ase.data import atomic_numbers, covalent_radii

from xanes_hpc.errors import XanesHpcError
from xanes_hpc.prediction.predictor import SitePredictor
from xanes_hpc.structures.structure import Structure

Placed = list[tuple[str, npt.NDArray[np.float64]]]
AXES = np.concatenate([np.eye(3), -np.eye(3)])
CORNERS = np.array([[1, 1, 1], [-1, -1, 1], [-1, 1, -1], [1, -1, -1]]) / np.sqrt(3.0)
LEGS = np.array([[0.82 * np.cos(a), 0.82 * np.sin(a), -0.57] for a in 2.0 * np.pi * np.arange(3) / 3.0])
"""Directions of the three legs of a piano stool, below a ring."""
RING_CARBON, RING_HYDROGEN = 1.21, 2.29
"""Distances of the atoms of a cyclopentadienyl ring from its axis, Å."""
HALVES = [[0.5, 0.0, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 0.5]]
FACES = [[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]]
LAYERS = 3.5
"""Distance of layers, Å."""
CARBONYL = 1.15
"""Length of the bond in a carbonyl group, Å."""
KNOWN = {"charge": 0.0, "spin": 0.0}


def example(predictor: SitePredictor) -> Structure:
    """Return the example that is most similar to the model's training set, with its absorber first."""
    symbol, edges = next(iter(predictor.edges.items()))
    found: list[tuple[float, int, Structure]] = []
    for structure in examples(symbol):
        try:
            prediction = predictor.predict(structure, 0, edges[0])
        except XanesHpcError:  # a descriptor may refuse one
            continue
        if not prediction.distrust:
            return structure
        found.append((float(np.nan_to_num(prediction.nearest, nan=np.inf)), len(found), structure))
    return min(found)[-1] if found else next(examples(symbol))


def examples(symbol: str) -> Iterator[Structure]:
    """Yield idealised structures with an element in the middle: bonds are as long as the covalent radii add up to."""
    radius = float(covalent_radii[atomic_numbers[symbol]])

    def bond(other: str) -> float:
        return radius + float(covalent_radii[atomic_numbers[other]])

    height = float(np.sqrt(bond("C") ** 2 - RING_CARBON**2))
    yield _molecule(f"{symbol}(C5H5)(CO)3", symbol, _ring(height, 0.0) + _carbonyls(bond("C") - 0.25, LEGS))
    yield _molecule(f"{symbol}(C5H5)2", symbol, _ring(height, 0.0) + _ring(-height, np.pi / 5.0))
    yield _molecule(f"{symbol}(H2O)6", symbol, _waters(bond("O")))
    yield _molecule(f"{symbol}(CO)6", symbol, _carbonyls(bond("C") - 0.2, AXES))
    yield _molecule(f"{symbol}Cl4", symbol, [("Cl", bond("Cl") * c) for c in CORNERS])
    a = 2.0 * bond("O")
    corner, middle = [[0.0, 0.0, 0.0]], {"Sr": [[0.5, 0.5, 0.5]]}
    yield _crystal(f"Sr{symbol}O2 crystal", {symbol: corner, "O": HALVES[:2], **middle}, [a, a, LAYERS])
    yield _crystal(f"Sr{symbol}O3 crystal", {symbol: corner, "O": HALVES, **middle}, [a, a, a])
    yield _crystal(f"{symbol}O crystal", {symbol: corner + FACES, "O": [*HALVES, [0.5, 0.5, 0.5]]}, [a, a, a])
    methyls = [("C", bond("C") * CORNERS[0]), ("C", bond("C") * CORNERS[1])]
    yield _molecule(f"{symbol}(CH3)2", symbol, methyls + [h for _, c in methyls for h in _hydrogens(c)])


def _molecule(name: str, symbol: str, around: Placed) -> Structure:
    numbers = np.array([atomic_numbers[own] for own in (symbol, *(other for other, _ in around))], np.uint8)
    return Structure(name, numbers, np.array([np.zeros(3), *(place for _, place in around)]), properties=dict(KNOWN))


def _ring(height: float, turned: float) -> Placed:
    """Return a cyclopentadienyl ring about the z axis."""
    atoms = []
    for angle in turned + 2.0 * np.pi * np.arange(5) / 5.0:
        for name, far in (("C", RING_CARBON), ("H", RING_HYDROGEN)):
            atoms.append((name, np.array([far * np.cos(angle), far * np.sin(angle), height])))
    return atoms


def _carbonyls(distance: float, directions: npt.NDArray[np.float64]) -> Placed:
    return [(name, (distance + out) * a) for a in directions for name, out in (("C", 0.0), ("O", CARBONYL))]


def _waters(distance: float) -> Placed:
    """Return six water molecules, their hydrogen atoms outside."""
    atoms = []
    for axis in AXES:
        across = np.roll(axis, 1)
        atoms += [("O", distance * axis)]
        atoms += [("H", (distance + 0.59) * axis + side * 0.76 * across) for side in (1, -1)]
    return atoms


def _hydrogens(carbon: npt.NDArray[np.float64]) -> Placed:
    """Return the hydrogen atoms of a methyl group whose bond points from the origin."""
    along = carbon / np.linalg.norm(carbon)
    first = np.cross(along, [0.0, 0.0, 1.0])
    first /= np.linalg.norm(first)
    second = np.cross(along, first)
    turned = [np.cos(a) * first + np.sin(a) * second for a in 2.0 * np.pi * np.arange(3) / 3.0]
    return [("H", carbon + 0.36 * along + 1.03 * side) for side in turned]


def _crystal(name: str, atoms: dict[str, list[list[float]]], lengths: list[float]) -> Structure:
    """Return a crystal with a rectangular cell, from the fractional coordinates of its atoms by element."""
    numbers = np.repeat([atomic_numbers[own] for own in atoms], [len(places) for places in atoms.values()])
    places = np.concatenate([np.array(own) for own in atoms.values()]) * lengths
    return Structure(name, numbers.astype(np.uint8), places, np.diag(lengths), np.ones(3, np.bool_), dict(KNOWN))
