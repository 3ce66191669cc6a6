"""The container images and the conda environment agree with pyproject.toml, and are made from files that are there.

No image is built here: its wheel is, from the files that it copies and no others.
"""

import json
import re
import shutil
import tomllib
import zipfile
from fnmatch import fnmatch

import hatchling.build
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from support.builders import run
from support.places import ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
PYTHONS = SpecifierSet(PROJECT["requires-python"])
CONDA_NAMES = {"matplotlib": "matplotlib-base"}
"""Distributions whose conda packages have other names."""


@pytest.fixture(scope="module")
def instructions():
    """The Dockerfile's instructions: their names and their words."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [tuple(line.split(maxsplit=1)) for line in lines]


def words_of(instructions, name):
    return [words for own, words in instructions if own == name]


def copied(instructions):
    """Files and folders that the images copy from ours."""
    copies = [words.split() for words in words_of(instructions, "COPY") if not words.startswith("--from")]
    return [source for *sources, _ in copies for source in sources]


def is_sent(name):
    """Whether .dockerignore lets Docker see a file or folder at the top; later lines override earlier ones."""
    sent = True
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#") and fnmatch(name, line.removeprefix("!")):
            sent = line.startswith("!")
    return sent


def test_images_are_for_the_processor_by_default_and_for_gpus(instructions):
    stages = re.findall(r"(\S+) AS (\S+)", "\n".join(words_of(instructions, "FROM")))
    names = [name for _, name in stages]
    assert names[-1] == "cpu"
    assert "gpu" in names
    (default,) = (words.partition("=")[2] for words in words_of(instructions, "ARG"))
    foreign = {image for image, _ in stages} - set(names)
    assert foreign == {"python:${PYTHON}-slim"}
    assert default in PYTHONS
    extras = set(re.findall(r"\[(\w+)\]", "\n".join(words_of(instructions, "RUN"))))
    assert extras == {"gpu"}
    assert extras <= PROJECT["optional-dependencies"].keys()


def test_images_hold_a_whole_wheel_and_run_our_command(instructions, tmp_path, monkeypatch, capsys):
    for name in copied(instructions):
        assert is_sent(name), name
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, tmp_path)
    assert not is_sent("tests")
    assert not is_sent(".git")
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile(tmp_path / hatchling.build.build_wheel(str(tmp_path))) as wheel:
        found = set(wheel.namelist())
        (entry_points,) = (wheel.read(name).decode() for name in found if name.endswith("entry_points.txt"))
    sources = {"xanes_hpc": ROOT, "xanes_hpc_kernels": ROOT / "kernels", "xanes_hpc_schema": ROOT / "hdf5_schema"}
    for package, folder in sources.items():
        own = {p.relative_to(folder).as_posix() for p in (folder / package).rglob("*") if p.is_file()}
        assert {name for name in own if "__pycache__" not in name} <= found
    commands = {tuple(json.loads(words)) for words in words_of(instructions, "ENTRYPOINT")}
    assert commands == {("xanes-hpc",)}
    assert "xanes-hpc = xanes_hpc.cli.main:run" in entry_points
    for words in words_of(instructions, "CMD"):
        assert run(*json.loads(words)) == 0
        assert "Usage: xanes-hpc" in capsys.readouterr().out


def test_the_page_on_gpus_names_images_that_there_are(instructions):
    page = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
    targets = set(re.findall(r"--target (\w+)", page))
    assert targets == {"gpu"}
    assert all(f" AS {target}" in "\n".join(words_of(instructions, "FROM")) for target in targets)
    (cache,) = (words for words in words_of(instructions, "ENV") if words.startswith("NUMBA_CACHE_DIR="))
    assert f":{cache.partition('=')[2]}" in page


def test_the_conda_environment_has_the_requirements_of_the_package():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert environment["name"] == PROJECT["name"]
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    *packages, own = environment["dependencies"]
    assert own == {"pip": ["."]}
    found = {one.name: one.specifier for one in map(Requirement, packages)}
    assert found.pop("python") == PYTHONS
    assert found.pop("pip") == SpecifierSet()
    required = [*PROJECT["dependencies"], *PYPROJECT["build-system"]["requires"]]
    expected = {one.name: one.specifier for one in map(Requirement, required)}
    assert found == {CONDA_NAMES.get(name, name): bounds for name, bounds in expected.items()}
