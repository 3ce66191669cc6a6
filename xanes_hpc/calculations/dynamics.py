"""Molecular dynamics of one structure by xTB; the function can run in any process."""

import warnings
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.calculations.xtb import electrons_of, in_one_line, with_calculator
from xanes_hpc.structures.bonds import Pairs, bonded_pairs
from xanes_hpc.structures.structure import Structure

if TYPE_CHECKING:
    from xanes_hpc.calculations.sample import SampleOptions

BROKEN = 1.5
"""A bond is broken once it is longer than this multiple of its length in the beginning."""


@dataclass(frozen=True)
class Sampled:
    """Frames of a structure, or the reason why it failed.

    ``positions`` (n_frames, n_atoms, 3) are in Å, ``energies`` (n_frames,) in eV; ``temperature`` is the mean of the
    kinetic temperatures of the frames, K. ``of_structure`` and ``of_atoms`` are those of each frame, as in ``Relaxed``.
    """

    positions: list[list[list[float]]] = field(default_factory=list)
    energies: list[float] = field(default_factory=list)
    temperature: float = float("nan")
    of_structure: list[dict[str, float]] = field(default_factory=list)
    of_atoms: list[dict[str, list[float]]] = field(default_factory=list)
    failed: str = ""


def sample_one(structure: Structure, options: "SampleOptions") -> Sampled:
    """Return frames of a structure that moves at a temperature in a fixed cell, by Langevin dynamics.

    Random numbers depend only on the seed and the structure's name. Molecules keep their centre of mass in the frames.

    Parameters
    ----------
    structure
        The structure, with charge and total spin in its properties ``charge`` and ``spin``, if present.
    options
        Method, temperature, and times.
    """
    from ase.md.langevin import Langevin
    from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
    from ase.units import fs

    rng = np.random.default_rng([options.seed, *structure.name.encode()])
    bonds = bonded_pairs(structure.numbers, structure.positions)
    found, temperatures = Sampled(), []
    try:
        atoms, charge, unpaired = with_calculator(structure, options.method)
        centre = atoms.get_center_of_mass()
        with warnings.catch_warnings(), np.errstate(all="ignore"):  # every frame is checked below
            warnings.simplefilter("ignore")
            MaxwellBoltzmannDistribution(atoms, temperature_K=options.temperature, rng=rng)
            dynamics: Any = Langevin(
                atoms, options.timestep * fs, temperature_K=options.temperature, friction=options.friction / fs,
                fixcm=False, rng=rng,
            )  # fmt: skip
            for k in range(options.frames):
                dynamics.run(options.interval if k else options.equilibration)
                if why := _why_unusable(atoms.positions, structure.positions, bonds):
                    return Sampled(failed=f"frame {k}: {why}")
                of_structure, of_atoms = electrons_of(atoms, options.method, charge, unpaired)
                moved = 0.0 if structure.pbc.any() else atoms.get_center_of_mass() - centre
                found.positions.append((atoms.positions - moved).tolist())
                found.energies.append(float(atoms.get_potential_energy()))
                found.of_structure.append(of_structure)
                found.of_atoms.append(of_atoms)
                temperatures.append(float(atoms.get_temperature()))
    except Exception as error:  # tblite and ASE raise their own types
        return Sampled(failed=in_one_line(error))
    return replace(found, temperature=float(np.mean(temperatures)))


def _why_unusable(positions: npt.NDArray[np.float64], first: npt.NDArray[np.float64], bonds: Pairs) -> str:
    """Return why positions are no frame of a structure: not finite, or a bond broke; empty if they are."""
    if not np.isfinite(positions).all():
        return "positions are not finite; try a shorter `timestep`"
    now, before = (np.linalg.norm(x[bonds[:, 0]] - x[bonds[:, 1]], axis=1) for x in (positions, first))
    if (broken := np.flatnonzero(now > BROKEN * before)).size:
        one, other = bonds[broken[0]]
        return (
            f"the bond between atoms {one} and {other} broke: {now[broken[0]]:.2f} Å, {before[broken[0]]:.2f} Å before"
        )
    return ""
