"""Comparison with an independent program: DScribe's ACSF, unweighted and resolved by species.

DScribe (2.1) returns G1 and then G2 per species, and G4 with mu = 0 per unordered pair of species. Its cutoff function,
its prefactor 2^(1 - zeta) and its sum over pairs of neighbours (each once) agree with our definition. Like ours, its
fc(r_jk) is zero beyond the cutoff; the last tests check this. So each of our weighted functions is the sum of DScribe's
times the weights of the species.
"""

import math

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_numbers
from support import systems

from xanes_hpc import descriptors

dscribe = pytest.importorskip("dscribe.descriptors")


def theirs(atoms, site, cutoff, g2=(), g4=()):
    """Return DScribe's G1 and G2 (species, 1 + n_g2) and G4 (pair, n_g4), with species and pairs as atomic numbers."""
    species = sorted({int(z) for z in atoms.numbers})
    acsf = dscribe.ACSF(
        r_cut=cutoff,
        g2_params=[list(p) for p in g2] or None,
        g4_params=[list(p) for p in g4] or None,
        species=species,
        periodic=bool(atoms.pbc.any()),
    )
    values = acsf.create(atoms, centers=[site])[0]
    n_radial = len(species) * (1 + len(g2))
    pairs = [(a, b) for i, a in enumerate(species) for b in species[: i + 1]]
    return species, values[:n_radial].reshape(len(species), -1), pairs, values[n_radial:].reshape(len(pairs), -1)


def assert_agrees(atoms, site, preset, w):
    """Compare G1 and all functions with one weight per element with weighted sums of DScribe's."""
    whole = descriptors.load("wacsf", preset, dtype="float64").describe()
    checked = np.empty(0)
    for weighting in whole["weighting"]:
        if weighting.get("weights") not in w or any(weighting.get("g4", {}).get("mu", [])):
            continue
        if {"paths", "power"} & set(weighting):
            continue
        cutoff, g4 = weighting.get("cutoff", whole["cutoff"]), weighting.get("g4")
        radial, angular = weighting.get("g2", {"mu": [], "eta": []}), []
        if g4 is not None:
            angular = [(e, z, x) for e in g4["eta"] for x in g4["lambda"] for z in g4["zeta"]]
        pairs_of_g2 = list(zip(radial["eta"], radial["mu"], strict=True))
        species, by_species, pairs, by_pair = theirs(atoms, site, cutoff, pairs_of_g2, angular)
        weigh = w[weighting["weights"]]
        weights = np.array([weigh(z) for z in species])
        pair_weights = np.array([weigh(a) * weigh(b) for a, b in pairs])
        expected = [[by_species[:, 0].sum()], weights @ by_species[:, 1:], pair_weights @ by_pair]
        own = {k: v for k, v in weighting.items() if k != "cutoff"}
        alone = descriptors.from_description(whole | {"g1": True, "cutoff": cutoff, "weighting": [own]})
        expected = np.concatenate(expected)
        ours = alone.transform(atoms, site)[0]
        np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-9 * float(np.abs(expected).max()))
        checked = np.concatenate([checked, expected])
    return checked


PRESETS = [
    ("xanesnet-2022", {"Z": float}),
    ("xanesnet-49", {"Z": lambda z: 0.1 * z}),
    ("default", {"Z": float, "one": lambda z: 1.0}),
]


@pytest.mark.parametrize(("preset", "w"), PRESETS)
def test_molecule(preset, w):
    expected = assert_agrees(systems.ferrocene_like(), 0, preset, w)
    assert (expected > 0).all()
    assert expected.size == {"xanesnet-2022": 97, "xanesnet-49": 49, "default": 33 + 33}[preset]


@pytest.mark.parametrize(("preset", "w"), PRESETS)
@pytest.mark.parametrize("name", ["rutile", "haematite", "zincblende", "platinum slab", "almost parallel vectors"])
def test_periodic_system(name, preset, w):
    assert_agrees(systems.NAMED[name](), 1, preset, w)


def test_element_channels_are_their_species():
    atoms, mu, eta = systems.ferrocene_like(), [1.0, 2.0, 3.5], [1.0, 0.5, 0.1]
    channels = [{"elements": ["H", "C", "other"], "g2": {"mu": mu, "eta": eta}}]
    description = {"name": "wacsf", "cutoff": 6.0, "weighting": channels}
    ours = descriptors.from_description(description).transform(atoms)[0, 1:].reshape(3, 3)
    species, radial, _, _ = theirs(atoms, 0, 6.0, list(zip(eta, mu, strict=True)))
    rows = {z: radial[i, 1:] for i, z in enumerate(species)}
    np.testing.assert_allclose(ours[0], rows[1], rtol=1e-9)
    np.testing.assert_allclose(ours[1], rows[6], rtol=1e-9)
    others = sum(row for z, row in rows.items() if z not in (1, 6))
    np.testing.assert_allclose(ours[2], others, rtol=1e-9)


def test_angular_element_channel_is_the_pair_of_one_species():
    atoms = systems.ferrocene_like()
    g4 = {"mu": [0.0], "eta": [0.1], "lambda": [1, -1], "zeta": [1, 3]}
    description = {"name": "wacsf", "cutoff": 6.0, "g1": False, "weighting": [{"elements": ["C"], "g4": g4}]}
    ours = descriptors.from_description(description).transform(atoms)[0]
    _, _, pairs, angular = theirs(atoms, 0, 6.0, g4=[(0.1, z, x) for x in (1, -1) for z in (1, 3)])
    carbon = atomic_numbers["C"]
    np.testing.assert_allclose(ours, angular[pairs.index((carbon, carbon))], rtol=1e-9)


def test_two_neighbours_by_hand():
    """Check by hand the conventions of DScribe on which the sums above depend."""
    atoms = Atoms("FeOS", positions=[[0, 0, 0], [2.0, 0, 0], [0, 2.2, 0]])
    eta, zeta, cutoff = 0.3, 4, 6.0
    species, radial, pairs, angular = theirs(atoms, 0, cutoff, [(eta, 1.5)], [(eta, zeta, -1)])

    def fc(r):
        return 0.5 * (math.cos(math.pi * r / cutoff) + 1.0)

    assert radial[species.index(8), 0] == pytest.approx(fc(2.0), rel=1e-12)
    assert radial[species.index(8), 1] == pytest.approx(math.exp(-eta * 0.25) * fc(2.0), rel=1e-12)
    opposite = math.hypot(2.0, 2.2)
    by_hand = 2.0 ** (1 - zeta) * math.exp(-eta * (4.0 + 4.84 + opposite**2)) * fc(2.0) * fc(2.2) * fc(opposite)
    assert angular[pairs.index((16, 8)), 0] == pytest.approx(by_hand, rel=1e-12)


def test_dscribe_cuts_off_the_opposite_side_too():
    atoms = Atoms("FeO2", positions=[[0, 0, 0], [3.5, 0, 0], [-3.5, 0.1, 0]])
    _, _, _, angular = theirs(atoms, 0, 6.0, g4=[(0.01, 1, -1)])
    assert (angular == 0).all()


def test_coordination_of_bcc_iron():
    """G1 of a crystal follows from its shells; ours and DScribe's are both checked."""
    iron, a = bulk("Fe", "bcc", a=2.866), 2.866
    shells = [(8, math.sqrt(3) / 2), (6, 1.0), (12, math.sqrt(2)), (24, math.sqrt(11) / 2), (8, math.sqrt(3)), (6, 2.0)]
    g1 = sum(n * 0.5 * (math.cos(math.pi * s * a / 6.0) + 1.0) for n, s in shells if s * a < 6.0)
    assert descriptors.load("wacsf", "xanesnet-2022").transform(iron)[0, 0] == pytest.approx(g1, rel=1e-12)
    assert theirs(iron, 0, 6.0)[1][0, 0] == pytest.approx(g1, rel=1e-12)
