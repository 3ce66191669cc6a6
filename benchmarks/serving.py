"""Time of ``xanes-hpc serve`` to start, and to answer a structure with its spectrum over HTTP."""

import json
import re
import subprocess
import sys
import time
import urllib.request
from typing import Any

from generate import METALS, complexes, structures, write_store
from options import Options
from tables import number, paragraph, table
from timing import summary
from untrained import write_model

from xanes_hpc import descriptors
from xanes_hpc.features.featurise import featurise
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.structures import StructureStore

TITLE = "Web page"
N_SITES = 4079
ASKED = 20
"""Number of structures requested, each once."""


def measure(options: Options) -> dict[str, Any]:
    n_sites, n_asked = options.size((N_SITES, ASKED), (20, 2))
    folder, descriptor = options.folder / "serving", descriptors.load("wacsf")
    folder.mkdir()
    store, features, model = (folder / name for name in ("s.h5", "f.h5", "random.model"))
    write_store(store, n_sites)
    with StructureStore(store) as source:
        featurise(source, descriptor, features)
    with FeatureStore(features) as source:
        members = write_model(model, descriptor, source.read(0, n_sites), METALS)
    command = [sys.executable, "-m", "xanes_hpc", "serve", "--model", str(model), "--port", "0"]
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = re.findall(r"http://\S+", server.stdout.readline())[0]
            _answer(f"{address}/api/model")
            started = time.perf_counter() - begin
            asked = list(structures(complexes(n_asked)))
            plain = [_taken(address, atoms, None) for atoms in asked]
            broadened = [_taken(address, atoms, 1.5) for atoms in asked]
        finally:
            server.terminate()
    return {
        "members": members,
        "started": started,
        "atoms": sum(map(len, asked)) / len(asked),
        "plain": summary(plain),
        "broadened": summary(broadened),
    }


def _taken(address: str, atoms: Any, width: float | None) -> float:
    """Return the seconds from a structure to its spectrum."""
    numbers = atoms.get_atomic_numbers().tolist()
    absorber = next(k for k, z in enumerate(numbers) if z in METALS)
    body: dict[str, Any] = {
        "structure": {"numbers": numbers, "positions": atoms.get_positions().tolist()},
        "absorber": absorber,
    }
    if width is not None:
        body["broadening"] = {"name": "gaussian", "gaussian": width}
    begin = time.perf_counter()
    _answer(f"{address}/api/predict", body)
    return time.perf_counter() - begin


def _answer(address: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def section(result: dict[str, Any]) -> list[str]:
    rows = [
        [what, number(1000 * result[name]["median"]), number(1000 * result[name]["max"])]
        for what, name in (("spectrum, 100 draws", "plain"), ("the same, every draw broadened", "broadened"))
    ]
    return [
        paragraph(
            f"""`xanes-hpc serve` answers {result["started"]:.1f} s after its start, here with a model of the default
            size ({result["members"]} networks, random weights). Time over HTTP from a structure ({result["atoms"]:.0f}
            atoms on average) to its spectrum:"""
        ),
        "",
        *table(["request", "median, ms", "longest, ms"], rows),
    ]
