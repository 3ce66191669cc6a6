"""Generate complexes with synthetic spectra, to demonstrate every step without data.

Each complex is a first-row transition metal with four to six ligands in a common geometry; bond lengths and directions
are distorted at random. The spectra come from a simple scattering model, not from a calculation, and are labelled
synthetic in every file. With k = sqrt(0.2625 (E - E0 + 12 eV)) in 1/Å and r in Å,

    mu(E)  = [1/2 + arctan((E - E0 - w + 4 eV) / 2 eV) / pi] (1 + chi(k)) + white line at w
    chi(k) = sum_j a_j sin(2 k r_j + phi_j) / (k r_j^2)
           + sum_jl a_j a_l sin(2 k r_l) / (k r_l)   over atoms l behind j: within 2 Å of it, and within 30 degrees of
                                                     the line from the metal through j
    a_j    = -0.35 sqrt(Z_j) exp(-0.02 k^2),  phi_j = 0.15 Z_j - 0.5 k

The white line is a Gaussian with a standard deviation of 2.5 eV. Shorter bonds shift it to higher energies (Natoli's
rule), and more ligands make it taller.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.data import atomic_numbers

from xanes_hpc.spectra.edges import edge_energy

Array = npt.NDArray[np.float64]

LABEL = "synthetic scattering model of the xanes-hpc demo, not a calculation"
METALS = ("Cr", "Mn", "Fe", "Co", "Ni", "Cu")
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
LIGANDS: dict[str, tuple[float, list[tuple[str, float, float, float]]]] = {
    "CO": (1.86, [("C", 0, 0, 0), ("O", 0, 0, 1.14)]),
    "CN": (1.94, [("C", 0, 0, 0), ("N", 0, 0, 1.16)]),
    "NH3": (2.08, [("N", 0, 0, 0), ("H", 0.94, 0, 0.36), ("H", -0.47, 0.81, 0.36), ("H", -0.47, -0.81, 0.36)]),
    "OH2": (2.06, [("O", 0, 0, 0), ("H", 0.78, 0, 0.56), ("H", -0.78, 0, 0.56)]),
    "F": (1.90, [("F", 0, 0, 0)]),
    "Cl": (2.28, [("Cl", 0, 0, 0)]),
    "Br": (2.43, [("Br", 0, 0, 0)]),
    "PH3": (2.24, [("P", 0, 0, 0), ("H", 1.26, 0, 0.66), ("H", -0.63, 1.09, 0.66), ("H", -0.63, -1.09, 0.66)]),
    "NCS": (2.00, [("N", 0, 0, 0), ("C", 0, 0, 1.17), ("S", 0, 0, 2.80)]),
    "py": (2.10, [("N" if i == 0 else "C", x, 0.0, z) for i, (x, z) in enumerate(_RING)]),
}
"""Per ligand, its distance from the metal (Å), and its atoms with the donor at the origin and the metal on -z."""
ENERGIES = np.arange(-20.0, 60.01, 0.4)


def complexes(n: int, seed: int) -> list[tuple[str, Atoms]]:
    """Return ``n`` named complexes with the metal as first atom, at the origin."""
    generator = np.random.default_rng(seed)
    made = []
    for i in range(n):
        metal = METALS[generator.integers(len(METALS))]
        geometry = list(GEOMETRIES)[generator.integers(len(GEOMETRIES))]
        directions = GEOMETRIES[geometry]
        kinds = generator.choice(list(LIGANDS), size=generator.integers(1, 4), replace=False)
        ligands = [str(generator.choice(kinds)) for _ in directions]
        made.append((f"demo{i:04d}_{metal}_{geometry}", _complex(metal, directions, ligands, generator)))
    return made


def _complex(
    metal: str, directions: Sequence[tuple[float, float, float]], ligands: list[str], generator: np.random.Generator
) -> Atoms:
    symbols, positions = [metal], [np.zeros(3)]
    for direction, ligand in zip(directions, ligands, strict=True):
        length, atoms = LIGANDS[ligand]
        axis = np.array(direction) + generator.normal(0.0, 0.06, 3)
        frame = _frame(axis / np.linalg.norm(axis), generator.uniform(0.0, 2.0 * np.pi))
        length += generator.normal(0.0, 0.05)
        for symbol, x, y, z in atoms:
            symbols.append(symbol)
            positions.append(np.array([x, y, z + length]) @ frame + generator.normal(0.0, 0.02, 3))
    return Atoms(symbols, positions=np.array(positions))


def _frame(axis: Array, angle: float) -> Array:
    """Return a right-handed frame, shape (3, 3), with ``axis`` as last row, rotated about it by ``angle`` (radians)."""
    other = np.eye(3)[np.argmin(np.abs(axis))]
    first = np.cross(axis, other)
    first /= np.linalg.norm(first)
    second = np.cross(axis, first)
    turned = np.cos(angle) * first + np.sin(angle) * second
    return np.array([turned, np.cross(axis, turned), axis])


def spectrum(atoms: Atoms) -> Array:
    """Return the scattering model's mu of a complex's first atom, at ``ENERGIES`` relative to the edge."""
    positions, numbers = atoms.positions[1:], atoms.numbers[1:]
    r = np.linalg.norm(positions, axis=1)
    k = np.sqrt(0.2625 * np.maximum(ENERGIES + 12.0, 0.5))
    amplitude = -0.35 * np.sqrt(numbers)[:, None] * np.exp(-0.02 * k**2)
    phase = 0.15 * numbers[:, None] - 0.5 * k
    chi = (amplitude * np.sin(2.0 * k * r[:, None] + phase) / (k * r[:, None] ** 2)).sum(axis=0)
    for i in range(r.size):
        for j in range(r.size):
            onward = positions[j] - positions[i]
            distance = float(np.linalg.norm(onward))
            if r[j] > r[i] and distance < 2.0 and -positions[i] @ onward < -0.866 * r[i] * distance:
                chi += amplitude[i] * amplitude[j] * np.sin(2.0 * k * r[j]) / (k * r[j])
    donors = r < 2.7
    centre = 6.0 + 12.0 * (2.1 - r[donors].mean())
    height = 0.12 * donors.sum()
    edge = 0.5 + np.arctan((ENERGIES - centre + 4.0) / 2.0) / np.pi
    white_line = height * np.exp(-0.5 * ((ENERGIES - centre) / 2.5) ** 2)
    return np.asarray(np.maximum(edge * (1.0 + chi) + white_line, 0.0))


def write(folder: Path | str, n: int, seed: int) -> None:
    """Write ``n`` complexes as ``structures/NAME.xyz`` and ``spectra/NAME.txt`` in ``folder``."""
    structures, spectra = Path(folder) / "structures", Path(folder) / "spectra"
    structures.mkdir(parents=True)
    spectra.mkdir()
    for name, atoms in complexes(n, seed):
        rows = [f"{s} {x:.6f} {y:.6f} {z:.6f}" for s, (x, y, z) in zip(atoms.symbols, atoms.positions, strict=True)]
        text = "\n".join([str(len(atoms)), "generated for the xanes-hpc demo", *rows])
        (structures / f"{name}.xyz").write_text(text + "\n", encoding="utf-8")
        e0 = edge_energy(atomic_numbers[atoms.symbols[0]], "K")
        table = np.stack([ENERGIES + e0, spectrum(atoms)], axis=1)
        np.savetxt(spectra / f"{name}.txt", table, fmt="%.4f %.6f", header=f"{LABEL}\nenergy <xanes>")
