"""Generate complexes with synthetic spectra, to demonstrate every step without data.

The complexes are those of ``generation.complexes``. Their spectra come from a simple scattering model, not from a
calculation, and are labelled synthetic in every file. With k = sqrt(0.2625 (E - E0 + 12 eV)) in 1/Å and r in Å,

    mu(E)  = [1/2 + arctan((E - E0 - w + 4 eV) / 2 eV) / pi] (1 + chi(k)) + white line at w
    chi(k) = sum_j a_j sin(2 k r_j + phi_j) / (k r_j^2)
           + sum_jl a_j a_l sin(2 k r_l) / (k r_l)   over atoms l behind j: within 2 Å of it, and within 30 degrees of
                                                     the line from the metal through j
    a_j    = -0.35 sqrt(Z_j) exp(-0.02 k^2),  phi_j = 0.15 Z_j - 0.5 k

The white line is a Gaussian with a standard deviation of 2.5 eV. Shorter bonds shift it to higher energies (Natoli's
rule), and more ligands make it taller.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from xanes_hpc.generation.complexes import ComplexOptions, complexes
from xanes_hpc.spectra.edges import edge_energy
from xanes_hpc.structures.structure import Structure

Array = npt.NDArray[np.float64]

LABEL = "synthetic scattering model of the xanes-hpc demo, not a calculation"
ENERGIES = np.arange(-20.0, 60.01, 0.4)


def spectrum(structure: Structure) -> Array:
    """Return the scattering model's mu of a complex's first atom, at ``ENERGIES`` relative to the edge."""
    positions, numbers = structure.positions[1:], structure.numbers[1:].astype(np.int64)
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
    for structure in complexes(n, seed, ComplexOptions(prefix="demo")):
        symbols = [chemical_symbols[number] for number in structure.numbers]
        rows = [f"{s} {x:.6f} {y:.6f} {z:.6f}" for s, (x, y, z) in zip(symbols, structure.positions, strict=True)]
        text = "\n".join([str(len(symbols)), "generated for the xanes-hpc demo", *rows])
        (structures / f"{structure.name}.xyz").write_text(text + "\n", encoding="utf-8")
        table = np.stack([ENERGIES + edge_energy(int(structure.numbers[0]), "K"), spectrum(structure)], axis=1)
        np.savetxt(spectra / f"{structure.name}.txt", table, fmt="%.4f %.6f", header=f"{LABEL}\nenergy <xanes>")
