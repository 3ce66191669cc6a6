"""Every example in a docstring runs, in a folder with small stores and a model by the names that examples use."""

import ast
import doctest
import importlib
import shutil

import pytest
from support.places import ARCHIVES, ROOT

FILES = {
    "structures-1.h5": "complexes.h5",
    "features-1.h5": "complexes.features.h5",
    "predictions-1.h5": "predictions.h5",
    "model-1": "complexes.model",
}
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((ROOT / "xanes_hpc").rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


def examples():
    for name in MODULES:
        module = importlib.import_module(name)
        yield from (test for test in doctest.DocTestFinder(exclude_empty=True).find(module, name) if test.examples)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for source, name in FILES.items():
        (shutil.copytree if (ARCHIVES / source).is_dir() else shutil.copy)(ARCHIVES / source, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("example", list(examples()), ids=lambda example: example.name)
def test_example(folder, example):
    said = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    runner.run(example, out=said.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(said)


def public():
    """Functions, classes and methods of the front door, and their docstrings."""
    import xanes_hpc

    for name in (n for n in xanes_hpc.__all__ if not n.startswith("_")):
        value = getattr(xanes_hpc, name)
        yield name, value.__doc__
        if isinstance(value, type):
            for own, method in vars(value).items():
                if not own.startswith("_") and callable(getattr(value, own)) and hasattr(method, "__doc__"):
                    yield f"{name}.{own}", getattr(value, own).__doc__


@pytest.mark.parametrize("name", [name for name, _ in public()])
def test_every_public_name_has_an_example(name):
    text = dict(public())[name]
    assert "Examples\n" in text
    assert ">>> " in text


def test_the_front_door_is_typed_and_complete():
    """What type checkers see, what is offered, and what is found lazily are the same names."""
    import xanes_hpc

    tree = ast.parse((ROOT / "xanes_hpc" / "__init__.py").read_text(encoding="utf-8"))
    typed = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("xanes_hpc.api")
        for alias in node.names
    }
    assert typed == set(xanes_hpc._HOMES) == {n for n in xanes_hpc.__all__ if not n.startswith("_")}
