"""Fuzz every parser, and the readers of stores and models, with randomly damaged files.

    PYTHONPATH=tests python -m faults.fuzz --inputs 20000            # of most kinds; two hours
    PYTHONPATH=tests python -m faults.fuzz --only xyz stores --inputs 1000 --seed 7

Each input is a good file with changes: bytes flipped, cut, repeated or swapped, numbers made huge, and so on. It must
be read, or refused with one of our errors. Any other exception, a crash, and more memory or time than a small file
needs are findings, printed with what reproduces them. The exit code is 0 if there are none.
"""

import argparse
import bz2
import faulthandler
import gzip
import io
import json
import lzma
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from faults.seeds import seeds
from support.places import WITH_TESTS, program

MEMORY = 3 << 30
"""Bytes of address space allowed to a process that reads small files."""
SECONDS = 20
AT_ONCE = 250
"""Inputs read by one process."""
PACKERS: dict[bytes, Any] = {b"\x1f\x8b": gzip, b"BZh": bz2, b"\xfd7zXZ": lzma}
"""What compresses, by the first bytes of its files."""
NUMBERS = (b"0", b"-1", b"1e308", b"1e999", b"nan", b"-inf", b"99999999999999999999", b"2147483648", b"1e-320", b"")


def mutated(data: bytes, place: random.Random) -> bytes:
    """Return data changed in a few places; in archives and compressed files often what they hold."""
    if data.startswith(b"PK") and place.random() < 0.7:
        return _with_a_member_mutated(data, place)
    packer = next((packer for first, packer in PACKERS.items() if data.startswith(first)), None)
    if packer is not None and place.random() < 0.7:
        return packer.compress(_mutated(packer.decompress(data), place))  # type: ignore[no-any-return]
    return _mutated(data, place)


def _with_a_member_mutated(data: bytes, place: random.Random) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(made, "w") as new:
        chosen = place.choice(old.namelist())
        for info in old.infolist():
            member = old.read(info)
            new.writestr(info, _mutated(member, place) if info.filename == chosen else member)
    return made.getvalue()


def _mutated(data: bytes, place: random.Random) -> bytes:
    found = bytearray(data)
    for _ in range(place.choice((1, 1, 1, 2, 3, 8))):
        if not found:
            break
        at, kind = place.randrange(len(found)), place.randrange(8)
        size = min(len(found) - at, place.choice((1, 2, 4, 8, 40, 400)))
        if kind == 0:
            found[at] ^= 1 << place.randrange(8)
        elif kind == 1:
            found[at : at + size] = place.randbytes(size)
        elif kind == 2:
            del found[at : at + size]
        elif kind == 3:
            found[at:at] = found[at : at + size] * place.choice((1, 2, 50))
        elif kind == 4:
            del found[at:]
        elif kind == 5:
            to = place.randrange(len(found))
            found[at : at + size] = found[to : to + size]
        elif kind == 6:
            found[at : at + size] = place.choice((b"\xff", b"\x00", b"\n", b" ", b"9")) * size
        else:
            _change_a_number(found, at, place)
    return bytes(found)


def _change_a_number(found: bytearray, at: int, place: random.Random) -> None:
    """Replace the next number in the data, if there is one nearby."""
    start = next((k for k in range(at, min(len(found), at + 200)) if chr(found[k]).isdigit()), None)
    if start is None:
        return
    stop = start
    while stop < len(found) and chr(found[stop]) in "0123456789.eE+-":
        stop += 1
    found[start:stop] = place.choice(NUMBERS)


# ---- readers


def read_structures(path: Path, source: Path) -> None:
    from xanes_hpc import formats
    from xanes_hpc.errors import XanesHpcError
    from xanes_hpc.structures.neighbours import check_distances
    from xanes_hpc.structures.structure import Structure

    for k, structure in enumerate(formats.read_structures(path)):
        if isinstance(structure, Structure):
            try:
                check_distances(structure)
            except XanesHpcError:
                continue
        if k > 1000:
            break


def read_program(path: Path, source: Path) -> None:
    """Read a file that is known by its name, beside a good input."""
    from xanes_hpc.formats import read_spectrum

    folder = path.parent / "program"
    folder.mkdir(exist_ok=True)
    (folder / "input.xml").write_text('<input><xs tevout="true"/></input>')
    (folder / source.name).write_bytes(path.read_bytes())
    read_spectrum(folder / source.name)


def order_structures(path: Path, source: Path) -> None:
    """Read disordered structures in both ways."""
    from xanes_hpc import formats
    from xanes_hpc.errors import XanesHpcError
    from xanes_hpc.structures.ordering import parse_disorder

    for disorder in ("majority", "sample 2"):
        with suppress(XanesHpcError):
            list(formats.read_structures(path, parse_disorder(disorder)))


def import_structures(path: Path, source: Path) -> None:
    from xanes_hpc.importing.from_files import import_structures as imported
    from xanes_hpc.importing.options import ImportOptions

    imported([path], path.with_name("out.h5"), ImportOptions(absorber="all"), overwrite=True)


def read_spectrum(path: Path, source: Path) -> None:
    from xanes_hpc.experiment.measured import read_experiment

    read_experiment(path)


def read_project(path: Path, source: Path) -> None:
    """Read the groups of an Athena project, and the first of them as a spectrum."""
    from xanes_hpc.errors import XanesHpcError
    from xanes_hpc.experiment.measured import read_experiment
    from xanes_hpc.formats import athena

    for label in athena.labels(path)[1:3]:
        with suppress(XanesHpcError):
            read_experiment(path.with_name(f"{path.name}:{label}"))
    read_experiment(path.with_name(f"{path.name}:1"))


def read_spectrum_apart(path: Path, source: Path) -> None:
    """Read a spectrum in a separate process, as the web page does, because HDF5 never returns from some files."""
    from xanes_hpc.pages.isolated_reading import read_apart

    read_apart(path, 5.0)


def import_material(path: Path, source: Path) -> None:
    """Import a Lightshow folder in which the file that ``source`` names is replaced by ``path``."""
    from xanes_hpc.importing.from_files import import_structures as imported
    from xanes_hpc.importing.options import ImportOptions

    folder = path.with_name("set")
    site = folder / "mp-1" / "FEFF-XANES" / "000_Fe"
    site.mkdir(parents=True, exist_ok=True)
    for name, target in (("xmu.dat", site / "xmu.dat"), ("oxide.poscar", folder / "mp-1" / "POSCAR")):
        target.write_bytes((path if source.name == name else source.with_name(name)).read_bytes())
    imported([folder], path.with_name("out.h5"), ImportOptions(layout="lightshow"), overwrite=True)


def read_input(path: Path, source: Path) -> None:
    from xanes_hpc.formats import fdmnes_input

    fdmnes_input.read(path)


def read_table(path: Path, source: Path) -> None:
    from xanes_hpc.formats.property_tables import PropertyTable

    PropertyTable(path).of("AAAAAA")


def read_sites(path: Path, source: Path) -> None:
    """Read a list of sites for an import, and find it in a store."""
    import numpy as np

    from xanes_hpc.errors import XanesHpcError
    from xanes_hpc.formats.site_lists import SiteList
    from xanes_hpc.importing.listed_atoms import ListedAtoms
    from xanes_hpc.stores.sites import SiteTable

    with suppress(XanesHpcError):
        listed = ListedAtoms(SiteList(path))
        listed.of("AAAAAA", 2)
        list(listed.missing())
    names, zeros = ["AAAAAA#0", "AAAAAA#1", "BBBBBB"], np.zeros(3, np.int64)
    table = SiteTable(names, zeros, np.array([0, 1, 5]), zeros.astype(np.uint8), ["K"] * 3, np.ones(3))
    table.rows_of(SiteList(path), path)


def read_charges(path: Path, source: Path) -> None:
    import numpy as np

    from xanes_hpc.formats.charge_tables import ChargeTable

    ChargeTable(path).of("AAAAAA", np.array([26, 8], np.uint8))


def read_npz(path: Path, source: Path) -> None:
    from xanes_hpc.features.foreign_store import import_foreign
    from xanes_hpc.features.from_arrays import FeaturesOptions

    energies = (-15.0, 60.0) if source.name == "features.npz" else None
    options = FeaturesOptions("Fe" if energies else None, energies=energies)
    import_foreign(path, path.with_name("out.h5"), options, overwrite=True)


def read_store(path: Path, source: Path) -> None:
    """Verify a store, inspect it, and read it as the commands do."""
    from xanes_hpc.analysis.inspect import inform
    from xanes_hpc.errors import XanesHpcError
    from xanes_hpc.stores.verification import read_all

    for step in (read_all, inform):
        with suppress(XanesHpcError):
            step(path)
    _use(path)


def _use(path: Path) -> None:
    from xanes_hpc import descriptors
    from xanes_hpc.analysis.evaluate import evaluate
    from xanes_hpc.stores import hdf5
    from xanes_hpc.stores.features import FeatureStore
    from xanes_hpc.stores.predictions import PredictionStore
    from xanes_hpc.stores.structures import StructureStore

    if hdf5.is_kind(path, "structures"):
        with StructureStore(path) as store:
            descriptors.load("wacsf", "xanesnet-49").compute(store.batch(0, min(8, store.n_sites)))
            for _ in zip(range(8), store.structures(), strict=False):
                pass
    elif hdf5.is_kind(path, "features"):
        with FeatureStore(path) as features:
            features.read(0, features.n_sites)
            descriptors.from_description(features.description)
    elif hdf5.is_kind(path, "predictions"):
        with PredictionStore(path) as predictions:
            evaluate(predictions)
    else:
        hdf5.open_store(path).close()


def read_model(path: Path, source: Path) -> None:
    """Read the model folder that ``source`` belongs to, with that file replaced by ``path``."""
    import numpy as np

    from xanes_hpc.models.model import Model

    root = next(folder for folder in source.parents if folder.name.startswith("model-"))
    folder = path.with_name("model")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(root, folder)
    target = folder / source.relative_to(root)
    target.write_bytes(path.read_bytes())
    model = Model.open(folder)
    n_features = model.description["n_features"]
    if isinstance(n_features, int) and 0 < n_features < 10_000:
        x = np.full((2, n_features), 0.3)
        absorbers = model.absorbers(np.array([26, 26], np.uint8), ["K", "K"])
        model.sample(x, absorbers, 4, 0)


def read_packed(path: Path, source: Path) -> None:
    from xanes_hpc.models.unpack import unpack

    folder = path.with_name("unpacked")
    shutil.rmtree(folder, ignore_errors=True)
    unpack(path, folder)


def read_config(path: Path, source: Path) -> None:
    from xanes_hpc.config.files import load_run

    load_run(path, path.parent, {})


def read_descriptor(path: Path, source: Path) -> None:
    from ase.build import molecule

    from xanes_hpc import descriptors

    descriptor = descriptors.read_toml(path)
    if descriptor.n_features < 100_000:
        descriptor.transform(molecule("H2O"), "O")


READERS: dict[str, tuple[Callable[[Path, Path], None], ...]] = {
    **dict.fromkeys(("xyz", "cif", "mmcif", "pdb", "vasp", "extxyz"), (read_structures, import_structures)),
    **dict.fromkeys(("traj", "db", "xsf", "gen", "cube", "cfg", "sdf", "compressed"), (read_structures,)),
    "disordered": (read_structures, order_structures), "fdmnes_input": (read_input,),
    "programs": (read_program,), "lightshow": (import_material,),
    "spectra": (read_spectrum,), "athena": (read_project,),
    "nexus": (read_spectrum_apart,), "tables": (read_table,), "charges": (read_charges,),
    "site_lists": (read_sites,),
    "npz": (read_npz,), "stores": (read_store,), "models": (read_model,), "packed": (read_packed,),
    "configs": (read_config,), "descriptors": (read_descriptor,),
}  # fmt: skip


SLOW = {"nexus": 20, "models": 4, "mmcif": 4, "pdb": 4, "lightshow": 4, "disordered": 10, "athena": 10}
"""Kinds whose inputs take long to read: only one in so many is read."""


# ---- a process that reads many inputs, and one that watches it


def child(folder: Path, kind: str, first: int, stop: int, seed: int) -> None:
    """Read inputs and print the outcome as JSON; a file records which input is being read."""
    made = [Path(path) for path in json.loads((folder / "seeds.json").read_text())[kind]]
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    faulthandler.enable()
    warnings.simplefilter("ignore")
    outcome: dict[str, Any] = {"read": 0, "refused": 0, "findings": []}
    with tempfile.TemporaryDirectory(dir=folder) as place:
        for number in range(first, stop):
            (folder / f"at-{kind}").write_text(str(number))
            generator = random.Random(f"{seed} {kind} {number}")
            source = generator.choice(made)
            path = Path(place) / source.name
            path.write_bytes(mutated(source.read_bytes(), generator))
            for reader in READERS[kind]:
                result, finding = attempt(reader, path, source)
                outcome[result] += 1
                if finding:
                    outcome["findings"].append([number, reader.__name__, finding])
            path.unlink(missing_ok=True)
    print(json.dumps(outcome))


def attempt(reader: Callable[[Path, Path], None], path: Path, source: Path) -> tuple[str, str]:
    """Read a file; return ``read`` or ``refused``, and the finding, empty if there is none."""
    from xanes_hpc.errors import XanesHpcError

    signal.alarm(SECONDS)
    try:
        reader(path, source)
    except XanesHpcError as error:
        return "refused", f"an error of several lines: {str(error)[:200]!r}" if "\n" in str(error) else ""
    except Exception as error:
        return "refused", f"{type(error).__name__}: {str(error)[:200]}"
    finally:
        signal.alarm(0)
    return "read", ""


def fuzz(folder: Path, kind: str, n_inputs: int, seed: int) -> dict[str, Any]:
    """Read inputs of a kind in child processes, which may crash, and return the outcome."""
    outcome: dict[str, Any] = {"read": 0, "refused": 0, "findings": []}
    first, environment = 0, WITH_TESTS | {"NUMBA_NUM_THREADS": "1"}
    while first < n_inputs:
        stop = min(first + AT_ONCE, n_inputs)
        command = [*program("faults.fuzz"), "--child", str(folder), kind, str(first), str(stop), "--seed", str(seed)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode == 0:
            own = json.loads(done.stdout.splitlines()[-1])
            for name in ("read", "refused", "findings"):
                outcome[name] += own[name]
            first = stop
            continue
        at = int((folder / f"at-{kind}").read_text())
        late = done.returncode == -signal.SIGALRM
        what = "took too long" if late else f"exit code {done.returncode}: {done.stderr[-400:]}"
        outcome["findings"].append([at, "", f"the process ended: {what}"])
        first = at + 1
    return outcome


def prepare(folder: Path) -> None:
    """Write the good files, and a list of their paths for the child processes."""
    made = {kind: [str(path) for path in paths] for kind, paths in seeds(folder).items()}
    (folder / "seeds.json").write_text(json.dumps(made))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=2000, help="number of inputs of each kind (default 2000)")
    parser.add_argument("--only", nargs="+", choices=READERS, default=list(READERS), metavar="KIND")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", nargs=4, metavar=("FOLDER", "KIND", "FIRST", "STOP"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        folder, kind, first, stop = options.child
        child(Path(folder), kind, int(first), int(stop), options.seed)
        return 0
    with tempfile.TemporaryDirectory(prefix="xanes-hpc-") as name:
        prepare(Path(name))
        found = {}
        print("| kind | inputs | read | refused | findings |\n| --- | --- | --- | --- | --- |")
        if "athena" in options.only and find_spec("larch") is None:
            print("Larch is not installed: Athena projects are not read")
            options.only.remove("athena")
        for kind in options.only:
            n_inputs = max(1, options.inputs // SLOW.get(kind, 1))
            found[kind] = own = fuzz(Path(name), kind, n_inputs, options.seed)
            row = (kind, n_inputs, own["read"], own["refused"], len(own["findings"]))
            print(f"| {' | '.join(map(str, row))} |", flush=True)
    for kind, own in found.items():
        for number, reader, what in own["findings"]:
            print(f"{kind} {number} {reader}: {what}")
    return 1 if any(own["findings"] for own in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
