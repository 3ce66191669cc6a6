"""The cache of machine code: reused by later processes, dropped when a source changes, and not required.

Tests run on a copy of the package, in separate processes.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.places import ROOT

SOURCES = ROOT / "kernels" / "xanes_hpc_kernels"
G1 = """
import json
import numpy as np
from xanes_hpc_kernels import wacsf_radial
out = np.empty((1, 1))
wacsf_radial.g1(np.array([0, 2]), np.array([1.0, 2.5]), 6.0, 0, out)
hits = sum(wacsf_radial.g1.stats.cache_hits.values())
print(json.dumps({"value": out[0, 0], "hits": hits, "file": wacsf_radial.__file__}))
"""
BOTH_TYPES = """
import json
import sys
import numpy as np
from xanes_hpc_kernels import wacsf_radial
values, compiler = [], []
for dtype in (np.float64, np.float32):
    out = np.empty((1, 1), dtype)
    wacsf_radial.g1(np.array([0, 2]), np.array([1.0, 2.5]), 6.0, 0, out)
    values.append(float(out[0, 0]))
    compiler.append("scipy.linalg" in sys.modules)
stats = wacsf_radial.g1.stats
hits, misses = (sum(counts.values()) for counts in (stats.cache_hits, stats.cache_misses))
print(json.dumps({"values": values, "compiler": compiler, "hits": hits, "misses": misses}))
"""
POLYNOMIAL = """
import json
from xanes_hpc_kernels import cell_lists, radial_distribution, wacsf_angular, wacsf_radial
from xanes_hpc_kernels.polynomial import horner
print(json.dumps({"value": horner(3.0, (2.0, 1.0)), "hits": sum(horner.stats.cache_hits.values())}))
"""
FEATURES = """
import json
import numpy as np
from ase import Atoms
from xanes_hpc import descriptors
from xanes_hpc_kernels import wacsf_radial
places = np.random.default_rng(0).uniform(-5.0, 5.0, (70, 3))
clusters = [Atoms("Fe" + "CHNO" * 15, np.vstack([[0.0, 0.0, 0.0], places[k : k + 60]])) for k in range(10)]
features = {descriptor}.transform(clusters)
hits = sum(wacsf_radial.g2.stats.cache_hits.values())
print(json.dumps({{"value": features.tobytes().hex(), "hits": hits, "file": wacsf_radial.__file__}}))
"""
G2_ONLY = {"weights": "Z", "g2": {"style": "shifted", "n": 32, "r_min": 0.0, "r_max": 6.0}}
RADIAL = f'descriptors.from_description({{"name": "wacsf", "cutoff": 6.0, "weighting": [{G2_ONLY}]}})'
ALL_KERNELS = 'descriptors.load("wacsf", "xanesnet-2022")'


@pytest.fixture
def copied(tmp_path):
    """Return a folder with a copy of the kernels' sources, without their cache."""
    shutil.copytree(SOURCES, tmp_path / "xanes_hpc_kernels", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def run(code, folder, **environment):
    """Return the output of a program that imports the copy; None in ``environment`` removes a variable."""
    dropped = {"NUMBA_CACHE_DIR": None, "NUMBA_NUM_THREADS": "1", "PYTHONPATH": str(folder), **environment}
    variables = {k: v for k, v in (os.environ | dropped).items() if v is not None}
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def cached(folder):
    """Return the functions whose machine code is cached in a folder."""
    return {path.name.split("-")[0] for path in Path(folder).rglob("*.nbi")}


def test_kernel_is_compiled_once_and_again_when_a_file_it_calls_into_has_changed(copied):
    first, second = run(G1, copied), run(G1, copied)
    assert first["file"].startswith(str(copied))
    assert (first["hits"], second["hits"]) == (0, 1)
    assert second["value"] == first["value"]

    source = copied / "xanes_hpc_kernels" / "cutoff.py"
    before, text = source.stat(), source.read_text()
    changed = text.replace("QUARTER_PI_SQUARED = 2.4674", "QUARTER_PI_SQUARED = 2.4671")
    assert changed != text
    source.write_text(changed)
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))  # same size and date
    third = run(G1, copied)
    assert third["hits"] == 0
    assert third["value"] > first["value"]
    assert third["value"] == pytest.approx(first["value"], rel=1e-3)


@pytest.mark.parametrize("descriptor", [RADIAL, pytest.param(ALL_KERNELS, marks=pytest.mark.slow)], ids=["g2", "all"])
def test_features_are_the_same_bits_from_the_cache_as_when_compiled(copied, descriptor):
    code = FEATURES.format(descriptor=descriptor)
    first, second = run(code, copied), run(code, copied)
    assert first["file"].startswith(str(copied))
    assert (first["hits"], second["hits"]) == (0, 1)
    assert second["value"] == first["value"]


def test_imports_that_only_compiling_needs_are_deferred_until_then(copied):
    alone = run(G1, copied)
    one_more, both = run(BOTH_TYPES, copied), run(BOTH_TYPES, copied)
    assert [(r["hits"], r["misses"], r["compiler"]) for r in (one_more, both)] == [
        (1, 1, [False, True]),
        (2, 0, [False, False]),
    ]
    assert one_more["values"] == both["values"] == [alone["value"], pytest.approx(alone["value"], rel=1e-6)]


def unwritable(folder):
    """Make it impossible to write to the cache beside the sources, for the superuser too."""
    (folder / "xanes_hpc_kernels" / "__pycache__").write_text("a file where a folder would be")


def test_read_only_installation_caches_in_the_users_folder(copied):
    unwritable(copied)
    home = copied / "home"
    results = [run(POLYNOMIAL, copied, HOME=str(home), XDG_CACHE_HOME=None) for _ in range(2)]
    assert [r["hits"] for r in results] == [0, 1]
    assert cached(home) == {"polynomial.horner"}


def test_kernels_work_where_nothing_can_be_written(copied):
    unwritable(copied)
    nowhere = {"HOME": os.devnull, "XDG_CACHE_HOME": os.path.join(os.devnull, "cache")}
    results = [run(POLYNOMIAL, copied, **nowhere) for _ in range(2)]
    assert [(r["value"], r["hits"]) for r in results] == [(7.0, 0), (7.0, 0)]
    assert not cached(copied)


def test_cache_folder_of_the_environment_is_used(copied):
    folder = copied / "elsewhere"
    run(POLYNOMIAL, copied, NUMBA_CACHE_DIR=str(folder))
    assert cached(folder) == {"polynomial.horner"}
    assert not cached(copied / "xanes_hpc_kernels")


def test_settings_for_debugging_other_code_neither_stop_kernels_nor_stay_in_their_cache(copied):
    first, not_compiled = run(POLYNOMIAL, copied), run(POLYNOMIAL, copied, NUMBA_DISABLE_JIT="1")
    assert (first["hits"], not_compiled) == (0, {"value": first["value"], "hits": 1})
    assert run(POLYNOMIAL, copied, NUMBA_OPT="0", NUMBA_BOUNDSCHECK="1")["hits"] == 0
    assert [run(POLYNOMIAL, copied)["hits"] for _ in range(2)] == [0, 1]
