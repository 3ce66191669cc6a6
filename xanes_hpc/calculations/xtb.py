"""Relax one structure by xTB, and what xTB knows of its electrons; the functions can run in any process."""

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import ConfigError
from xanes_hpc.runtime.optional import need
from xanes_hpc.structures.electrons import charge_of, n_electrons, unpaired_of
from xanes_hpc.structures.structure import Structure

METHODS = {"gfn2": "GFN2-xTB", "gfn1": "GFN1-xTB"}
"""Methods, and their names in tblite."""


@dataclass(frozen=True)
class Relaxed:
    """A relaxed structure: positions (Å), energy (eV) and largest force (eV/Å); or the reason why it failed.

    ``of_structure`` and ``of_atoms`` are what the method knows of the electrons: the energies of the highest occupied
    and lowest empty orbital (``homo``, ``lumo``, eV) and the dipole moment (``dipole``, Debye); and for each atom its
    charge (``charge``, e) and the sum of its bond orders (``valence``).
    """

    positions: list[list[float]] | None = None
    energy: float = float("nan")
    fmax: float = float("nan")
    steps: int = 0
    converged: bool = False
    of_structure: dict[str, float] = field(default_factory=dict)
    of_atoms: dict[str, list[float]] = field(default_factory=dict)
    failed: str = ""


def check_method(method: str, purpose: str) -> None:
    """Check a method's name, and that tblite is installed, which ``purpose`` needs.

    Raises
    ------
    ConfigError
        If there is no such method, or no tblite.
    """
    need("tblite", "relax", purpose)
    if method not in METHODS:
        raise ConfigError(f"`method` {method!r}: expected {', '.join(METHODS)}")


def relax_one(structure: Structure, method: str, fmax: float, steps: int) -> Relaxed:
    """Relax the atoms of a structure in a fixed cell.

    Parameters
    ----------
    structure
        The structure, with charge and total spin in its properties ``charge`` and ``spin``, if present.
    method
        A key of ``METHODS``.
    fmax, steps
        Largest force at convergence, eV/Å, and largest number of steps.
    """
    from ase.optimize import LBFGS

    try:
        atoms, charge, unpaired = with_calculator(structure, method)
        optimize: Any = LBFGS
        with warnings.catch_warnings(), np.errstate(all="ignore"):  # the result is checked below
            warnings.simplefilter("ignore")
            optimizer = optimize(atoms, logfile=None)
            converged = bool(optimizer.run(fmax=fmax, steps=steps))
            energy, forces = float(atoms.get_potential_energy()), atoms.get_forces()
            of_structure, of_atoms = electrons_of(atoms, method, charge, unpaired)
    except Exception as error:  # tblite and ASE raise their own types
        return Relaxed(failed=in_one_line(error))
    largest = float(np.linalg.norm(forces, axis=1).max(initial=0.0))
    if not (np.isfinite(atoms.positions).all() and np.isfinite(energy)):
        return Relaxed(failed="energy or positions are not finite")
    return Relaxed(
        atoms.positions.tolist(), energy, largest, optimizer.get_number_of_steps(), converged, of_structure, of_atoms
    )


def with_calculator(structure: Structure, method: str) -> tuple[Any, int, int]:
    """Return a structure as ``ase.Atoms`` with xTB as calculator, its charge, and its number of unpaired electrons.

    Parameters
    ----------
    structure, method
        As for ``relax_one``. Without a spin it is the lowest that the number of electrons allows.

    Raises
    ------
    ValueError
        If charge or spin is not possible.
    """
    from ase import Atoms
    from tblite.ase import TBLite

    charge, unpaired = charge_of(structure), unpaired_of(structure)
    n = n_electrons(structure.numbers, charge)
    unpaired = n % 2 if unpaired is None else unpaired
    if (n - unpaired) % 2:
        raise ValueError(f"{n} electrons cannot have a total spin of {unpaired / 2:g}")
    cell = structure.cell if structure.pbc.any() else None
    atoms: Any = Atoms(structure.numbers, structure.positions, cell=cell, pbc=structure.pbc)
    atoms.calc = TBLite(method=METHODS[method], charge=charge, multiplicity=unpaired + 1, verbosity=0)
    return atoms, charge, unpaired


def in_one_line(error: Exception) -> str:
    """Return the message of tblite's or ASE's error in one line, or its type if it has none."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def properties_of_structure(method: str, values: dict[str, float]) -> dict[str, float | str]:
    """Return what a method knows of a structure as properties, ``METHOD_NAME``."""
    return {f"{method}_{name}": value for name, value in values.items()}


def properties_of_sites(
    method: str, of_atoms: dict[str, list[float]], atoms: npt.NDArray[np.int64]
) -> list[dict[str, float | str]]:
    """Return what a method knows of these atoms as properties of sites, ``METHOD_NAME``."""
    return [{f"{method}_{name}": values[atom] for name, values in of_atoms.items()} for atom in atoms.tolist()]


def electrons_of(
    atoms: Any, method: str, charge: int, unpaired: int
) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Return what a method knows of the electrons of a structure and of its atoms, by name as in ``Relaxed``."""
    from ase.units import Bohr, Debye, Hartree
    from tblite.interface import Calculator

    periodic = bool(atoms.pbc.any())
    cell = {"lattice": np.asarray(atoms.cell) / Bohr, "periodic": atoms.pbc} if periodic else {}
    calculator = Calculator(METHODS[method], atoms.numbers, atoms.positions / Bohr, float(charge), unpaired, **cell)
    calculator.set("verbosity", 0)
    found = calculator.singlepoint()
    energies, occupied = (np.ravel(found.get(f"orbital-{what}")) for what in ("energies", "occupations"))
    of_structure = {}
    if (full := occupied > 0.5).any() and not full.all():
        of_structure = {
            "homo": float(energies[full].max() * Hartree),
            "lumo": float(energies[~full].min() * Hartree),
        }
    if not periodic:
        of_structure["dipole"] = float(np.linalg.norm(found.get("dipole")) * Bohr / Debye)
    orders = np.asarray(found.get("bond-orders")).reshape(len(atoms), len(atoms), -1).sum(axis=2)
    return of_structure, {"charge": found.get("charges").tolist(), "valence": orders.sum(axis=1).tolist()}
