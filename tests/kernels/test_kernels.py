"""Functions that kernels call, in a compiled loop, and the only file that may set Numba's flags."""

import ast

import numba
import numpy as np
import pytest
from support.places import ROOT

from xanes_hpc_kernels.cutoff import cosine_cutoff
from xanes_hpc_kernels.vector_exp import exp_nonpositive

SMALLEST = {np.float64: -708.0, np.float32: -87.0}
"""The exponential is above 0 from this argument on."""

FOLDERS = ("kernels", "hdf5_schema", "xanes_hpc")


@numba.njit
def exponentials(x):
    out = np.empty_like(x)
    for i in range(x.size):
        out[i] = exp_nonpositive(x[i])
    return out


@numba.njit
def cutoffs(r_squared, cutoff_squared):
    out = np.empty_like(r_squared)
    for i in range(r_squared.size):
        out[i] = cosine_cutoff(r_squared[i], cutoff_squared)
    return out


@pytest.mark.parametrize(
    ("dtype", "low", "high", "tolerance"),
    [
        (np.float64, -1, 0, 8e-16),
        (np.float64, -10, -1, 2e-15),
        (np.float64, -100, -10, 2e-14),
        (np.float64, -708, -100, 1e-13),
        (np.float32, -1, 0, 2e-7),
        (np.float32, -10, -1, 6e-7),
        (np.float32, -87, -10, 5e-6),
    ],
)
def test_exponential_to_relative_tolerance(dtype, low, high, tolerance):
    x = np.linspace(low, high, 100_001).astype(dtype)
    values = exponentials(x)
    assert values.dtype == dtype
    np.testing.assert_allclose(values, np.exp(x.astype(np.float64)), rtol=tolerance, atol=0)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_exponential_of_tiny_arguments_is_one(dtype):
    x = -np.logspace(-37, -17, 1001).astype(dtype)
    np.testing.assert_array_equal(exponentials(x), np.ones_like(x))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_exponential_of_zero_is_exactly_one(dtype):
    np.testing.assert_array_equal(exponentials(np.array([0.0, -0.0], dtype)), [1.0, 1.0])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_exponential_is_zero_for_very_negative_arguments(dtype):
    end = SMALLEST[dtype]
    below = np.array([end - 1.0, 2 * end, 1e3 * end, 1e30 * end, -np.inf], dtype)
    np.testing.assert_array_equal(exponentials(below), np.zeros(5))
    assert exponentials(np.array([end], dtype))[0] > 0


def test_exponential_is_monotonic():
    y = exponentials(np.linspace(-5.0, 0.0, 20_001))
    assert (np.diff(y) > 0).all()


@pytest.mark.parametrize(("dtype", "n", "tolerance"), [(np.float64, 1021, 1e-13), (np.float32, 125, 6e-6)])
def test_exponential_where_the_power_of_two_changes(dtype, n, tolerance):
    halves = (-(np.arange(n) + 0.5) * np.log(2.0)).astype(dtype)
    x = np.concatenate([halves, np.nextafter(halves, dtype(0)), np.nextafter(halves, dtype(-1e9))])
    np.testing.assert_allclose(exponentials(x), np.exp(x.astype(np.float64)), rtol=tolerance, atol=0)


@pytest.mark.parametrize("cutoff", [2.5, 6.0, 12.0])
def test_cutoff_against_the_cosine(cutoff):
    r = np.linspace(0.0, cutoff, 100_001)[:-1]
    np.testing.assert_allclose(
        cutoffs(r * r, cutoff * cutoff), 0.5 * (np.cos(np.pi * r / cutoff) + 1.0), rtol=0, atol=1e-15
    )


@pytest.mark.parametrize("cutoff", [2.5, 6.0, 12.0])
def test_cutoff_in_single_precision(cutoff):
    r = np.linspace(0.0, cutoff, 100_001)[:-1]
    values = cutoffs((r * r).astype(np.float32), np.float32(cutoff * cutoff))
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, 0.5 * (np.cos(np.pi * r / cutoff) + 1.0), rtol=0, atol=5e-7)


@pytest.mark.parametrize("cutoff", [2.5, 6.0, 12.0])
def test_cutoff_near_its_end_is_exact_in_its_square_root(cutoff):
    r = cutoff * (1.0 - np.logspace(-12, -1, 1001))
    exact = np.sin(np.pi * (cutoff - r) / (2.0 * cutoff))
    np.testing.assert_allclose(np.sqrt(cutoffs(r * r, cutoff * cutoff)), exact, rtol=0, atol=1e-15)


def test_cutoff_is_one_at_zero_and_zero_from_the_cutoff_on():
    assert cutoffs(np.array([0.0]), 36.0)[0] == 1.0
    np.testing.assert_array_equal(
        cutoffs(np.array([36.0, np.nextafter(36.0, 99), 49.0, 1e30, np.inf]), 36.0), np.zeros(5)
    )


def test_cutoff_falls_and_is_never_negative():
    r = np.linspace(0.0, 6.0, 10_001)
    values = cutoffs(r * r, 36.0)
    assert (np.diff(values) < 0).all()
    assert (values >= 0).all()


def compiles(path):
    """Return True if a file names one of Numba's compilers."""
    named = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute):
            named.add(node.attr)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "numba":
            named |= {alias.name for alias in node.names}
    return bool(named & {"njit", "jit", "vectorize", "guvectorize", "stencil", "cfunc", "jit_module"})


def test_only_one_file_sets_numba_flags():
    found = [p.relative_to(ROOT).as_posix() for f in FOLDERS for p in sorted((ROOT / f).rglob("*.py")) if compiles(p)]
    assert found == ["kernels/xanes_hpc_kernels/_jit.py"]


@pytest.mark.parametrize(
    "source",
    ["import numba\nf = numba.njit(g)", "from numba import jit", "import numba as nb\n@nb.vectorize\ndef f(): pass"],
)
def test_scan_for_compilers_sees_them(tmp_path, source):
    path = tmp_path / "stray.py"
    path.write_text(source)
    assert compiles(path)


def test_scan_for_compilers_accepts_prange_and_intrinsics(tmp_path):
    path = tmp_path / "kernel.py"
    path.write_text("from numba import prange, types\nfrom numba.extending import intrinsic\n")
    assert not compiles(path)
