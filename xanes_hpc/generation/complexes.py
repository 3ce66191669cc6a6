"""Build complexes of one metal with four to six ligands in common geometries, distorted at random."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from ase.data import atomic_numbers, chemical_symbols

from xanes_hpc.errors import ConfigError
from xanes_hpc.runtime.limits import LARGEST
from xanes_hpc.structures.bonds import NON_METALS
from xanes_hpc.structures.electrons import even_charge
from xanes_hpc.structures.structure import Structure

Array = npt.NDArray[np.float64]


class Ligand(NamedTuple):
    """A ligand: distance of its donor from the metal (Å), charge (e), and its atoms.

    The donor is at the origin, and the metal on -z.
    """

    distance: float
    charge: int
    atoms: list[tuple[str, float, float, float]]


METALS = tuple(atomic_numbers[symbol] for symbol in ("Cr", "Mn", "Fe", "Co", "Ni", "Cu"))
_R = 1.0 / np.sqrt(2.0)
_T = 1.0 / np.sqrt(3.0)
_H = np.sqrt(3.0) / 2.0
GEOMETRIES: dict[str, list[tuple[float, float, float]]] = {
    "octahedral": [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)],
    "tetrahedral": [(_T, _T, _T), (_T, -_T, -_T), (-_T, _T, -_T), (-_T, -_T, _T)],
    "square_planar": [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0)],
    "trigonal_bipyramidal": [(0, 0, 1), (0, 0, -1), (1, 0, 0), (-0.5, _H, 0), (-0.5, -_H, 0)],
    "square_pyramidal": [(0, 0, 1), (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0)],
}
_RING = [(0.0, 0.0), (1.14, 0.70), (1.19, 2.08), (0.0, 2.80), (-1.19, 2.08), (-1.14, 0.70)]
LIGANDS = {
    "CO": Ligand(1.86, 0, [("C", 0, 0, 0), ("O", 0, 0, 1.14)]),
    "CN": Ligand(1.94, -1, [("C", 0, 0, 0), ("N", 0, 0, 1.16)]),
    "NH3": Ligand(2.08, 0, [("N", 0, 0, 0), ("H", 0.94, 0, 0.36), ("H", -0.47, 0.81, 0.36), ("H", -0.47, -0.81, 0.36)]),
    "OH2": Ligand(2.06, 0, [("O", 0, 0, 0), ("H", 0.78, 0, 0.56), ("H", -0.78, 0, 0.56)]),
    "F": Ligand(1.90, -1, [("F", 0, 0, 0)]),
    "Cl": Ligand(2.28, -1, [("Cl", 0, 0, 0)]),
    "Br": Ligand(2.43, -1, [("Br", 0, 0, 0)]),
    "PH3": Ligand(2.24, 0, [("P", 0, 0, 0), ("H", 1.26, 0, 0.66), ("H", -0.63, 1.09, 0.66), ("H", -0.63, -1.09, 0.66)]),
    "NCS": Ligand(2.00, -1, [("N", 0, 0, 0), ("C", 0, 0, 1.17), ("S", 0, 0, 2.80)]),
    "py": Ligand(2.10, 0, [("N" if i == 0 else "C", x, 0.0, z) for i, (x, z) in enumerate(_RING)]),
}
"""Ligands by name; pyridine (``py``) is without its hydrogen atoms."""
MOST_KINDS = 3
"""Largest number of different ligands in a complex."""


@dataclass(frozen=True)
class ComplexOptions:
    """What complexes are built of; each draws from these at random.

    Attributes
    ----------
    metals
        Atomic numbers.
    geometries, ligands
        Keys of ``GEOMETRIES`` and ``LIGANDS``.
    oxidation
        Oxidation states of the metal; with the charges of the ligands they make the charge of the complex.
    even
        Whether to change the oxidation state by 1 where the number of electrons is odd.
    prefix
        How the names of the complexes begin.

    Raises
    ------
    ConfigError
        If a list is empty or has an unknown entry, or the prefix cannot begin a name.
    """

    metals: tuple[int, ...] = METALS
    geometries: tuple[str, ...] = tuple(GEOMETRIES)
    ligands: tuple[str, ...] = tuple(LIGANDS)
    oxidation: tuple[int, ...] = (2,)
    even: bool = False
    prefix: str = "complex"

    def __post_init__(self) -> None:
        for name, known in (("geometries", GEOMETRIES), ("ligands", LIGANDS)):
            given = getattr(self, name)
            if unknown := [one for one in given if one not in known]:
                raise ConfigError(f"`{name}` {unknown[0]!r}: expected some of {', '.join(known)}")
        for name in ("metals", "geometries", "ligands", "oxidation"):
            if not getattr(self, name):
                raise ConfigError(f"`{name}`: expected at least one, received none")
        if not self.prefix.isprintable() or set(self.prefix) & set("#@"):
            raise ConfigError(f"`prefix`: expected text without # and @, received {self.prefix!r}")
        if others := [z for z in self.metals if z in NON_METALS]:
            raise ConfigError(f"`metals`: expected metals, received {chemical_symbols[others[0]]}")
        if unlikely := [state for state in self.oxidation if not -4 <= state <= 8]:
            raise ConfigError(f"`oxidation`: expected oxidation states from -4 to 8, received {unlikely[0]}")


def complexes(n: int, seed: int, options: ComplexOptions | None = None) -> Iterator[Structure]:
    """Yield ``n`` complexes with the metal as first atom, at the origin.

    Bond lengths are those of ``LIGANDS``, whatever the metal, with a standard deviation of 0.05 Å. A complex has the
    properties ``charge`` and ``oxidation``; neither changes its shape, which depends on the seed and the other options.

    Raises
    ------
    ConfigError
        If ``n`` or the seed is out of range.

    Examples
    --------
    >>> [(one.name, one.properties) for one in complexes(1, 0, ComplexOptions(ligands=("CN",), even=True))]
    [('complex0000_Cu_trigonal_bipyramidal', {'charge': -2.0, 'oxidation': 3.0})]
    """
    options = options or ComplexOptions()
    if not 1 <= n <= LARGEST:
        raise ConfigError(f"`n`: expected 1 to {LARGEST}, received {n}")
    if not 0 <= seed <= LARGEST:
        raise ConfigError(f"`seed`: expected 0 to {LARGEST}, received {seed}")
    shapes, states = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    return _complexes(n, options, shapes, states)


def _complexes(
    n: int, options: ComplexOptions, shapes: np.random.Generator, states: np.random.Generator
) -> Iterator[Structure]:
    for i in range(n):
        metal = options.metals[shapes.integers(len(options.metals))]
        geometry = options.geometries[shapes.integers(len(options.geometries))]
        directions = GEOMETRIES[geometry]
        n_kinds = shapes.integers(1, min(MOST_KINDS, len(options.ligands)) + 1)
        kinds = shapes.choice(list(options.ligands), size=n_kinds, replace=False)
        names = [str(shapes.choice(kinds)) for _ in directions]
        numbers, positions = _atoms(metal, directions, [LIGANDS[name] for name in names], shapes)
        of_ligands = sum(LIGANDS[name].charge for name in names)
        charge = int(states.choice(options.oxidation)) + of_ligands
        if options.even:
            charge = even_charge(numbers, charge)
        yield Structure(
            f"{options.prefix}{i:04d}_{chemical_symbols[metal]}_{geometry}", numbers, positions,
            properties={"charge": float(charge), "oxidation": float(charge - of_ligands)},
        )  # fmt: skip


def _atoms(
    metal: int, directions: Sequence[tuple[float, float, float]], ligands: list[Ligand], generator: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], Array]:
    numbers, positions = [metal], [np.zeros(3)]
    for direction, ligand in zip(directions, ligands, strict=True):
        axis = np.array(direction) + generator.normal(0.0, 0.06, 3)
        frame = _frame(axis / np.linalg.norm(axis), generator.uniform(0.0, 2.0 * np.pi))
        length = ligand.distance + generator.normal(0.0, 0.05)
        for symbol, x, y, z in ligand.atoms:
            numbers.append(atomic_numbers[symbol])
            positions.append(np.array([x, y, z + length]) @ frame + generator.normal(0.0, 0.02, 3))
    return np.array(numbers, np.uint8), np.array(positions)


def _frame(axis: Array, angle: float) -> Array:
    """Return a right-handed frame, shape (3, 3), with ``axis`` as last row, rotated about it by ``angle`` (radians)."""
    other = np.eye(3)[np.argmin(np.abs(axis))]
    first = np.cross(axis, other)
    first /= np.linalg.norm(first)
    second = np.cross(axis, first)
    turned = np.cos(angle) * first + np.sin(angle) * second
    return np.array([turned, np.cross(axis, turned), axis])
