"""Which heavy modules predict imports for one structure in a fresh process; no time is measured."""

import subprocess
import sys

import pytest
from support.builders import write_xyz
from support.places import ARCHIVES

MODEL = ARCHIVES / "model-1"
HEAVY = ("tensorflow", "keras", "ase.io", "matplotlib", "rich", "scipy.linalg", "scipy.special", "xraydb")
"""Modules that take long to import, and are not needed for structures in plain XYZ whose edges the model knows."""
CHROMIUM = (("Cr", 0.0, 0.0, 0.0), ("O", 0.0, 0.0, 1.6), ("O", 1.7, 0.0, 0.0), ("N", 0.0, -1.9, 0.2))
IRON = (("Fe", 0.0, 0.0, 0.0), *CHROMIUM[1:])
PREDICT = f"""
import sys
from xanes_hpc.cli.main import run
try:
    run(["predict", *sys.argv[1:]])
except SystemExit as error:
    code = error.code
print("imported:", *(name for name in {HEAVY!r} if name in sys.modules))
sys.exit(code)
"""


def imported(folder, *arguments):
    """Predict in a fresh process, its kernels compiled by an earlier one, and return the heavy modules it imported."""
    command = [sys.executable, "-c", PREDICT, *arguments, "--model", MODEL, "-o", folder / "p.h5", "--overwrite"]
    for _ in range(2):
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].removeprefix("imported:").split()


def test_one_structure_needs_no_heavy_module(tmp_path):
    write_xyz(tmp_path / "one.xyz", CHROMIUM)
    assert imported(tmp_path, tmp_path / "one.xyz") == []
    assert (tmp_path / "p.h5").is_file()


@pytest.mark.parametrize(
    ("comment", "atoms", "options", "expected"),
    [
        ('Lattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3', CHROMIUM, [], "ase.io"),
        ("", IRON, ["--force"], "xraydb"),
    ],
    ids=["extended XYZ", "an edge the model has not seen"],
)
def test_heavy_modules_are_imported_where_they_are_needed(tmp_path, comment, atoms, options, expected):
    write_xyz(tmp_path / "one.xyz", atoms, comment)
    assert expected in imported(tmp_path, tmp_path / "one.xyz", *options)
