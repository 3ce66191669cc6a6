"""The radial distribution curve: comparison with a slow reference, its cutoff, and its description."""

import json
import math

import numpy as np
import pytest
from ase import Atoms
from hypothesis import given
from hypothesis import strategies as st
from support import reference, strategies, systems
from support.builders import run
from support.stored import write_structures

from xanes_hpc import descriptors
from xanes_hpc.errors import DescriptorError
from xanes_hpc.runtime import threads
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.structures import StructureStore

GIVEN = {"name": "rdc", "r_min": 0.5, "r_max": 5.5, "n": 26}


def built(**changes):
    return descriptors.from_description(GIVEN | changes)


def assert_agrees(description, structures, sites=None):
    """Compare within 1e-12 relative, or 1e-16 of the curve's maximum (an ulp of a distance, far from all atoms)."""
    descriptor = descriptors.from_description({"name": "rdc", "dtype": "float64", **description})
    sites = sites or [0] * len(structures)
    curves = descriptor.transform(structures, sites)
    assert curves.dtype == np.float64
    for curve, atoms, site in zip(curves, structures, sites, strict=True):
        expected = reference.rdc(descriptor.describe(), atoms, site)
        np.testing.assert_allclose(curve, expected, rtol=1e-12, atol=1e-16 * expected.max())
    return curves


def test_one_neighbour_is_one_gaussian():
    curve = built(alpha=3.0).transform(Atoms("FeO", positions=[[0, 0, 0], [0, 0, 2.1]]), 0)[0]
    r = np.linspace(0.5, 5.5, 26)
    np.testing.assert_allclose(curve, 26 * 8 * np.exp(-3.0 * (2.1 - r) ** 2), rtol=1e-13)


def test_both_charges_weigh_a_pair():
    atoms = Atoms("FeO", positions=[[0, 0, 0], [0, 0, 2.1]])
    np.testing.assert_array_equal(*built().transform(atoms, "all"))
    heavier = Atoms("CoO", positions=atoms.positions)
    np.testing.assert_allclose(built().transform(heavier, 0), 27 / 26 * built().transform(atoms, 0), rtol=1e-14)


def test_heavy_pairs_do_not_overflow_small_integers():
    curve = built(alpha=1.0, n=6).transform(Atoms("UPb", positions=[[0, 0, 0], [2.5, 0, 0]]), 0)[0]
    assert curve[2] == pytest.approx(92 * 82, rel=1e-15)


def test_without_neighbours_the_curve_is_zero():
    np.testing.assert_array_equal(built().transform(Atoms("Fe"), 0), np.zeros((1, 26)))


def test_dummy_atom_weighs_nothing():
    atoms = Atoms("FeO", positions=[[0, 0, 0], [1.9, 0, 0]])
    marked = atoms + Atoms("X", positions=[[0, 2.0, 0]])
    np.testing.assert_array_equal(built().transform(marked, 0), built().transform(atoms, 0))


@pytest.mark.parametrize("name", systems.NAMED)
def test_named_systems(name):
    assert_agrees(GIVEN | {"r_max": 3.5}, [systems.NAMED[name]()])


def test_preset_of_molecules_and_crystals():
    structures = [systems.ferrocene_like(), systems.rutile(), systems.chain()]
    curves = assert_agrees(descriptors.load("rdc", dtype="float64").describe(), structures, [0, 1, 0])
    assert (curves > 1.0).sum() > 60


@strategies.quick
@given(st.lists(strategies.molecules(), min_size=1, max_size=3), st.sampled_from([0.5, 8.0, 50.0]))
def test_random_molecules(structures, alpha):
    assert_agrees(GIVEN | {"alpha": alpha}, structures)


@strategies.quick
@given(strategies.crystals(max_atoms=3), st.sampled_from([2.0, 20.0]))
def test_random_crystals(atoms, alpha):
    if len(reference.neighbours(atoms.positions, atoms.cell, atoms.pbc, 0, 0.1)) == 0:
        assert_agrees(GIVEN | {"r_max": 3.0, "alpha": alpha}, [atoms])


@pytest.mark.parametrize("alpha", [0.5, 12.5, 200.0])
def test_no_jump_when_an_atom_crosses_the_cutoff(alpha):
    descriptor = built(alpha=alpha)
    assert descriptor.cutoff == pytest.approx(5.5 + math.sqrt(math.log(1e9) / alpha), rel=1e-14)
    inside, outside = (
        descriptor.transform(Atoms("FeO", positions=[[0, 0, 0], [0, 0, r]]), 0)[0]
        for r in (np.nextafter(descriptor.cutoff, 0), descriptor.cutoff)
    )
    assert (outside == 0).all()
    assert inside.max() == inside[-1] == pytest.approx(26 * 8 * 1e-9, rel=1e-6)


def test_single_precision_is_within_its_tolerance():
    single, double = (descriptors.load("rdc", dtype=d).transform(systems.rutile(), 1) for d in ("float32", "float64"))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, double, rtol=0, atol=1e-5 * np.ptp(double))


def test_bits_do_not_depend_on_threads():
    curves = []
    for n in (1, threads.MOST):
        with threads.limited_to(n):
            curves.append(built().transform([systems.haematite()] * 3, "all"))
    np.testing.assert_array_equal(*curves)


def test_gaussians_are_as_wide_as_a_step_by_default():
    description = built().describe()
    assert description["alpha"] == pytest.approx(1 / (2 * 0.2**2), rel=1e-14)
    assert built(alpha=description["alpha"]).hash == built().hash


def test_defaults_and_whole_numbers_do_not_change_the_hash():
    assert built(r_min=1, r_max=5, alpha=2).hash == built(r_min=1.0, r_max=5.0, alpha=2.0, dtype="float64").hash


@pytest.mark.parametrize(
    "change", [{"r_min": 0.6}, {"r_max": 5.6}, {"n": 27}, {"alpha": 12.0}, {"dtype": "float32"}], ids=str
)
def test_any_change_changes_the_hash(change):
    assert built(**change).hash != built().hash


def test_description_is_exact_through_json():
    descriptor = built(r_min=0.1, r_max=math.pi, n=7)
    again = descriptors.from_description(json.loads(json.dumps(descriptor.describe())))
    assert again.describe() == descriptor.describe()
    assert (again.hash, again.cutoff, again.labels) == (descriptor.hash, descriptor.cutoff, descriptor.labels)
    assert set(descriptor.describe()) == {"name", "dtype", "r_min", "r_max", "n", "alpha"}


@pytest.mark.parametrize(
    ("r_min", "r_max", "n"), [(0.0, 6.0, 7), (1.0, 6.0, 2001), (5.9999, 6.0, 50), (2.0, 2.0 + 1e-14, 5)]
)
def test_labels_distinguish_all_points(r_min, r_max, n):
    labels = built(r_min=r_min, r_max=r_max, n=n).labels
    assert len(set(labels)) == len(labels) == n
    assert labels[0] == f"RDC R={r_min:g}"


def test_preset_reaches_from_the_shortest_bond_to_the_cutoff_of_the_others():
    descriptor = descriptors.load("rdc")
    assert (descriptor.r_min, descriptor.r_max, descriptor.n_features) == (1.0, 6.0, 51)
    assert descriptor.alpha == 50.0
    assert descriptor.hash == descriptors.load("rdc", "rdc").hash == descriptors.choose("rdc", None).hash
    assert descriptors.presets()["rdc"] == "rdc"


REFUSED = {
    "unknown key": ({"cutoff": 6.0}, "has no key 'cutoff'; it has alpha, dtype, n, name, r_max, r_min"),
    "r_min text": ({"r_min": "0"}, "expected r_min of 0 or more (Å), received '0'"),
    "r_min negative": ({"r_min": -0.1}, "expected r_min of 0 or more (Å), received -0.1"),
    "r_min nan": ({"r_min": math.nan}, "expected r_min of 0 or more (Å), received nan"),
    "r_min switch": ({"r_min": True}, "expected r_min of 0 or more (Å), received True"),
    "r_max text": ({"r_max": "6"}, "expected r_max above r_min = 0.5 (Å), received '6'"),
    "r_max below": ({"r_max": 0.4}, "expected r_max above r_min = 0.5 (Å), received 0.4"),
    "r_max at r_min": ({"r_max": 0.5}, "expected r_max above r_min = 0.5 (Å), received 0.5"),
    "r_max nan": ({"r_max": math.nan}, "expected r_max above r_min = 0.5 (Å), received nan"),
    "r_max without end": ({"r_max": math.inf}, "expected r_max above r_min = 0.5 (Å), received inf"),
    "r_max switch": ({"r_max": True}, "expected r_max above r_min = 0.5 (Å), received True"),
    "r_max a huge integer": ({"r_max": 10**400}, "expected r_max above r_min = 0.5 (Å), received 1000"),
    "n 1": ({"n": 1}, "expected n from 2 to 10000 points, received 1"),
    "n fraction": ({"n": 26.0}, "expected n from 2 to 10000 points, received 26.0"),
    "n switch": ({"n": True}, "expected n from 2 to 10000 points, received True"),
    "n too many": ({"n": 10001}, "expected n from 2 to 10000 points, received 10001"),
    "alpha 0": ({"alpha": 0.0}, "expected alpha above 0 (1/Å²), received 0.0"),
    "alpha negative": ({"alpha": -50}, "expected alpha above 0 (1/Å²), received -50"),
    "alpha nan": ({"alpha": math.nan}, "expected alpha above 0 (1/Å²), received nan"),
    "alpha without end": ({"alpha": math.inf}, "expected alpha above 0 (1/Å²), received inf"),
    "alpha switch": ({"alpha": True}, "expected alpha above 0 (1/Å²), received True"),
    "alpha none": ({"alpha": None}, "expected alpha above 0 (1/Å²), received None"),
    "alpha list": ({"alpha": [1.0]}, "expected alpha above 0 (1/Å²), received [1.0]"),
    "dtype": ({"dtype": "float16"}, "expected dtype float32 or float64, received 'float16'"),
    "dtype list": ({"dtype": ["float32"]}, "expected dtype float32 or float64, received ['float32']"),
    "points on one spot": ({"r_max": 0.5 + 1e-15}, "expected grid points that differ in float64, received 26 from 0.5"),
    "points that are one in float32": (
        {"dtype": "float32", "r_min": 1.0, "r_max": 1.0001, "n": 10_000},
        "expected grid points that differ in float32, received 10000 from 1.0",
    ),
    "steps too small": ({"r_min": 0.0, "r_max": 1e-200}, "expected alpha above 0 (1/Å²), received inf"),
    "steps too large": ({"r_max": 1e300}, "expected alpha above 0 (1/Å²), received 0.0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_invalid_descriptions(case):
    change, message = REFUSED[case]
    with pytest.raises(DescriptorError) as caught:
        built(**change)
    assert str(caught.value).startswith("descriptor rdc")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["r_min", "r_max", "n"])
def test_missing_key_is_refused(key):
    with pytest.raises(DescriptorError, match=f"descriptor rdc: {key} is missing"):
        descriptors.from_description({k: v for k, v in GIVEN.items() if k != key})


def test_featurise_accepts_the_preset(tmp_path):
    write_structures(tmp_path / "s.h5")
    assert run("featurise", tmp_path / "s.h5", "--preset", "rdc") == 0
    descriptor = descriptors.load("rdc")
    with StructureStore(tmp_path / "s.h5") as source, FeatureStore(tmp_path / "s.features.h5") as features:
        expected = descriptor.compute(source.batch(0, source.n_sites))
        np.testing.assert_array_equal(features.read(0, source.n_sites), expected)
        assert features.description == descriptor.describe()


def test_featurise_accepts_a_description(tmp_path, capsys):
    write_structures(tmp_path / "s.h5")
    (tmp_path / "mine.toml").write_text('name = "rdc"\nr_min = 1.0\nr_max = 4.0\nn = 31\nalpha = 20\n')
    assert run("featurise", tmp_path / "s.h5", "--descriptor", tmp_path / "mine.toml") == 0
    assert "31 per site (rdc, float64)" in "".join(capsys.readouterr())
