"""Extras: an error about a package that is not in the base install names the extra that installs it."""

import ast
import re
import sys
import tomllib

import pytest
from support.places import ROOT

from xanes_hpc.errors import ConfigError
from xanes_hpc.runtime.optional import need

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
SOURCES = [path for folder in ("xanes_hpc", "kernels", "hdf5_schema") for path in sorted((ROOT / folder).rglob("*.py"))]
IMPORTED_AS = {
    "dask-jobqueue": "dask_jobqueue", "feff10-rs": "feff10", "python-multipart": "multipart", "umap-learn": "umap",
    "xraylarch": "larch",
}  # fmt: skip
"""Import names of packages that differ from the name of the distribution."""
INDIRECT = {"keras": "tensorflow", "llvmlite": "numba", "pydantic": "fastapi", "starlette": "fastapi"}
"""Packages that we import, and the dependency that always installs them."""
IF_THERE = {"sklearn"}
"""Packages used only if they are installed: scikit-learn may ask for a descriptor's tags."""


def names(requirements):
    """Return the import names of requirements, including those of our extras among them."""
    found = set()
    for requirement in requirements:
        name, inner = re.match(r"([\w-]+)(?:\[([\w,-]+)\])?", requirement).groups()
        if name == PROJECT["name"]:
            found |= {n for extra in inner.split(",") for n in names(EXTRAS[extra])}
        else:
            found.add(IMPORTED_AS.get(name, name))
    return found


def calls_of_need():
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "need":
                package, extra, _ = node.args
                yield package.value, extra.value


def imported():
    """Return the top-level names of all packages that our sources import anywhere."""
    found = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(str(node.module).split(".")[0])
    return found


def test_a_missing_package_is_named_with_its_extra():
    with pytest.raises(ConfigError) as error:
        need("no_such_package", "relax", "relaxing structures")
    assert str(error.value) == (
        "relaxing structures needs no_such_package, which is not installed: pip install 'xanes-hpc[relax]'"
    )
    need("numpy", "relax", "relaxing structures")


def test_every_extra_that_an_error_names_installs_the_package():
    calls = set(calls_of_need())
    assert {extra for _, extra in calls} == {"dask", "feff", "larch", "pandas", "relax", "umap"}
    for package, extra in calls:
        assert package in names(EXTRAS[extra])
        assert package not in names(PROJECT["dependencies"])


def test_every_import_is_a_dependency_or_checked_with_need():
    base = names(PROJECT["dependencies"])
    ours = {"xanes_hpc", "xanes_hpc_kernels", "xanes_hpc_schema"}
    others = imported() - ours - IF_THERE - set(sys.stdlib_module_names)
    assert {name for name in others if INDIRECT.get(name, name) not in base} == {p for p, _ in calls_of_need()}


def test_all_is_every_extra_of_users_that_installs_without_a_gpu():
    developers = {"bench", "dev", "docs", "fuzz"}
    assert names(EXTRAS["all"]) == names(
        r for extra, requirements in EXTRAS.items() if extra not in developers | {"all", "gpu"} for r in requirements
    )
    assert names(EXTRAS["gpu"]) == {"tensorflow"}


def test_every_extra_that_a_text_names_exists():
    texts = [*SOURCES, ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    named = {
        extra
        for path in texts
        for extras in re.findall(r"pip install .*?\[([\w,-]+)\]'", path.read_text(encoding="utf-8"))
        for extra in extras.split(",")
    }
    assert {"dask", "gpu", "larch", "relax", "umap"} <= named <= set(EXTRAS)
