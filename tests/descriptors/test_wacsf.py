"""Features compared with the loops of ``support.reference``: 1e-6 relative plus 1e-9 of the range, in float64."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from hypothesis import given
from hypothesis import strategies as st
from support import reference, strategies, systems

from xanes_hpc import descriptors

RELATIVE, FLOOR = 1e-6, 1e-9
NOTHING = {"default": (1e-15, 1e-15)}
"""Negligible values, in float64 and float32, for powers of angles that are almost zero, and for sums that cancel."""


def clusters():
    """Return molecules around Fe: spread, crowded, linear, with one, no, or opposite neighbours."""
    rng = np.random.default_rng(3)
    crowd = rng.normal(0, 1, (14, 3))
    crowd *= (rng.uniform(1.3, 5.9, 14) / np.linalg.norm(crowd, axis=1))[:, None]
    return [
        systems.ferrocene_like(),
        Atoms("FeC6O4Br2I2", positions=[[0, 0, 0], *crowd]),
        Atoms("FeO2", positions=[[0, 0, 0], [0, 0, 1.9], [0, 0, -1.9]]),
        Atoms("FeO2S", positions=[[0, 0, 0], [1e-7, 0, 1.7], [0, 0, -1.8], [1e-5, 0, 2.9]]),
        Atoms("FeN", positions=[[0, 0, 0], [1.1, 0.4, 0.2]]),
        Atoms("Fe"),
        Atoms("FeCl4", positions=[[0, 0, 0], [4.5, 0, 0], [-4.5, 0, 0], [0, 4.4, 0.3], [0.2, -3.1, 4.0]]),
    ]


def assert_agrees(description, structures, sites=None, nothing=0.0):
    """Compare all sites with the reference; the range of a feature is its range over these sites."""
    descriptor = descriptors.from_description({"name": "wacsf", **description, "dtype": "float64"})
    sites = sites or [0] * len(structures)
    features = descriptor.transform(structures, sites)
    full = descriptor.describe()
    expected = np.array([reference.wacsf(full, a, s) for a, s in zip(structures, sites, strict=True)])
    assert features.shape == expected.shape
    assert features.dtype == np.float64
    allowed = RELATIVE * np.abs(expected) + FLOOR * np.ptp(expected, axis=0) + nothing
    wrong = np.argwhere(np.abs(features - expected) > allowed)
    assert not wrong.size, [(int(i), descriptor.labels[f], features[i, f], expected[i, f]) for i, f in wrong[:5]]
    return features


@pytest.mark.parametrize("preset", ["xanesnet-2022", "xanesnet-49", "default"])
def test_preset_of_molecules(preset):
    features = assert_agrees(
        descriptors.load("wacsf", preset).describe(), clusters(), nothing=NOTHING.get(preset, (0.0, 0.0))[0]
    )
    assert (features[5] == 0).all()  # no neighbours
    assert (features[0] > 0).sum() > 40


@pytest.mark.parametrize("preset", ["xanesnet-2022", "xanesnet-49", "default"])
def test_preset_of_crystals(preset):
    sheared = bulk("Fe", "bcc", a=3.4)
    sheared.set_cell(np.asarray(sheared.cell) @ [[1, 0.1, 0], [0, 1, 0.2], [0.05, 0, 1.1]], scale_atoms=True)
    structures = [sheared, systems.chain(), systems.sheet_without_third_vector()]
    assert_agrees(descriptors.load("wacsf", preset).describe(), structures, nothing=NOTHING.get(preset, (0.0, 0.0))[0])


@pytest.mark.parametrize("preset", ["xanesnet-2022", "xanesnet-49", "default"])
def test_single_precision_is_within_its_tolerance(preset):
    """In float32 features agree within 1e-4 of their range."""
    descriptor = descriptors.load("wacsf", preset, dtype="float32")
    features = descriptor.transform(clusters(), [0] * 7)
    expected = np.array([reference.wacsf(descriptor.describe(), atoms, 0) for atoms in clusters()])
    assert features.dtype == np.float32
    assert (np.abs(features - expected) <= 1e-4 * np.ptp(expected, axis=0) + NOTHING.get(preset, (0.0, 1e-37))[1]).all()


FUNCTIONS = {"mu": [0.0, 0.0], "eta": [0.4, 0.05]}
ANGULAR = {**FUNCTIONS, "lambda": [1, -1], "zeta": [1, 2]}


def test_features_without_cutoff_function():
    assert_agrees({"cutoff": 5.0, "g1": False, "weighting": [{"weights": "Z", "g2": FUNCTIONS}]}, clusters())


def test_shifted_angular_functions():
    g4 = {"mu": [0.5, 1.5, 3.0, -1.0], "eta": [4.0, 0.7, 0.3, 0.05], "lambda": [1, -1], "zeta": [1, 4]}
    assert_agrees({"cutoff": 6.0, "weighting": [{"weights": "one", "g4": g4}]}, clusters())


def test_narrow_shifted_angular_functions():
    g4 = {"mu": [1.9, 2.2], "eta": [200.0, 30.0], "lambda": [1, -1], "zeta": [1]}
    near = [Atoms("FeO2", positions=[[0, 0, 0], [r, 0, 0], [r / 2, 0.87 * r, 0]]) for r in (1.85, 1.9, 2.0, 2.2)]
    assert_agrees({"cutoff": 6.0, "weighting": [{"weights": "Z", "g4": g4}]}, near)


@pytest.mark.parametrize("zeta", [0.3, 0.5, 1.5, 3.0, 6.0, 7.25, 16.0, 64.0, 100.0])
def test_exponents_that_are_and_are_not_powers_of_two(zeta):
    g4 = {**FUNCTIONS, "lambda": [1, -1, 0.5, -0.3, 0.0], "zeta": [zeta]}
    # Rounding of cos theta (1e-16) to the power zeta < 1 is no longer small if an angle is straight; avoid such angles.
    bent = [a for i, a in enumerate(clusters()) if i not in (2, 3)] if zeta < 1 else clusters()
    assert_agrees({"cutoff": 6.0, "weighting": [{"weights": "Z", "g4": g4}]}, bent)


@pytest.mark.parametrize("offset", [0.0, 1e-9, 1e-6, 1e-3])
def test_nearly_straight_angles(offset):
    """The angular factor vanishes at 180 degrees for lambda = 1 and at 0 degrees for lambda = -1."""
    straight = Atoms("FeOS", positions=[[0, 0, 0], [offset, 0, 2.0], [0, 0, -2.1]])
    folded = Atoms("FeOS", positions=[[0, 0, 0], [offset, 0, 2.0], [0, 0, 3.4]])
    right = Atoms("FeOS", positions=[[0, 0, 0], [0, 2.0, 0], [0, 0, 2.1]])
    description = {"cutoff": 6.0, "weighting": [{"weights": "Z", "g4": {**ANGULAR, "zeta": [1, 2, 4, 8]}}]}
    features = assert_agrees(description, [straight, folded, right])
    assert (features >= 0).all()


def test_neighbours_farther_apart_than_the_cutoff_form_no_angle():
    apart = Atoms("FeCl2", positions=[[0, 0, 0], [3.5, 0, 0], [-3.5, 0.1, 0]])
    description = {"cutoff": 6.0, "weighting": [{"weights": "Z", "g2": FUNCTIONS, "g4": ANGULAR}]}
    features = assert_agrees(description, [apart, clusters()[0]])
    assert (features[0, 3:] == 0).all()
    assert (features[0, :3] > 0).all()


def test_neighbour_at_the_cutoff_does_not_count():
    on_it = Atoms("FeOO", positions=[[0, 0, 0], [0, 0, 6.0], [0, 0, 2.0]])
    without = on_it[[0, 2]]
    descriptor = descriptors.load("wacsf", "xanesnet-2022")
    np.testing.assert_array_equal(descriptor.transform(on_it, 0), descriptor.transform(without, 0))


def test_element_channels_with_groups_and_the_rest():
    elements = ["H", ["C", "N"], "O", "other"]
    description = {"cutoff": 6.0, "weighting": [{"elements": elements, "g2": FUNCTIONS, "g4": ANGULAR}]}
    features = assert_agrees(description, clusters())
    labels = descriptors.from_description({"name": "wacsf", **description}).labels
    rest = [i for i, label in enumerate(labels) if label.startswith("G2 other")]
    assert len(rest) == 2
    assert (features[1, rest] > 0).all()  # Br and I


def test_dummy_atom_weighs_nothing_in_any_channel():
    bare = Atoms("FeO", positions=[[0, 0, 0], [1.9, 0, 0]])
    marked = bare + Atoms("X", positions=[[0, 2.0, 0]])
    weighting = [{"weights": w, "g2": FUNCTIONS, "g4": ANGULAR} for w in ("Z", "one")]
    weighting.append({"elements": ["O", "other"], "g2": FUNCTIONS, "g4": ANGULAR})
    description = {"name": "wacsf", "cutoff": 6.0, "g1": False, "weighting": weighting}
    descriptor = descriptors.from_description(description)
    np.testing.assert_array_equal(descriptor.transform(marked, 0), descriptor.transform(bare, 0))


def test_element_channels_add_up_to_the_weight_one():
    elements = {"elements": ["H", "C", "other"], "g2": FUNCTIONS}
    split = descriptors.from_description({"name": "wacsf", "cutoff": 6.0, "g1": False, "weighting": [elements]})
    one = {"weights": "one", "g2": FUNCTIONS}
    whole = descriptors.from_description({"name": "wacsf", "cutoff": 6.0, "g1": False, "weighting": [one]})
    parts = split.transform(clusters(), "first").reshape(-1, 3, 2)
    np.testing.assert_allclose(parts.sum(axis=1), whole.transform(clusters(), "first"), rtol=1e-13)


def test_channels_of_absent_elements_are_zero():
    description = {"name": "wacsf", "cutoff": 6.0, "weighting": [{"elements": ["U"], "g2": FUNCTIONS, "g4": ANGULAR}]}
    features = descriptors.from_description(description).transform(clusters(), "first")
    assert (features[:, 1:] == 0).all()


def test_several_weightings_with_shared_and_own_functions():
    other = {"mu": [1.0, 2.0, 3.0], "eta": [2.0, 2.0, 2.0]}
    weighting = [
        {"weights": "Z", "g2": FUNCTIONS, "g4": ANGULAR},
        {"weights": "one", "scale": -2.5, "g2": FUNCTIONS},
        {"elements": ["O", "other"], "g2": other, "g4": ANGULAR},
        {"weights": "Z", "scale": 0.1, "g4": {**ANGULAR, "zeta": [3]}},
    ]
    assert_agrees({"cutoff": 5.5, "weighting": weighting}, clusters())


@strategies.quick
@given(st.lists(strategies.molecules(), min_size=2, max_size=3), st.sampled_from([3.0, 4.5, 6.0]))
def test_random_molecules(structures, cutoff):
    g4 = {"mu": [0.0, 1.0], "eta": [0.2, 0.3], "lambda": [1, -1], "zeta": [1, 3, 8]}
    weighting = [{"weights": "Z", "g2": FUNCTIONS, "g4": g4}, {"elements": ["C", "other"], "g4": g4}]
    assert_agrees({"cutoff": cutoff, "weighting": weighting}, structures)
