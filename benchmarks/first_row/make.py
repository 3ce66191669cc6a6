"""Make a set of small complexes of Ti to Zn with spectra by FEFF: exchange the metal, relax, calculate.

    python benchmarks/first_row/make.py fe.h5 FOLDER             # writes FOLDER/first_row.h5; repeat it to continue
    python benchmarks/first_row/make.py fe.h5 --choose           # writes complexes.csv, the list of what is made

The structures are those of the Fe set (Rankine and Penfold's, of tmQM), each used for one metal only. `complexes.csv`
has the code of the Fe complex, the metal that takes the place of Fe, and the charge, with which the number of electrons
is even. `settings.txt` holds the options of the commands.
"""

import argparse
import csv
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ase.data import atomic_numbers

from xanes_hpc.generation.exchange import atoms_to_replace, exchanged
from xanes_hpc.stores.structure_writer import create_structures
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.structure import Structure

HERE = Path(__file__).parent
LIST = HERE / "complexes.csv"
SETTINGS = HERE / "settings.txt"
METALS = ("Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn")
IRON = 26
STORE = "first_row.h5"
"""Structure store with relaxed complexes and their spectra, in the folder."""
EACH = 64
"""Complexes of each metal: 60 and a few for those that do not relax."""
LARGEST = 45
"""Atoms at most."""
COLUMNS = ("code", "metal", "charge")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path, help="structure store of the Fe set")
    parser.add_argument("folder", type=Path, nargs="?", help="keep the stores here")
    parser.add_argument("--choose", action="store_true", help="choose the complexes anew, and write complexes.csv")
    given = parser.parse_args()
    if given.choose:
        choose(given.store)
    if given.folder is not None:
        make(given.store, given.folder)
    return 0


def choose(store: Path) -> None:
    """Draw ``EACH`` complexes of one metal atom for every metal, no complex twice."""
    with StructureStore(store) as opened:
        small = sorted((s for s, _ in opened.structures() if fits(s)), key=lambda s: s.name)
    drawn = np.random.default_rng(0).permutation(len(small))[: EACH * len(METALS)]
    with LIST.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        for k, row in enumerate(drawn):
            metal = METALS[k % len(METALS)]
            made = with_metal(small[row], metal)
            rows.writerow([code(small[row]), metal, int(made.properties["charge"])])


def make(store: Path, folder: Path) -> None:
    """Write the structures with other metals, relax them, and calculate their spectra; finished steps are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    exchanged_store, relaxed = folder / "exchanged.h5", folder / STORE
    options = dict(line.split(maxsplit=1) for line in SETTINGS.read_text().splitlines() if line)
    if not exchanged_store.exists():
        with create_structures(exchanged_store, False, [store]) as writer:
            for structure, metal, charge in listed(store):
                made = with_metal(structure, metal)
                if made.properties["charge"] != charge:
                    raise SystemExit(f"{structure.name}: charge {made.properties['charge']}, the list has {charge}")
                writer.append(made, atoms_to_replace(made, atomic_numbers[metal]), "K", [[]])
    if not relaxed.exists():
        run("relax", str(exchanged_store), "-o", str(relaxed), *shlex.split(options["relax"]))
    run("calculate", str(relaxed), *shlex.split(options["calculate"]))


def listed(store: Path) -> Iterator[tuple[Structure, str, int]]:
    """Yield the structures of ``complexes.csv`` in its order, with the metal and charge that they are to have."""
    with StructureStore(store) as opened:
        found = {code(structure): structure for structure, _ in opened.structures()}
    for name, metal, charge in listed_codes():
        yield found[name], metal, charge


def listed_codes() -> list[tuple[str, str, int]]:
    """Return code, metal and charge of the rows of ``complexes.csv``."""
    with LIST.open(newline="") as file:
        return [(row["code"], row["metal"], int(row["charge"])) for row in csv.DictReader(file)]


def fits(structure: Structure) -> bool:
    """Return whether a complex is small, has one metal atom, Fe, and a charge."""
    metals = np.isin(structure.numbers, [*range(21, 31), *range(39, 49), *range(57, 81)])
    known = np.isfinite(float(structure.properties.get("charge", np.nan)))
    alone = int(metals.sum()) == 1 and structure.numbers[metals][0] == IRON
    return alone and known and len(structure.numbers) <= LARGEST


def with_metal(structure: Structure, metal: str) -> Structure:
    """Return a complex with another metal (or with Fe again), its bonds scaled, and an even number of electrons."""
    return exchanged(structure, atoms_to_replace(structure, IRON), atomic_numbers[metal], scale_bonds=True, even=True)


def code(structure: Structure) -> str:
    """Return the CSD code that a complex's name begins with."""
    return structure.name.partition("_")[0]


def run(*arguments: str) -> None:
    """Run a command of xanes-hpc; stop with its exit code if it fails."""
    print("xanes-hpc", shlex.join(arguments), flush=True)
    done = subprocess.run([sys.executable, "-m", "xanes_hpc", *arguments])
    if done.returncode:
        raise SystemExit(done.returncode)


if __name__ == "__main__":
    sys.exit(main())
