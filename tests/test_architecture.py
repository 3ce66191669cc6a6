"""Who may import whom, read from the sources; and what a command must not import to run."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from xanes_hpc.records import Structure
from xanes_hpc.stores.structures import create_structures

ROOT = Path(__file__).parents[1]
PACKAGES = {"xanes_hpc": ROOT, "xanes_hpc_kernels": ROOT / "kernels", "xanes_hpc_schema": ROOT / "hdf5_schema"}
FILES = {
    ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__"): path
    for name, folder in PACKAGES.items()
    for path in sorted((folder / name).rglob("*.py"))
}
"""Every module of ours and its file."""

CALLERS = ("neighbours", "descriptors", "landmarks", "scaling", "spectra", "spectra.broadening")
"""Who calls kernels."""
PLAIN = ("errors", "config", "config_checks", "records", "absorbers", "sites", "registry", "splits")
"""Plain data and what everyone may use."""
TENSORFLOW = (
    "backend", "models.keras_network", "feeding", "training_losses", "training_loop", "training_logs",
    "training_record",
)  # fmt: skip

TUNING = (
    "tuning", "tuning_entries", "tuning_journal", "tuning_record", "tuning_space", "tuning_space_files", "tuning_study",
    "tuning_trials",
)  # fmt: skip

# Room: our rooms it may import (besides itself and the plain ones), other packages it may import.
# "kernels" and "schema" stand for the packages of that name.
# fmt: off
MAY_IMPORT: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "errors": ((), ()),
    "config": ((), ()),
    "config_checks": ((), ()),
    "config_files": ((), ()),
    "extras": ((), ()),
    "locks": ((), ()),
    "records": ((), ("numpy",)),
    "absorbers": ((), ("numpy", "ase")),
    "sites": ((), ("numpy", "ase")),
    "registry": ((), ()),
    "splits": ((), ("numpy",)),
    "stores": (("locks", "schema"), ("h5py", "numpy")),
    "stores.targets": (("schema", "stores", "spectra"), ("numpy",)),
    "stores.models": (
        (
            "stores", "models", "inference", "kernel_ridge", "landmarks", "scaling", "sigma_factors", "uncertainty"
        ),
        ("numpy", "ase"),
    ),
    "stores.model_description": (("sigma_factors", "uncertainty"), ("numpy", "ase")),
    "stores.model_numbers": (("stores", "kernel_ridge", "scaling"), ("h5py", "numpy")),
    "stores.training_sites": (("stores", "scaling"), ("numpy",)),
    "stores.predictions": (("stores", "uncertainty"), ("h5py", "numpy")),
    "threads": ((), ("numba",)),
    "neighbours": (("kernels", "threads"), ("numpy",)),
    "meanings": ((), ("numpy",)),
    "feature_groups": (("meanings",), ("numpy",)),
    "permutation_importance": (("feature_groups", "kernel_ridge", "landmarks", "scaling", "stores"), ("numpy",)),
    "shap_values": (("extras", "feature_groups"), ("numpy", "shap")),
    "atom_shares": (("descriptors",), ("numpy",)),
    "energy_windows": (("stores",), ("numpy",)),
    "explanation": (("energy_windows", "feature_groups", "permutation_importance", "shells"), ("numpy",)),
    "site_contributions": (
        (
            "atom_shares", "descriptors", "explanation", "feature_groups", "permutation_importance", "shap_values",
            "stores",
        ),
        ("numpy",),
    ),
    "explaining": (
        (
            "descriptors", "energy_windows", "explanation", "feature_groups", "permutation_importance",
            "prediction_sources", "shells", "site_contributions", "spectra", "stores",
        ),
        ("numpy",),
    ),
    "shells": (("neighbours", "stores"), ("numpy", "scipy")),
    "descriptors": (("config_files", "meanings", "kernels", "neighbours", "threads"), ("numpy", "ase")),
    "spectra": (("kernels",), ("numpy", "ase", "xraydb")),
    "treating_stores": (("spectra", "stores"), ("numpy",)),
    "spectra.broadening": (("kernels", "threads"), ("numpy", "ase", "xraydb")),
    "formats": ((), ("numpy", "ase")),
    "formats.nexus": (("formats",), ("numpy", "h5py")),
    "formats.athena": (("extras", "formats"), ("numpy", "larch")),
    "overlapping": ((), ()),
    "rattling": ((), ("numpy",)),
    "partitions": (("stores",), ()),
    "dask_clusters": (("extras",), ("dask_jobqueue", "distributed")),
    "dask_execution": (("execution", "stores", "threads"), ("distributed",)),
    "execution": (("partitions", "stores"), ()),
    "feature_plans": (("descriptors", "rattling", "stores"), ()),
    "featurise": (
        ("stores", "descriptors", "execution", "feature_plans", "neighbours", "overlapping", "rattling"), ("numpy",)
    ),
    "selection": ((), ("numpy", "ase")),
    "symmetry": (("extras",), ("numpy", "spglib")),
    "import_options": (("selection", "symmetry"), ()),
    "importing_structures": (
        ("formats", "import_options", "neighbours", "selection", "spectra", "stores", "symmetry"), ("numpy", "ase")
    ),
    "importing": (("formats", "import_options", "importing_structures", "selection", "spectra", "stores"), ()),
    "importing_features": (("formats", "spectra", "stores", "descriptors"), ("numpy", "ase")),
    "fdmnes_runs": (("formats", "stores"), ("numpy", "ase")),
    "fdmnes_results": (("fdmnes_runs", "formats", "spectra", "stores"), ("numpy",)),
    "activations": ((), ("numpy",)),
    "scaling": (("kernels",), ("numpy",)),
    "inference": (("activations", "models.network", "scaling"), ("numpy",)),
    "sigma_factors": ((), ("numpy",)),
    "uncertainty": (("sigma_factors",), ("numpy",)),
    "trust": ((), ("numpy",)),
    "landmarks": (("kernels", "scaling", "threads"), ("numpy",)),
    "kernel_ridge": (("inference", "landmarks", "scaling", "uncertainty"), ("numpy",)),
    "kernel_fitting": (("datasets", "kernel_ridge", "scaling", "stores"), ("numpy", "scipy")),
    "models": ((), ()),
    "models.keras_network": (("models",), ("numpy", "keras")),
    "backend": ((), ("tensorflow",)),
    "interruption": ((), ()),
    "datasets": (("scaling", "stores"), ("numpy",)),
    "clusters": (("datasets",), ("numpy", "scipy")),
    "gathering": (("clusters", "datasets", "stores"), ("numpy",)),
    "machines": ((), ()),
    "teams": (("backend", "machines"), ()),
    "sharding": (("datasets", "feeding", "scaling"), ("numpy",)),
    "feeding": (("datasets", "overlapping", "scaling", "sharding"), ("numpy", "tensorflow")),
    "fitting": (("datasets", "feeding", "interruption", "sharding", "training_loop"), ("numpy",)),
    "transfer": (("inference", "models", "scaling", "spectra.grid", "stores"), ("numpy",)),
    "training_inputs": (("stores",), ()),
    "training_logs": (("fitting", "stores"), ("numpy", "tensorflow")),
    "training_losses": (("scaling",), ("tensorflow",)),
    "training_loop": (
        ("backend", "feeding", "models", "scaling", "sharding", "teams", "training_losses"),
        ("numpy", "tensorflow", "keras"),
    ),
    "training_record": (("datasets", "fitting", "scaling", "stores"), ("numpy", "ase", "tensorflow", "keras")),
    "training_stages": (
        (
            "config_files", "datasets", "feeding", "fitting", "interruption", "kernel_fitting", "models",
            "scaling", "sharding", "sigma_factors", "stores", "teams", "training_loop", "training_record", "transfer",
            "trust", "uncertainty",
        ),
        ("numpy", "ase"),
    ),
    "training": (
        (
            "backend", "datasets", "gathering", "interruption", "machines", "models", "stores", "teams",
            "training_record", "training_stages", "transfer",
        ),
        (),
    ),
    "cross_validation": (
        ("backend", "config_files", "evaluation", "prediction", "stores", "training", "training_stages"), ("numpy",)
    ),
    **dict.fromkeys(TUNING, (
        (
            "backend", "config_files", "datasets", "extras", "fitting", "gathering", "interruption", "locks", "models",
            "stores", "training", "training_record", "training_stages", *TUNING,
        ),
        ("numpy", "optuna"),
    )),
    "bonds": ((), ("numpy", "ase", "scipy")),
    "prediction_sources": (
        ("stores", "descriptors", "feature_plans", "featurise", "import_options", "importing"), ("numpy", "ase")
    ),
    "prediction_plans": (("inference", "prediction_sources", "stores"), ("numpy",)),
    "prediction": (
        ("execution", "prediction_plans", "prediction_sources", "spectra", "stores", "trust"), ("numpy", "ase")
    ),
    "selecting": (("landmarks", "prediction", "prediction_sources", "stores"), ("numpy",)),
    "spectrum_peaks": ((), ("numpy", "scipy")),
    "export": (("formats", "stores"), ("numpy", "ase")),
    "evaluation": (("spectrum_peaks", "stores"), ("numpy", "scipy")),
    "relaxation": ((), ("numpy", "ase", "tblite")),
    "relaxing_journal": (("locks", "relaxation"), ()),
    "relaxing_processes": (("relaxation",), ()),
    "relaxing": (
        ("dask_execution", "extras", "relaxation", "relaxing_journal", "relaxing_processes", "stores"),
        ("distributed", "numpy"),
    ),
    "averaging": (("formats", "stores"), ("numpy", "ase")),
    "treating_predictions": (("spectra", "stores"), ("numpy",)),
    "experiments": (("formats", "spectra", "stores"), ("numpy", "ase")),
    "fit_options": ((), ("numpy",)),
    "fit_curves": (("experiments", "fit_options", "spectra"), ("numpy",)),
    "broadening_fit": (("experiments", "extras", "fit_curves", "fit_options", "spectra"), ("numpy", "lmfit")),
    "comparing": (("experiments",), ("numpy",)),
    "mixtures": (("comparing",), ("numpy", "scipy")),
    "matching": (("comparing", "mixtures"), ("numpy",)),
    "libraries": (("comparing", "spectra", "stores"), ("numpy", "ase")),
    "experiment_plots": (("broadening_fit", "matching", "plots"), ("numpy",)),
    "plots": (("evaluation", "stores"), ("numpy", "matplotlib")),
    "reporting": (
        (
            "energy_windows", "evaluation", "explaining", "explanation", "explanation_plots", "extras", "merits",
            "plots", "prediction",
            "prediction_sources", "projections", "site_maps", "site_plots", "stores", "training_plots",
        ),
        ("numpy", "jinja2"),
    ),
    "site_prediction": (
        ("prediction", "prediction_sources", "spectra", "stores", "trust", "uncertainty"), ("numpy", "ase")
    ),
    "reading_apart": (("experiments",), ("numpy",)),
    "uploads": (("experiments", "formats", "neighbours", "reading_apart"), ()),
    "serving_requests": (("neighbours", "uploads"), ("numpy", "pydantic")),
    "serving_answers": (
        ("bonds", "comparing", "formats", "matching", "serving_requests", "site_prediction"), ("numpy", "ase")
    ),
    "serving": (
        ("experiments", "serving_answers", "serving_requests", "site_prediction", "uploads"),
        ("numpy", "ase", "fastapi", "starlette"),
    ),
    "merits": (("evaluation", "spectrum_peaks", "stores"), ("numpy",)),
    "explanation_plots": (("bonds", "energy_windows", "explanation", "plots"), ("numpy", "ase")),
    "site_maps": (("prediction_sources", "projections", "stores"), ("numpy",)),
    "site_plots": (("evaluation", "plots", "site_maps", "stores"), ("numpy", "ase", "matplotlib")),
    "training_plots": (("plots", "site_plots", "stores"), ("numpy", "matplotlib")),
    "projections": (("extras",), ("numpy", "umap")),
    "information": (("stores", "descriptors"), ("numpy", "ase")),
    "demo": (("spectra",), ("numpy", "ase")),
}
# fmt: on


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


def room(module):
    """The room a module of ours stands in: the longest name in the table."""
    own = module.removeprefix("xanes_hpc.")
    parts = own.split(".")
    names = [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
    return next((name for name in names if name in MAY_IMPORT), names[-1])


def within(module, rooms):
    """Whether a module of ours stands in one of the rooms."""
    package, _, own = module.partition(".")
    if package != "xanes_hpc":
        return package.removeprefix("xanes_hpc_") in rooms
    return any(own == r or own.startswith(f"{r}.") for r in rooms)


def split(modules):
    """Ours, and other packages' names; the standard library left out."""
    ours = {m for m in modules if m.split(".")[0] in PACKAGES and m != "xanes_hpc"}  # the root holds the version only
    others = {m.split(".")[0] for m in modules} - set(PACKAGES) - set(sys.stdlib_module_names)
    return ours, others


LIBRARY = [m for m in FILES if m.startswith("xanes_hpc.") and m.split(".")[1] not in ("cli", "__main__")]


@pytest.mark.parametrize("module", LIBRARY)
def test_module_imports_what_its_room_may(module):
    ours, others = split(imports(FILES[module]))
    name = room(module)
    assert name in MAY_IMPORT, f"{module} stands in no known room: put it into one, here and in the architecture"
    may_ours, may_others = MAY_IMPORT[name]
    assert {m for m in ours if not within(m, (*may_ours, *PLAIN, name))} == set()
    assert others - set(may_others) == set()


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
    assert importers("tensorflow", "keras") <= set(TENSORFLOW)
    assert "training_loop" in importers("tensorflow", "keras")  # the scan sees something


def test_kernels_are_called_from_few_rooms_only():
    callers = {m for m in importers("xanes_hpc_kernels") if not m.startswith("xanes_hpc_kernels")}
    assert "neighbours" in callers
    assert {m for m in callers if room(f"xanes_hpc.{m}") not in CALLERS} == set()


def test_nothing_but_the_stores_opens_hdf5():
    assert {m for m in importers("h5py") if not m.startswith("stores.")} <= {"xanes_hpc_schema", "formats.nexus"}


def test_nothing_but_the_command_line_imports_the_command_line():
    from_outside = {m for m, p in FILES.items() if any(i.startswith("xanes_hpc.cli") for i in imports(p))}
    assert {m for m in from_outside if not m.startswith("xanes_hpc.cli")} == {"xanes_hpc.__main__"}


@pytest.mark.parametrize("module", [m for m in FILES if m.startswith("xanes_hpc.cli")])
def test_commands_import_the_library_inside(module):
    """So that ``--help`` is quick: at the top stand click, rich and what is plain."""
    ours, others = split(imports(FILES[module], top_level_only=True))
    assert {m for m in ours if not within(m, ("cli", "errors"))} == set()
    assert others <= {"click", "rich"}


@pytest.mark.parametrize("word", ["utils", "util", "helpers", "helper", "core", "common", "misc"])
def test_no_file_has_a_name_that_says_nothing(word):
    everywhere = [*FILES.values(), *(ROOT / "tests").glob("*.py")]
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


@pytest.mark.parametrize("module", ["inference", "scaling", "sigma_factors", "uncertainty", "trust", "models.network"])
def test_what_runs_a_network_needs_numpy_and_kernels_alone(module):
    program = f"import sys, xanes_hpc.{module}; print(*sorted({{'.'.join(m.split('.')[:2]) for m in sys.modules}}))"
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
