"""Path functions: comparison with the loops of ``support.reference``, and general properties."""

import numpy as np
import pytest
from ase import Atoms
from support import systems
from support.wacsf import around, both
from support.wacsf import assert_agrees as agrees

from xanes_hpc import descriptors
from xanes_hpc_kernels.wacsf_paths import BLOCK, SHORTEST

NOTHING = {"float64": 1e-30, "float32": 1e-15}
"""Negligible values: for atoms in line cos^2(beta / 2) is rounding, and its powers are almost zero."""
GAUSSIANS = {"mu": [1.8, 2.6, 3.4], "eta": [30.0, 8.0, 1.0]}
PATHS = {**GAUSSIANS, "zeta": [0, 1, 4, 32]}


def described(dtype="float64", cutoff=6.0, **weighting):
    weighting = {key: value for key, value in weighting.items() if value is not None}
    return descriptors.from_description(
        {"name": "wacsf", "cutoff": cutoff, "dtype": dtype, "g1": False, "weighting": [weighting]}
    )


def assert_agrees(structures, dtype, **given):
    return agrees(structures, dtype, nothing=NOTHING[dtype], **given)


def paths_of(atoms, site=0, **weighting):
    return described(**{"weights": "one", "paths": PATHS, **weighting}).transform(atoms, site)[0]


@both
@pytest.mark.parametrize("n", [*range(6), 8, 9, 16, 17, 33])
def test_any_number_of_neighbours(dtype, n):
    assert_agrees([around(n), around(n, seed=1)], dtype, paths=PATHS)


@both
def test_more_paths_than_a_block_holds(dtype):
    many = around(70, farthest=3.0)
    assert 2 * BLOCK < 70 * 69 // 2
    assert_agrees([many, around(40, farthest=3.0)], dtype, paths=PATHS)


@both
@pytest.mark.parametrize("zeta", [0.0, 0.5, 1.0, 2.0, 3.0, 8.0, 24.0, 64.0, 1000.0])
def test_any_power(dtype, zeta):
    in_line = Atoms("FeCO", positions=[[0, 0, 0], [0, 0, 1.8], [0, 0, 2.95]])
    assert_agrees([in_line, around(9), around(30)], dtype, paths={**GAUSSIANS, "zeta": [zeta]})


@both
@pytest.mark.parametrize("n", [1, 2, 7, 16, 33])
def test_any_number_of_gaussians_and_channels(dtype, n):
    gaussians = {"mu": np.linspace(1.0, 5.0, n).tolist(), "eta": [20.0] * n, "zeta": [0, 4, 16]}
    elements = ["H", "C", ["N", "O"], "U", "other"]
    weightings = [
        {"elements": elements, "paths": gaussians},
        {"weights": "Z", "scale": 0.1, "paths": gaussians},
        {"weights": "electronegativity", "cutoff": 4.0, "paths": gaussians},
    ]
    assert_agrees([around(n) for n in (2, 12, 33)], dtype, weightings=weightings)


@both
def test_crystals(dtype):
    weighting = {"elements": ["O", "other"], "paths": PATHS}
    structures = [systems.rutile(), systems.chain(), systems.sheet_without_third_vector()]
    assert_agrees(structures, dtype, cutoff=4.0, weightings=[weighting])


def test_coincident_and_nearly_coincident_neighbours():
    on_one_spot = Atoms("FeOS", positions=[[0, 0, 0], [1.1, 1.2, 0.7], [1.1, 1.2, 0.7]])
    near = [Atoms("FeOS", positions=[[0, 0, 0], [1.9, 0, 0], [1.9 + d, 0, 0]]) for d in (0.02, SHORTEST, 0.12)]
    assert_agrees([on_one_spot, *near], "float64", paths=PATHS)


def test_two_atoms_in_line_by_hand():
    """Fe, C, O in line: the path goes forward via C, and backward via O."""
    atoms = Atoms("FeCO", positions=[[0, 0, 0], [0, 0, 1.8], [0, 0, 3.0]])
    rho, sides = 3.0, 1.8 * 1.2 * 3.0
    fc = 0.5 * (np.cos(np.pi * rho / 6.0) + 1.0)
    paths = {"mu": [3.0], "eta": [1.0], "zeta": [0, 4]}
    carbon, oxygen = paths_of(atoms, elements=["C", "O"], weights=None, paths=paths).reshape(2, 2)
    np.testing.assert_allclose(carbon, [8 * fc / sides, 8 * fc / sides], rtol=1e-12)
    np.testing.assert_allclose(oxygen, [6 * fc / sides, 0.0], rtol=1e-12, atol=1e-15)


def test_a_bend_reduces_forward_scattering():
    def at(angle):
        bend = np.radians(angle)
        end = [1.2 * np.sin(bend), 0.0, 1.8 + 1.2 * np.cos(bend)]
        wide = {"mu": [3.0], "eta": [0.0], "zeta": [32]}
        return paths_of(Atoms("FeCO", positions=[[0, 0, 0], [0, 0, 1.8], end]), paths=wide)[0]

    assert at(0.0) > 1.1 * at(15.0) > 1.1 * at(30.0) > 10.0 * at(90.0)


def test_no_jump_where_two_neighbours_swap_order():
    def features(step):
        atoms = Atoms("FeNC", positions=[[0, 0, 0], [2.0, 0, 0], [0, 2.0 + step, 0]])
        return paths_of(atoms, elements=["N", "C"], weights=None)

    before, after = features(-1e-9), features(1e-9)
    np.testing.assert_allclose(before, after, rtol=1e-6, atol=1e-30)
    assert (before > 0).any()


def test_rotation_translation_order_and_far_atoms_do_not_matter():
    atoms = systems.ferrocene_like()
    expected = paths_of(atoms, elements=["H", "C", "other"], weights=None)
    moved = atoms.copy()
    moved.rotate(37.0, (1, 2, -1))
    moved.translate((11.0, -3.0, 5.0))
    moved += Atoms("Xe", positions=[moved.positions[0] + [6.5, 0, 0]])
    order = np.r_[0, np.random.default_rng(0).permutation(np.arange(1, len(moved)))]
    found = paths_of(moved[order], elements=["H", "C", "other"], weights=None)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-14)


def test_labels_name_every_function_in_order():
    descriptor = described(elements=["C", "other"], cutoff=5.0, paths={"mu": [2, 3], "eta": [8, 9], "zeta": [0, 4]})
    assert descriptor.labels[:3] == [
        "path C mu=2 eta=8 zeta=0",
        "path C mu=2 eta=8 zeta=4",
        "path C mu=3 eta=9 zeta=0",
    ]
    assert descriptor.labels[4] == "path other mu=2 eta=8 zeta=0"
    assert descriptor.n_features == 8
