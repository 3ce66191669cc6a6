"""The weight table ``electronegativity``: its numbers, and features that use it."""

import numpy as np
import pytest
from ase import Atoms
from ase.data import atomic_numbers, chemical_symbols
from support import reference, systems

from xanes_hpc import descriptors
from xanes_hpc.descriptors._electronegativity import PAULING

G2 = {"mu": [0.0, 1.9, 3.0], "eta": [0.4, 4.0, 1.0]}
G4 = {"mu": [0.0], "eta": [0.1], "lambda": [1.0, -1.0], "zeta": [1.0, 4.0]}


def weighted(weights, **more):
    weighting = {"weights": weights, "g2": G2, "g4": G4, **more}
    return descriptors.from_description({"name": "wacsf", "cutoff": 6.0, "weighting": [weighting]})


def table(weights, **more):
    ((row,),) = (w["tables"] for w in weighted(weights, **more).resolve()["weighting"])
    return row


@pytest.mark.parametrize(
    ("symbol", "value"),
    [
        ("H", 2.20),
        ("Li", 0.98),
        ("C", 2.55),
        ("N", 3.04),
        ("O", 3.44),
        ("F", 3.98),
        ("S", 2.58),
        ("Cl", 3.16),
        ("Fe", 1.83),
        ("Br", 2.96),
        ("Mo", 2.16),
        ("I", 2.66),
        ("Cs", 0.79),
        ("Pt", 2.2),
    ],
)
def test_known_values(symbol, value):
    assert PAULING[symbol] == value
    assert table("electronegativity")[atomic_numbers[symbol]] == value


def test_values_lie_between_francium_and_fluorine():
    assert set(PAULING) <= set(chemical_symbols[1:])
    assert min(PAULING.values()) == PAULING["Fr"] == 0.7
    assert max(PAULING.values()) == PAULING["F"]
    assert [s for s, x in PAULING.items() if x > 3.1] == ["O", "F", "Cl"]


def test_elements_without_a_value_are_noble_gases_some_lanthanides_and_the_heaviest():
    missing = [s for s in chemical_symbols[1:96] if s not in PAULING]
    assert missing == ["He", "Ne", "Ar", "Kr", "Pm", "Eu", "Tb", "Yb", "Rn", "Am"]
    row = table("electronegativity")
    assert len(row) == 119
    assert [chemical_symbols[z] for z in np.flatnonzero(np.array(row[:96]) == 0)] == ["X", *missing]
    assert not any(row[95:])


def test_features_agree_with_the_reference():
    descriptor = weighted("electronegativity", scale=0.5)
    atoms = systems.ferrocene_like()
    expected = reference.wacsf(descriptor.describe(), atoms, 0)
    np.testing.assert_allclose(descriptor.transform(atoms, 0)[0], expected, rtol=1e-6)
    assert descriptor.labels[1] == "G2 0.5electronegativity mu=0 eta=0.4"


def test_a_single_neighbour_is_weighted_by_its_electronegativity():
    atoms = Atoms("FeO", positions=[[0, 0, 0], [1.9, 0, 0]])
    weights = [w.transform(atoms, 0)[0, 1:4] for w in map(weighted, ("electronegativity", "one"))]
    np.testing.assert_allclose(weights[0], 3.44 * weights[1], rtol=1e-12)


def test_elements_without_a_value_have_no_weight_but_count_in_g1():
    bare = Atoms("FeO", positions=[[0, 0, 0], [1.9, 0, 0]])
    with_argon = bare + Atoms("Ar", positions=[[0, 2.0, 0]])
    descriptor = weighted("electronegativity")
    without, also = descriptor.transform(bare, 0)[0], descriptor.transform(with_argon, 0)[0]
    np.testing.assert_array_equal(also[1:], without[1:])
    assert also[0] > without[0]


def test_hash_differs_from_that_of_other_weights():
    assert len({weighted(w).hash for w in ("Z", "one", "electronegativity")}) == 3


def test_description_is_its_name():
    description = weighted("electronegativity").describe()
    assert description["weighting"][0]["weights"] == "electronegativity"
    assert descriptors.from_description(description).hash == weighted("electronegativity").hash
