"""Calculate published Cu spectra (OmniXAS, FEFF 9) again from their structures, and compare.

    python benchmarks/feff_published.py cu_k_edge --folder WORK mp-541037 mp-8806 mp-553303

`cu_k_edge` has a folder for each compound, with POSCAR and FEFF-XANES/NUMBER_Cu/xmu.dat. Each site takes some 10
minutes; `WORK` keeps what is done.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from ase.io import read
from feff_once import calculated
from tables import table

from xanes_hpc.formats import feff
from xanes_hpc.formats.feff_input import Settings
from xanes_hpc.structures.structure import Structure

SETTINGS = Settings(scf_radius=7.0, fms_radius=9.0, cards=("XANES 6 0.04 0.1", "S02 0.95"))
"""Those of the published set; the screened core hole is its and our default."""
TITLES = ["compound", "site", "energies", "R²", "largest difference, % of the edge step", "CPU time, s"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("published", type=Path, help="folder of the set")
    parser.add_argument("compounds", nargs="+", help="names of compounds")
    parser.add_argument("--folder", type=Path, required=True, metavar="WORK", help="keep the calculations here")
    given = parser.parse_args()
    rows = []
    for name in given.compounds:
        atoms = read(given.published / name / "POSCAR", format="vasp")
        structure = Structure(name, atoms.numbers, atoms.positions, np.asarray(atoms.cell), atoms.pbc)
        for path in sorted((given.published / name / "FEFF-XANES").glob("*/xmu.dat")):
            site = int(path.parent.name.partition("_")[0])
            run = calculated(given.folder / f"{name}-{site}", structure, site, SETTINGS)
            rows.append([name, str(site), *compared(path, run.spectrum, run.reason), f"{run.seconds:.0f}"])
            print(rows[-1], file=sys.stderr, flush=True)
    print("\n".join(table(TITLES, rows)))
    return 0


def compared(path, spectrum, reason) -> list[str]:  # type: ignore[no-untyped-def]
    """Return the number of energies, R² and the largest difference from the published spectrum."""
    if spectrum is None:
        return ["", reason, ""]
    published = feff.read(path)
    ours = np.interp(published.energies, spectrum.energies, spectrum.intensities)
    theirs = published.intensities
    r2 = 1.0 - ((ours - theirs) ** 2).sum() / ((theirs - theirs.mean()) ** 2).sum()
    worst = 100.0 * np.abs(ours - theirs).max() / theirs[-1]
    return [f"{theirs.size}", f"1 − {1.0 - r2:.1e}", f"{worst:.2f}"]


if __name__ == "__main__":
    sys.exit(main())
