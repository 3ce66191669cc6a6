"""Symmetry functions at the ends of the kernels' blocks, vectors and unrolled loops, in both precisions.

Features are compared with the loops of ``support.reference``. Every set of structures has one without neighbours, so
that a feature's range is its largest value.
"""

import numpy as np
import pytest
from ase import Atoms
from support.wacsf import CUTOFF, around, assert_agrees, both

from xanes_hpc import descriptors
from xanes_hpc.runtime import threads
from xanes_hpc.structures.sites import SiteBatch
from xanes_hpc_kernels.compaction import LANES
from xanes_hpc_kernels.wacsf_angular import BLOCK

RADIAL = {"mu": [1.0, 2.0, 3.0], "eta": [4.0, 2.0, 1.0]}
ANGULAR = {"mu": [0.0, 0.0, 0.0], "eta": [0.3, 0.05, 0.02], "lambda": [1, -1], "zeta": [1, 2, 4, 8]}


def with_triplets(n_triplets):
    """Return Fe with a given number of pairs of neighbours within the cutoff of each other.

    Any number is the sum of three of the form m (m - 1) / 2, for three groups of neighbours too far from each other.
    """
    sizes = np.arange(60)
    triangular = sizes * (sizes - 1) // 2
    total = triangular[:, None, None] + triangular[None, :, None] + triangular[None, None, :]
    groups = np.argwhere(total == n_triplets)[0]
    rng = np.random.default_rng(n_triplets)
    positions = []
    for angle, size in zip((0.0, 120.0, 240.0), groups, strict=True):
        centre = 4.6 * np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle)), 0.0])
        positions += list(centre + rng.uniform(-0.5, 0.5, (size, 3)))
    positions = np.array(positions).reshape(-1, 3)[rng.permutation(groups.sum())]
    apart = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    assert (np.triu(apart < CUTOFF, 1)).sum() == n_triplets
    return Atoms([26] + [8] * len(positions), positions=[[0.0, 0.0, 0.0], *positions])


FULL = BLOCK - LANES
"""A block with more triplets than this is processed."""
COUNTS = sorted(
    {
        *range(4),
        *(k * FULL + d for k in (1, 2) for d in (-1, 0, 1)),
        *(k * BLOCK + d for k in (1, 2) for d in (-1, 0, 1)),
    }
)


@both
def test_triplets_around_whole_blocks(dtype):
    g4 = {"mu": [0.0, 1.5], "eta": [0.02, 0.1], "lambda": [1, -1], "zeta": [1]}
    features = assert_agrees([with_triplets(n) for n in COUNTS], dtype, g4=g4)
    assert ((features[:, 1:] > 0).any(axis=1) == [n > 0 for n in [*COUNTS, 0]]).all()


@both
def test_any_number_of_neighbours(dtype):
    """The last vector of neighbours fills one to all of its lanes; the rest are distant columns."""
    assert_agrees([around(n) for n in range(36)], dtype, g2=RADIAL, g4={**ANGULAR, "zeta": [1, 3]})


@both
@pytest.mark.parametrize("n_gaussians", [1, 2, 3, 5])
def test_odd_and_even_numbers_of_gaussians(dtype, n_gaussians):
    eta = [0.4, 0.2, 0.1, 0.05, 0.02][:n_gaussians]
    g4 = {"mu": [0.0] * n_gaussians, "eta": eta, "lambda": [1, -1], "zeta": [1, 2]}
    assert_agrees([around(n) for n in (2, 9, 34)], dtype, g4=g4)


@both
@pytest.mark.parametrize("n_zeta", [1, 2, 3, 7, 8, 9, 10, 15, 16, 17, 24])
def test_any_number_of_angular_factors(dtype, n_zeta):
    g4 = {"mu": [0.0, 0.0], "eta": [0.1, 0.02], "lambda": [-1], "zeta": np.linspace(1.0, 24.0, n_zeta).tolist()}
    assert_agrees([around(n) for n in (3, 17, 33)], dtype, g4=g4)


@both
@pytest.mark.parametrize("n_channels", [1, 2, 3, 5])
def test_several_channels_share_their_gaussians(dtype, n_channels):
    elements = ["H", "C", ["N", "O"], "S", "other"][:n_channels]
    for lambdas, zetas in (([1], [1]), ([1, -1, 0.5], [2.5]), ([1, -1], [1, 2, 4, 8])):
        g4 = {"mu": [0.0, 2.0, 0.0], "eta": [0.1, 0.3, 0.02], "lambda": lambdas, "zeta": zetas}
        weightings = [{"elements": elements, "g4": g4}, {"weights": "Z", "scale": 0.1, "g4": g4}]
        assert_agrees([around(n) for n in (3, 12, 30)], dtype, weightings=weightings)


@both
@pytest.mark.parametrize("zeta", [0.5, 1.5, 3.0, 5.5, 16.0, 100.0, 128.0, 300.0])
def test_exponents_whose_power_is_large_do_not_overflow(dtype, zeta):
    """2^128 overflows float32, but 2^(1 - zeta) makes the function small again."""
    g4 = {"mu": [0.0], "eta": [0.05], "lambda": [1, -1, 0.3], "zeta": [zeta]}
    in_line = Atoms("FeOS", positions=[[0, 0, 0], [1.9, 0, 0], [4.0, 0, 0]])
    with np.errstate(over="raise"):
        assert_agrees([in_line, *(around(n) for n in (3, 8, 30))], dtype, g4=g4)


@both
@pytest.mark.parametrize("eta", [4.0, 50.0, 400.0])
def test_shifted_angular_functions_however_narrow(dtype, eta):
    g4 = {"mu": [1.5, 3.0, 0.0, 5.0], "eta": [eta, eta, 0.1, eta], "lambda": [1, -1], "zeta": [1, 4]}
    structures = [around(n) for n in (8, 40, 60)]
    structures += [Atoms("FeO2", [[0, 0, 0], [r, 0, 0], [r / 2, 0.87 * r, 0]]) for r in (1.49, 2.99, 3.0, 4.99, 5.01)]
    assert_agrees(structures, dtype, g4=g4)


@both
def test_any_number_of_radial_functions(dtype):
    for n in range(1, 41):
        mu = np.linspace(0.5, 5.5, n)
        assert_agrees([around(k) for k in (1, 12)], dtype, g2={"mu": mu.tolist(), "eta": [8.0] * n})


@both
def test_radial_functions_of_many_channels_with_and_without_weight(dtype):
    elements = ["H", "C", "N", "O", "S", "Fe", "Cu", "Zn", "U", ["He", "Li", "Be"], "other"]
    structures = [around(n) for n in (1, 5, 30)]
    structures += [structures[-1] + Atoms("XUPb", positions=[[0, 2.0, 0], [0, 0, 2.0], [-2.1, 0, 0]])]
    weightings = [{"elements": elements, "g2": RADIAL}, {"weights": "Z", "g2": RADIAL}]
    assert_agrees(structures, dtype, weightings=weightings)


@both
def test_very_short_and_very_long_cutoffs(dtype):
    g4 = {"mu": [0.0, 0.2], "eta": [1.0, 30.0], "lambda": [1, -1], "zeta": [1, 2]}
    for cutoff in (0.12, 0.4):
        near = [around(n, nearest=0.11, farthest=1.3 * cutoff) for n in (2, 12, 40)]
        assert_agrees(near, dtype, cutoff=cutoff, g2={"mu": [0.2], "eta": [50.0]}, g4=g4)
    far = [around(n, farthest=40.0) for n in (3, 15)]
    for cutoff in (60.0, 1e6):
        assert_agrees(far, dtype, cutoff=cutoff, g2={"mu": [9.0], "eta": [0.01]}, g4={**g4, "eta": [1e-4, 1e-3]})


@both
def test_neighbours_at_nearly_the_same_place_and_distance(dtype):
    same = Atoms("FeO3", positions=[[0, 0, 0], [2.0, 0, 0], [2.0, 1e-9, 0], [2.0 + 1e-9, 0, 0]])
    shell = Atoms(
        "FeO6", positions=[[0, 0, 0], *(2.0 * (1 + 1e-10 * i) * v for i, v in enumerate([*np.eye(3), *-np.eye(3)]))]
    )
    on_one_spot = Atoms("FeOS", positions=[[0, 0, 0], [1.1, 1.2, 0.7], [1.1, 1.2, 0.7]])
    g4 = {**ANGULAR, "mu": [0.0, 2.0, 0.0]}
    assert_agrees([same, shell, on_one_spot], dtype, g2=RADIAL, g4=g4)


@both
def test_structure_far_from_the_origin_has_the_same_features(dtype):
    """Positions are exact before and after the move, so no bit may change."""
    here = around(40)
    here.positions = np.round(here.positions * 2**20) / 2**20
    there = here.copy()
    there.positions += [8192.0, -16384.0, 1024.0]
    descriptor = descriptors.load("wacsf", "default", dtype=dtype)
    np.testing.assert_array_equal(descriptor.transform(there, 0), descriptor.transform(here, 0))


@both
def test_any_number_of_threads_gives_the_same_bits(dtype):
    if threads.MOST < 2:
        pytest.skip("needs two threads")
    structures = [around(n, seed) for seed in range(4) for n in (0, 1, 5, 23, 60, 2)]
    weighting = [{"weights": "Z", "g2": RADIAL, "g4": {**ANGULAR, "mu": [0.0, 1.0, 0.0]}}]
    descriptor = descriptors.from_description({"name": "wacsf", "cutoff": 6.0, "dtype": dtype, "weighting": weighting})
    features = []
    for n in range(1, threads.MOST + 1):
        with threads.limited_to(n):
            features.append(descriptor.transform(structures, [0] * len(structures)))
    for others in features[1:]:
        np.testing.assert_array_equal(others, features[0])


@pytest.mark.parametrize("preset", ["xanesnet-2022", "default"])
def test_bits_do_not_depend_on_memory_addresses(preset):
    generator, held, seen = np.random.default_rng(0), [], set()
    batch = SiteBatch.from_atoms([around(n, seed) for seed in range(20) for n in range(3, 30)], "first")
    descriptor = descriptors.load("wacsf", preset)
    for n_threads in (1, min(2, threads.MOST)):
        with threads.limited_to(n_threads):
            for _ in range(50):
                held = [*held[-19:], np.empty(int(generator.integers(1, 20_000)))]
                seen.add(descriptor.compute(batch).tobytes())
    assert len(seen) == 1
