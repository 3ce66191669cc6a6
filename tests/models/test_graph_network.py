"""The graph network against its definition, one atom and one edge at a time; ``contracts`` compares it with Keras."""

import math

import numpy as np
import pytest
from ase import Atoms
from support import graphs, systems
from support.networks import network, sites

from xanes_hpc.errors import ModelError
from xanes_hpc.models import graph_network
from xanes_hpc.models.graph_inputs import GraphInputs
from xanes_hpc.models.layers import Layer, axes
from xanes_hpc.models.numpy_network import n_draws, sample
from xanes_hpc.structures.graph_search import find_graphs
from xanes_hpc.structures.graphs import GraphSettings
from xanes_hpc.structures.sites import SiteBatch

SMALL = {"channels": 5, "layers": 2, "filters": 4, "radial": 6, "width": 8, "blocks": 1, "dropout": 0.2}


def graphs_of(atoms, centre):
    return find_graphs(SiteBatch.from_atoms(atoms, centre), GraphSettings())


@pytest.mark.parametrize(("atoms", "centre"), [(systems.ferrocene_like(), 0), (systems.rutile(), 1)])
def test_every_edge_goes_both_ways_with_its_triangle(atoms, centre):
    given = GraphInputs.of(graphs_of(atoms, centre))
    expected = graphs.directed(graphs.atoms_of(atoms, centre))
    assert len(expected) > 50
    places = zip(given.places["receivers"].tolist(), given.places["senders"].tolist(), strict=True)
    assert list(places) == [row[:2] for row in expected]
    np.testing.assert_allclose(given.values["lengths"][:, 0], [row[2] for row in expected], rtol=1e-6)
    np.testing.assert_allclose(given.values["cosines"], [row[3] for row in expected], atol=2e-6)
    np.testing.assert_allclose(given.values["strengths"][:, 0], [row[4] for row in expected], atol=2e-6)
    assert {0.0 < s < 1.0 for s in given.values["strengths"][:, 0].tolist()} == {True, False}


def test_sites_are_numbered_through():
    several = [systems.ferrocene_like(), Atoms("Fe"), systems.ferrocene_like()]
    given = GraphInputs.of(find_graphs(SiteBatch.from_atoms(several, "Fe"), GraphSettings()))
    n_atoms, n_directions = (n // 2 for n in (given.values["numbers"].size, given.places["receivers"].size))
    assert given.places["offsets"].tolist() == [0, n_atoms, n_atoms, 2 * n_atoms]
    for name in ("receivers", "senders"):
        first, last = np.split(given.places[name], [n_directions])
        np.testing.assert_array_equal(last, first + n_atoms)


def silu(x):
    return x / (1.0 + np.exp(-x))


class Slow:
    """The network of ``models.architectures.graph`` in float64, written from its description."""

    def __init__(self, member):
        self.weights = {name: [w.astype(np.float64) for w in own] for name, own in member.weights.items()}
        self.member = member

    def dense(self, name, x):
        kernel, bias = self.weights[name]
        return x @ kernel + bias

    def gaussians(self, r):
        centres = np.linspace(0.5, 6.0, SMALL["radial"])
        return np.exp(-0.5 * ((r - centres) / (centres[1] - centres[0])) ** 2)

    def readings(self, around):
        """Return what the absorber reads of its surroundings before the first and after every round."""
        edges, n = graphs.directed(around), len(around)
        r = [float(np.linalg.norm(v)) for _, v in around]
        radial = [self.gaussians(own) for own in r]
        kernel, bias = self.weights["elements"]
        states = [kernel[z] + bias + self.dense("distance_state", radial[j]) for j, (z, _) in enumerate(around)]
        hidden = [silu(self.dense("atom_filter", own)) for own in radial]
        found = [self.read(0, states, hidden, r)]
        for i in range(SMALL["layers"]):
            messages = [np.zeros(SMALL["channels"]) for _ in range(n)]
            for receiver, sender, apart, cosines, strength in edges:
                inner = silu(
                    self.dense("edge_filter", np.concatenate([self.gaussians(apart), cosines]))
                    + self.dense("receiver_filter", radial[receiver])
                    + self.dense("sender_filter", radial[sender])
                )
                own = strength * self.dense(f"filter_{i}", inner)
                messages[receiver] = messages[receiver] + own * self.dense(f"sent_{i}", states[sender])
            states = [
                state + self.dense(f"change_{i}", silu(self.dense(f"update_{i}", np.concatenate([state, message]))))
                for state, message in zip(states, messages, strict=True)
            ]
            found.append(self.read(i + 1, states, hidden, r))
        return np.concatenate(found)

    def read(self, i, states, hidden, r):
        total = np.zeros(SMALL["channels"])
        for state, inner, own in zip(states, hidden, r, strict=True):
            weight = self.dense(f"reading_filter_{i}", inner) * graphs.fade(own, graphs.CUTOFF)
            total = total + weight * self.dense(f"read_{i}", state)
        return total

    def output(self, around, absorber):
        """Return the scaled spectrum without dropout."""
        one_hot = np.eye(len(self.member.scalers.target_mean))[absorber]
        h = silu(self.dense("hidden_0", self.readings(around)) + self.dense("absorber_0", one_hot))
        return self.dense("output", h + silu(self.dense("hidden_1", h)))


@pytest.mark.parametrize(
    ("atoms", "centre"), [(systems.ferrocene_like(), 0), (systems.rutile(), 0), (Atoms("Fe"), 0), (systems.chain(), 1)]
)
@pytest.mark.parametrize("absorber", [0, 1])
def test_the_network_equals_its_definition(atoms, centre, absorber):
    member = network("graph", SMALL, n_absorbers=2)
    found = member.mean_network(graphs_of(atoms, centre), np.array([absorber]))
    expected = Slow(member).output(graphs.atoms_of(atoms, centre), absorber)
    scaled = member.scalers.spectra(expected[None], np.array([absorber]))
    np.testing.assert_allclose(found, scaled, rtol=0, atol=1e-5 * np.ptp(scaled))


def test_blocks_of_edges_make_no_difference(monkeypatch):
    member = network("graph", SMALL)
    x, absorbers = sites(member, 12)
    whole = member.mean_network(x, absorbers)
    monkeypatch.setattr(graph_network, "EDGES_AT_ONCE", 30)
    np.testing.assert_allclose(member.mean_network(x, absorbers), whole, rtol=0, atol=1e-6 * np.ptp(whole))


def test_draws_of_dropout_spread_about_the_mean():
    members = [network("graph", SMALL, index=i) for i in range(2)]
    x, absorbers = sites(members[0], 4)
    drawn = sample(members, x, absorbers, 8, seed=1, keep_draws=True)
    assert drawn.draws.shape == (4, n_draws(members, 8, True), 11)
    np.testing.assert_allclose(drawn.draws.mean(axis=1), drawn.mean, rtol=1e-4, atol=1e-4)
    again = sample(members, x[2:3], absorbers[2:3], 8, seed=1)
    np.testing.assert_allclose(again.mean, drawn.mean[2:3], rtol=1e-5, atol=1e-5)
    assert np.abs(sample(members, x, absorbers, 8, seed=2).mean - drawn.mean).max() > 1e-3
    assert (drawn.std > 0).all()


def around_iron(*distances):
    """Return Fe with O along x, y and z, and C at the last distance along -x."""
    axes_ = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0]]
    positions = [[0.0, 0.0, 0.0], *(np.array(axis) * r for axis, r in zip(axes_, distances, strict=True))]
    return Atoms("FeO3C", positions=positions)


ACROSS = math.sqrt(3.1**2 - 3.05**2)
"""Distance from Fe of an atom that is 3.1 Å from one at 3.05 Å."""


@pytest.mark.parametrize(
    ("near", "far"),
    [
        (around_iron(1.9, 2.0, 2.1, 6.0 - 1e-4), around_iron(1.9, 2.0, 2.1, 6.0 + 1e-4)),
        (around_iron(1.9, 2.0, 2.1, 3.0 - 1e-4), around_iron(1.9, 2.0, 2.1, 3.0 + 1e-4)),
        (around_iron(3.05 - 1e-4, ACROSS, 3.2, 5.0), around_iron(3.05 + 1e-4, ACROSS, 3.2, 5.0)),
    ],
)
def test_spectra_change_smoothly_where_atoms_and_edges_vanish(near, far):
    member = network("graph", SMALL)
    first, second = (member.mean_network(graphs_of(atoms, 0), np.array([0])) for atoms in (near, far))
    moved = member.mean_network(graphs_of(around_iron(1.9, 2.0, 2.1, 4.0), 0), np.array([0]))
    assert np.abs(first - second).max() < 1e-3 * np.ptp(moved)


def test_layers_by_other_rows_are_refused():
    layers = (Layer("embedding", "elements", ("numbers",), units=3), Layer("senders", "sent"))
    assert axes(layers) == axes(()) | {"elements": "atom", "sent": "edge"}
    for wrong in (
        Layer("add", "sum", ("elements", "sent")),
        Layer("sites", "read", ("sent",)),
        Layer("messages", "messages", ("elements", "sent")),
        Layer("dropout", "dropped", ("elements",)),
        Layer("receivers", "received", ("absorber",)),
    ):
        with pytest.raises(ModelError, match=rf"layer {wrong.name} \({wrong.kind}\) does not accept inputs by"):
            axes((*layers, wrong))
