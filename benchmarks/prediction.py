"""Time of ``xanes-hpc predict``, from the start of its process to its end, for one structure and for many."""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from generate import METALS, complexes, structures, write_store
from options import Options
from tables import number, paragraph, table
from timing import available_cores, summary
from untrained import write_model

from xanes_hpc import descriptors
from xanes_hpc.features.featurise import featurise
from xanes_hpc.models.numpy_network import DRAWS
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.structures import StructureStore

TITLE = "Prediction"
N_SITES = 4079
"""Size of the published set of iron complexes."""


def measure(options: Options) -> dict[str, Any]:
    n_files, n_sites = options.size((100, N_SITES), (3, 20))
    folder, descriptor = options.folder / "prediction", descriptors.load("wacsf")
    folder.mkdir()
    store, features, model, files = (folder / name for name in ("s.h5", "f.h5", "random.model", "files"))
    write_store(store, n_sites)
    with StructureStore(store) as source:
        featurise(source, descriptor, features)
    with FeatureStore(features) as source:
        members = write_model(model, descriptor, source.read(0, n_sites), METALS)
    write_files(files, n_files)
    command = [sys.executable, "-m", "xanes_hpc", "predict", "--model", str(model), "--draws", str(DRAWS)]
    command += ["-o", str(folder / "predictions.h5"), "--overwrite"]
    runs = [
        ("one XYZ file", 1, 1, files / "complex0.xyz", options.repeats),
        ("a folder of XYZ files", n_files, 1, files, options.repeats),
        ("a feature store", n_sites, available_cores(), features, min(3, options.repeats)),
    ]
    return {
        "draws": DRAWS,
        "members": members,
        "features": descriptor.n_features,
        "runs": [
            {"source": what, "sites": n, "cores": cores, **_taken([*command, str(path)], cores, repeats)}
            for what, n, cores, path, repeats in runs
        ],
    }


def write_files(folder: Path, n: int) -> None:
    """Write ``n`` generated complexes as XYZ files."""
    folder.mkdir()
    for k, atoms in enumerate(structures(complexes(n))):
        rows = [f"{s} {x:.6f} {y:.6f} {z:.6f}" for s, (x, y, z) in zip(atoms.symbols, atoms.positions, strict=True)]
        (folder / f"complex{k}.xyz").write_text("\n".join([str(len(rows)), "", *rows, ""]), encoding="ascii")


def _taken(command: Sequence[str], cores: int, repeats: int) -> dict[str, Any]:
    """Measure the wall time and CPU time of a command. A first run, which may compile, is not counted."""

    def stay() -> None:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])

    wall, processors = [], []
    for _ in range(1 + repeats):
        begin, before = time.perf_counter(), _children_seconds()
        subprocess.run(command, check=True, capture_output=True, preexec_fn=stay)
        wall.append(time.perf_counter() - begin)
        processors.append(_children_seconds() - before)
    return {"wall": summary(wall[1:]), "processors": summary(processors[1:])}


def _children_seconds() -> float:
    taken = resource.getrusage(resource.RUSAGE_CHILDREN)
    return taken.ru_utime + taken.ru_stime


def section(result: dict[str, Any]) -> list[str]:
    rows = [
        [
            r["source"],
            f"{r['sites']:,}",
            str(r["cores"]),
            number(r["wall"]["median"]),
            number(r["wall"]["min"]),
            number(r["processors"]["median"]),
            number(r["sites"] / r["wall"]["median"]),
        ]
        for r in result["runs"]
    ]
    return [
        paragraph(
            f"""`xanes-hpc predict` with {result["draws"]} draws, from the start of its process to its end. The files
            are in the system's cache and the kernels are compiled. The model has the default size
            ({result["members"]} networks, {result["features"]} features, 226 energies) but random weights; the
            complexes are generated. A process on one core is pinned to it."""
        ),
        "",
        *table(["source", "sites", "cores", "s", "fastest, s", "CPU time, s", "sites/s"], rows),
    ]


def goals(result: dict[str, Any]) -> list[tuple[str, str, bool]]:
    wall = result["runs"][0]["wall"]["median"]
    return [("`predict` for one structure on one core: at most 1 s", f"{wall:.2f} s", wall <= 1)]
