"""Who may import whom, read from the sources; and what a command must not import to run."""

import ast
import shutil
import subprocess
import sys

import numpy as np
import pytest
from support.places import ROOT

from xanes_hpc.stores.structure_writer import create_structures
from xanes_hpc.structures.structure import Structure

PACKAGES = {"xanes_hpc": ROOT, "xanes_hpc_kernels": ROOT / "kernels", "xanes_hpc_schema": ROOT / "hdf5_schema"}
FILES = {
    ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__"): path
    for name, folder in PACKAGES.items()
    for path in sorted((folder / name).rglob("*.py"))
}
"""Every module of ours and its file."""

LAYERS: dict[str, tuple[str, str]] = {
    "runtime": ("", "h5py numba threadpoolctl"),
    "structures": ("runtime kernels", "ase scipy spglib"),
    "spectra": ("runtime kernels", "ase scipy xraydb"),
    "formats": ("structures spectra runtime kernels", "ase gemmi h5py larch"),
    "stores": ("structures spectra runtime schema", "ase h5py"),
    "descriptors": ("structures runtime kernels", "ase sklearn"),
    "config": ("spectra runtime", ""),
    "jobs": ("stores runtime", "dask_jobqueue dask distributed"),
    "generation": ("stores spectra structures runtime", "ase scipy"),
    "importing": ("generation formats stores spectra structures", "ase"),
    "models": ("stores spectra structures runtime kernels", "ase keras scipy tensorflow"),
    "experiment": ("formats stores spectra structures", "ase scipy"),
    "features": ("descriptors jobs formats stores spectra structures runtime", "ase"),
    "data": ("models config formats stores spectra structures runtime", "scipy"),
    "calculations": ("jobs formats stores spectra structures runtime", "ase distributed feff10 tblite"),
    "training": ("data models config descriptors stores spectra structures runtime", "ase scipy"),
    "prediction": ("features models importing jobs descriptors formats stores spectra structures runtime", "ase"),
    "analysis": ("prediction models descriptors stores spectra structures runtime", "ase scipy umap"),
    "model_selection": ("training prediction analysis data models config stores spectra runtime", "optuna"),
    "campaigns": (
        "model_selection analysis prediction training calculations features models config jobs descriptors stores "
        "structures runtime",
        "",
    ),
    "plotting": ("campaigns analysis experiment models stores spectra structures runtime", "ase matplotlib"),
    "api": (
        "plotting campaigns model_selection analysis experiment calculations prediction training features importing "
        "generation models config descriptors formats stores spectra structures runtime",
        "ase matplotlib pandas",
    ),
    "pages": (
        "plotting campaigns analysis prediction experiment models formats stores spectra structures runtime",
        "ase fastapi jinja2 pydantic starlette",
    ),
    "cli": ("everything", "click rich uvicorn"),
}
"""Every package of ours, ground first: our packages that it imports, all of them below it; others beside NumPy."""

TENSORFLOW = ("models.backend",)
"""The module that imports TensorFlow and Keras, for commands that train."""


def imports(path, top_level_only=False):
    """Names of the modules a file imports, wherever in it; ``from package import module`` as package.module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in FILES else str(node.module) for name in whole}
    return found


def package_of(module):
    """The package that a module of ours is in: ``kernels``, ``schema``, or the second word of its name; or none."""
    root, _, rest = module.partition(".")
    return rest.partition(".")[0] if root == "xanes_hpc" else root.removeprefix("xanes_hpc_")


def split(modules):
    """Ours, and other distributions' packages; the standard library left out."""
    ours = {m for m in modules if m.split(".")[0] in PACKAGES}
    others = {m.split(".")[0] for m in modules} - set(PACKAGES) - set(sys.stdlib_module_names)
    return ours, others


def test_every_module_is_in_a_package_of_the_table():
    """The root keeps the front door, the errors, and ``python -m xanes_hpc``."""
    modules = {m for m in FILES if m.split(".")[0] == "xanes_hpc"}
    outside = {m for m in modules if package_of(m) not in LAYERS}
    assert outside == {"xanes_hpc", "xanes_hpc.__main__", "xanes_hpc.errors"}
    assert set(LAYERS) == {package_of(m) for m in modules - outside}


def test_imports_go_down_only():
    order = list(LAYERS)
    for name, (below, _) in LAYERS.items():
        upwards = [other for other in below.split() if other in order and order.index(other) >= order.index(name)]
        assert upwards == [], name


@pytest.mark.parametrize("package", [name for name in LAYERS if name != "cli"])
def test_package_imports_what_it_may(package):
    may_ours, may_others = LAYERS[package]
    found_ours, found_others = set(), set()
    for module in (m for m in FILES if package_of(m) == package):
        ours, others = split(imports(FILES[module]))
        found_ours |= {package_of(m) for m in ours}
        found_others |= others
    assert found_ours - {package, "errors", ""} == set(may_ours.split())
    assert found_others - {"numpy"} == set(may_others.split())


def test_the_readme_of_the_package_shows_every_folder_file_and_import():
    text = (ROOT / "xanes_hpc" / "README.md").read_text(encoding="utf-8")
    shown = {line.split(" ")[-1] for line in text.split("```")[1].splitlines() if "── " in line}
    there = {p for p in (ROOT / "xanes_hpc").glob("*") if p.name != "__pycache__"}
    there |= {p for own in there if own.is_dir() for p in own.iterdir() if p.name not in ("__pycache__", "__init__.py")}
    assert shown == {p.name + "/" * p.is_dir() for p in there if p.name not in ("py.typed", "README.md")}
    rows = {
        cells[1].strip("` "): cells[3].strip()
        for cells in (line.split("|") for line in text.splitlines() if "| `" in line)
    }
    assert rows == {name: below.replace(" ", ", ") or "–" for name, (below, _) in LAYERS.items()}


@pytest.mark.parametrize("module", [m for m in FILES if m.startswith("xanes_hpc_kernels")])
def test_kernels_import_numpy_and_numba_only(module):
    ours, others = split(imports(FILES[module]))
    assert {m for m in ours if not m.startswith("xanes_hpc_kernels")} == set()
    assert others <= {"numpy", "numba", "llvmlite"}


def test_schema_imports_h5py_and_numpy_only():
    modules = [m for m in FILES if m.startswith("xanes_hpc_schema")]
    assert modules
    for module in modules:
        ours, others = split(imports(FILES[module]))
        assert {m for m in ours if not m.startswith("xanes_hpc_schema")} == set()
        assert others <= {"numpy", "h5py"}


def importers(*packages):
    """Modules that import one of the packages anywhere."""
    return {
        m.removeprefix("xanes_hpc.") for m, p in FILES.items() if {i.split(".")[0] for i in imports(p)} & set(packages)
    }


def test_tensorflow_stays_where_it_is_needed():
    assert importers("tensorflow", "keras") == set(TENSORFLOW)


def test_nothing_but_the_command_line_imports_the_command_line():
    from_outside = {m for m, p in FILES.items() if any(i.startswith("xanes_hpc.cli") for i in imports(p))}
    assert {m for m in from_outside if not m.startswith("xanes_hpc.cli")} == {"xanes_hpc.__main__"}


@pytest.mark.parametrize("module", [m for m in FILES if m.startswith("xanes_hpc.cli")])
def test_commands_import_the_library_inside(module):
    """So that ``--help`` is quick: at the top stand click, rich and what is plain."""
    ours, others = split(imports(FILES[module], top_level_only=True))
    assert {package_of(m) for m in ours} <= {"", "cli", "errors"}
    assert others <= {"click", "rich"}


@pytest.mark.parametrize("word", ["utils", "util", "helpers", "helper", "core", "common", "misc"])
def test_no_file_has_a_meaningless_name(word):
    everywhere = [*FILES.values(), *(ROOT / "tests").rglob("*.py")]
    assert [p for p in everywhere if word in p.stem.split("_")] == []


WRAPPER = """
import sys
from xanes_hpc.cli.main import run
try:
    run(sys.argv[1:])
except SystemExit as error:
    code = error.code
heavy = sorted({m.split(".")[0] for m in sys.modules} & {"tensorflow", "keras", "torch", "jax"})
print("heavy:", *heavy)
sys.exit(code)
"""


def in_a_fresh_process(*arguments):
    """What a command prints, in a process of its own that afterwards names the heavy packages it imported."""
    command = [sys.executable, "-c", WRAPPER, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("command", ["", "info", "featurise", "import", "model", "model pack"])
def test_help_does_not_import_tensorflow(command):
    output = in_a_fresh_process(*command.split(), "--help")
    assert "Usage: xanes-hpc" in output
    assert output.splitlines()[-1] == "heavy:"


def test_featurise_does_not_import_tensorflow(tmp_path):
    source = tmp_path / "tiny.h5"
    with create_structures(source) as writer:
        positions = np.array([[0.0, 0.0, 0.0], [1.9, 0.0, 0.0]])
        writer.append(Structure("tiny", np.array([26, 8], np.uint8), positions), np.array([0]), "K", [[]])
    output = in_a_fresh_process("featurise", source, "--preset", "xanesnet-49")
    assert (tmp_path / "tiny.features.h5").is_file()
    assert output.splitlines()[-1] == "heavy:"


def test_predict_and_evaluate_do_not_import_tensorflow(tmp_path):
    archives, output = ROOT / "tests" / "archives", tmp_path / "p.h5"
    model = shutil.copytree(archives / "model-1", tmp_path / "a.model")
    predicted = in_a_fresh_process("predict", archives / "features-1.h5", "--model", model, "-o", output, "--force")
    assert output.is_file()
    assert predicted.splitlines()[-1] == "heavy:"
    assert in_a_fresh_process("evaluate", output).splitlines()[-1] == "heavy:"


@pytest.mark.parametrize(
    "module", ["numpy_network", "graph_network", "scaling", "sigma_factors", "calibration", "trust", "layers"]
)
def test_what_runs_a_network_needs_numpy_and_kernels_alone(module):
    program = (
        f"import sys, xanes_hpc.models.{module}; print(*sorted({{'.'.join(m.split('.')[:2]) for m in sys.modules}}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    heavy = {"tensorflow", "keras", "h5py", "ase", "scipy.linalg", "scipy.optimize", "scipy.special", "scipy.sparse"}
    assert not heavy & set(done.stdout.split())  # Numba looks for the top of SciPy


def test_wrapper_sees_a_heavy_import():
    """The check above would notice: a package of that name, put in the way, is reported."""
    program = "import sys, types; sys.modules['keras'] = types.ModuleType('keras')\n" + WRAPPER
    done = subprocess.run(
        [sys.executable, "-c", program, "--help"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.splitlines()[-1] == "heavy: keras"
