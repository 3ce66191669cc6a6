"""Packing of kept elements without gaps, compared with NumPy: any number of elements, none kept, all kept."""

import os
import subprocess
import sys
from itertools import pairwise

import numba
import numpy as np
import pytest
from support.places import ROOT, TESTS

from xanes_hpc_kernels.compaction import (
    APART,
    COSINE,
    FAR,
    INVERSE,
    LANES,
    N_GEOMETRY,
    OPPOSITE_SQUARED,
    SQUARE,
    SUM_OF_SQUARES,
    VECTOR_BYTES,
    aligned_rows,
    count_kept,
    count_near,
    keep_close,
    keep_difference,
    keep_near,
    keep_product,
    keep_sum,
    lanes_of,
)

DTYPES = [np.float32, np.float64]
PRODUCT, SUM, DIFFERENCE, N_ROWS = range(COSINE + 1, COSINE + 5)
UNTOUCHED = -7.0


@numba.njit
def packed(neighbours, n, limit, triplets):
    """Pack all pairs of n neighbours in the order of G4, and return their number."""
    t, lanes = 0, lanes_of(neighbours)
    for p in range(n - 1):
        for q in range(p + 1, n, lanes):
            kept = keep_close(neighbours, p, q, limit, triplets, t)
            keep_product(kept, neighbours, N_GEOMETRY, p, q, triplets, PRODUCT, t)
            keep_sum(kept, neighbours, N_GEOMETRY + 1, p, q, triplets, SUM, t)
            keep_difference(kept, neighbours, N_GEOMETRY + 1, p, q, triplets, DIFFERENCE, t)
            t += count_kept(kept)
    return t


@numba.njit
def near(points, start, stop, x, y, z, limit, found):
    n, lanes = 0, lanes_of(points)
    for o in range(start, stop, lanes):
        n += keep_near(points, o, stop, x, y, z, limit, found, n)
    return n


@numba.njit
def counted(points, start, stop, x, y, z, inner, outer):
    n_inner = n_outer = 0
    for o in range(start, stop, lanes_of(points)):
        within_inner, within_outer = count_near(points, o, stop, x, y, z, inner, outer)
        n_inner += within_inner
        n_outer += within_outer
    return n_inner, n_outer


@numba.njit
def rows_like(n_rows, n_columns, like):
    return aligned_rows(n_rows, n_columns, like)


def surroundings(n, dtype, seed=0):
    """Return neighbours within 6 Å with two more rows, followed by columns at ``FAR``."""
    rng = np.random.default_rng(seed + n)
    vectors = rng.normal(size=(3, n))
    vectors *= rng.uniform(1.0, 6.0, n) / np.linalg.norm(vectors, axis=0)
    neighbours = np.zeros((N_GEOMETRY + 2, n + LANES), dtype)
    neighbours[0] = FAR
    neighbours[:3, :n] = vectors
    neighbours[SQUARE, :n] = (vectors**2).sum(axis=0)
    neighbours[INVERSE, :n] = np.sqrt(0.5) / np.linalg.norm(vectors, axis=0)
    neighbours[N_GEOMETRY:, :n] = rng.normal(size=(2, n))
    return neighbours


def expected_rows(neighbours, n, limit):
    """Return the same rows computed by NumPy in float64, and the kept pairs."""
    p, q = np.triu_indices(n, 1)
    vectors = neighbours[:3, :n].astype(float)
    opposite = ((vectors[:, q] - vectors[:, p]) ** 2).sum(axis=0)
    arms = (vectors[:, p] ** 2).sum(axis=0), (vectors[:, q] ** 2).sum(axis=0)
    cosine = (vectors[:, p] * vectors[:, q]).sum(axis=0) / np.sqrt(arms[0] * arms[1])
    kept = opposite < limit
    assert (np.abs(opposite - limit) > 1e-5 * limit).all()
    return np.array([opposite, arms[0] + arms[1] + opposite, cosine])[:, kept], p[kept], q[kept]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("limit", [1e-3, 9.0, 30.0, 1e6], ids=["none", "few", "many", "all"])
def test_pairs_closer_than_the_limit_are_packed_in_order(dtype, limit):
    for n in range(41):
        neighbours = surroundings(n, dtype)
        expected, p, q = expected_rows(neighbours, n, limit)
        triplets = np.full((N_ROWS, n * (n - 1) // 2 + LANES), UNTOUCHED, dtype)
        t = packed(neighbours, n, dtype(limit), triplets)
        assert t == p.size
        tolerance = 20 * np.finfo(dtype).eps
        for row in (OPPOSITE_SQUARED, SUM_OF_SQUARES):
            np.testing.assert_allclose(triplets[row, :t], expected[row], rtol=0, atol=150 * tolerance)
        np.testing.assert_allclose(triplets[COSINE, :t], expected[COSINE], rtol=0, atol=10 * tolerance)
        product, added = neighbours[N_GEOMETRY:]
        np.testing.assert_array_equal(triplets[PRODUCT, :t], product[q] * product[p])
        np.testing.assert_array_equal(triplets[SUM, :t], added[q] + added[p])
        np.testing.assert_array_equal(triplets[DIFFERENCE, :t], added[q] - added[p])
        behind = triplets[:, t + LANES :]
        np.testing.assert_array_equal(behind, np.full_like(behind, UNTOUCHED))


@pytest.mark.parametrize("dtype", DTYPES)
def test_squared_distance_equal_to_the_limit_is_not_kept(dtype):
    neighbours = np.zeros((N_GEOMETRY + 2, 2 + LANES), dtype)
    neighbours[0] = FAR
    neighbours[:3, :2] = [[1.0, 3.0], [2.0, 3.0], [0.5, 2.5]]  # 4 + 1 + 4
    triplets = np.empty((N_ROWS, LANES + 1), dtype)
    assert packed(neighbours, 2, dtype(9.0), triplets) == 0
    assert packed(neighbours, 2, np.nextafter(dtype(9.0), dtype(10.0)), triplets) == 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_columns_far_away_are_never_kept(dtype):
    """Not even with a limit close to the largest float32."""
    for n in range(2, 20):
        triplets = np.empty((N_ROWS, n * n + LANES), dtype)
        assert packed(surroundings(n, dtype), n, dtype(1e29), triplets) == n * (n - 1) // 2
        assert np.isfinite(triplets[:, : n * (n - 1) // 2]).all()


@pytest.mark.parametrize("limit", [1e-9, 3.0, 12.0, 1e9], ids=["none", "few", "many", "all"])
@pytest.mark.parametrize("start", [0, 1, 7])
def test_points_nearer_than_the_limit_are_listed_in_order(start, limit):
    rng = np.random.default_rng(start)
    for n in range(41):
        points = np.zeros((3, start + n + LANES + 5))  # columns after the last are nearer than any
        points[:, : start + n] = rng.uniform(-3, 3, (3, start + n))
        x, y, z = rng.uniform(-0.5, 0.5, 3)
        squared = ((points - np.array([[x], [y], [z]])) ** 2).sum(axis=0)
        expected = start + np.flatnonzero(squared[start : start + n] < limit)
        found = np.full(n + LANES, -1)
        assert near(points, start, start + n, x, y, z, limit, found) == expected.size
        np.testing.assert_array_equal(found[: expected.size], expected)
        inner = int((squared[expected] < 0.5 * limit).sum())
        assert counted(points, start, start + n, x, y, z, 0.5 * limit, limit) == (inner, expected.size)


@pytest.mark.parametrize("dtype", DTYPES)
def test_vector_is_64_bytes(dtype):
    lanes = numba.njit(lambda array: lanes_of(array))(np.empty(1, dtype))
    assert lanes * np.dtype(dtype).itemsize == VECTOR_BYTES == 64
    assert lanes <= LANES


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_start_on_vector_boundaries_and_are_wide_enough(dtype):
    for n_columns in (*range(1, 40), 512):
        rows = rows_like(3, n_columns, np.empty((1, 1), dtype))
        assert rows.dtype == dtype
        assert rows.shape[0] == 3
        assert n_columns <= rows.shape[1] < max(n_columns + LANES, 1 + APART // rows.itemsize)
        assert all(second.ctypes.data - first.ctypes.data >= APART for first, second in pairwise(rows))
        assert rows.flags.c_contiguous
        assert all(row.ctypes.data % VECTOR_BYTES == 0 for row in rows)
        rows[:] = 1.0  # fails if the memory is too short


def run_as_on_a_plain_processor(cache, *files):
    """Run tests with machine code for any x86-64 or ARM: no 64-byte vectors, and no packing instruction."""
    environment = os.environ | {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(cache)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not plain_processor"]
    done = subprocess.run(
        [*command, *(str(TESTS / file) for file in files)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


def test_packing_on_a_plain_processor(tmp_path):
    run_as_on_a_plain_processor(tmp_path, "kernels/test_compaction.py")


@pytest.mark.slow
def test_features_on_a_plain_processor(tmp_path):
    run_as_on_a_plain_processor(tmp_path, "structures/test_cell_lists.py", "descriptors/test_wacsf_blocks.py")
