"""How FEFF's spectra and their cost depend on the radii of the potential and of multiple scattering.

    python benchmarks/feff_radii.py fe.h5 --folder WORK

Five complexes of the Fe set, of 21 to 81 atoms, and two oxides, whose clusters are full and take minutes; each is
compared with its own spectrum at the last radii. Time is that of the processor, so other work on the machine matters
little. `WORK` keeps what is done.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from ase.spacegroup import crystal
from feff_once import Calculated, calculated
from tables import table

from xanes_hpc.analysis.evaluate import error_percent
from xanes_hpc.formats.feff_input import Settings
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.structure import Structure

CODES = ("AZEPFE", "BOFFIL", "AGUGEO", "ACISOU", "CASCEH")
OF_COMPLEXES = ((0, 6), (4, 6), (5, 6), (7, 6), (5, 5), (7, 8))
OF_OXIDES = ((0, 6), (4, 6), (5, 5), (5, 6))
"""SCF and FMS radii, Å; the last are the reference."""
GRID = np.linspace(-10.0, 60.0, 281)
"""Energies from the Fermi level at which spectra are compared, eV."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path, help="structure store of the Fe set")
    parser.add_argument("--folder", type=Path, required=True, metavar="WORK", help="keep the calculations here")
    given = parser.parse_args()
    lines: dict[tuple[tuple[int, int], ...], list[list[str]]] = {OF_COMPLEXES: [], OF_OXIDES: []}
    for structure, atom in structures(given.store):
        radii, runs = OF_COMPLEXES if structure.name in CODES else OF_OXIDES, []
        for scf, fms in radii:
            folder = given.folder / f"{structure.name}-{scf}-{fms}"
            runs.append(calculated(folder, structure, atom, Settings(scf_radius=scf, fms_radius=fms)))
            print(folder.name, f"{runs[-1].seconds:.0f} s", runs[-1].reason, file=sys.stderr, flush=True)
        lines[radii].append([structure.name, f"{len(structure.numbers)}", *(compared(run, runs[-1]) for run in runs)])
    for radii, rows in lines.items():
        print("\n".join(table(["structure", "atoms", *(f"{scf} / {fms} Å" for scf, fms in radii)], rows)), end="\n\n")
    return 0


def structures(store: Path) -> Iterator[tuple[Structure, int]]:
    """Yield structures and the index of their absorber."""
    with StructureStore(store) as opened:
        found = {structure.name.partition("_")[0]: structure for structure, _ in opened.structures()}
    for code in CODES:
        yield replace(found[code], name=code), int(np.flatnonzero(found[code].numbers == 26)[0])
    oxides = {
        "FeO": crystal(["Fe", "O"], [(0, 0, 0), (0.5, 0.5, 0.5)], spacegroup=225, cellpar=[4.307] * 3 + [90] * 3),
        "TiO2": crystal(
            ["Ti", "O"], [(0, 0, 0), (0.3053, 0.3053, 0)], spacegroup=136, cellpar=[4.594, 4.594, 2.959] + [90] * 3
        ),
    }
    for name, atoms in oxides.items():
        yield Structure(name, atoms.numbers, atoms.positions, np.asarray(atoms.cell), atoms.pbc), 0


def compared(run: Calculated, last: Calculated) -> str:
    """Return the difference of a spectrum from the last in %, that of their Fermi levels in eV, and the CPU time."""
    if run.spectrum is None or last.spectrum is None:
        return "fails"
    shapes = [np.interp(GRID, one.energies - one.e_cut, one.intensities)[None] for one in (last.spectrum, run.spectrum)]
    shift = run.spectrum.e_cut - last.spectrum.e_cut
    return f"{error_percent(*shapes)[0]:.1f} %, {shift:+.1f} eV, {run.seconds:.0f} s"


if __name__ == "__main__":
    sys.exit(main())
