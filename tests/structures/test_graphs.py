"""Graphs of sites: atoms and edges of molecules and crystals, compared with a search through every image."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from support import graphs, systems

from xanes_hpc.errors import ConfigError
from xanes_hpc.structures.graph_search import find_graphs
from xanes_hpc.structures.graphs import Graphs, GraphSettings
from xanes_hpc.structures.sites import SiteBatch


def found(atoms, sites):
    return find_graphs(SiteBatch.from_atoms(atoms, sites), GraphSettings())


def assert_as_by_definition(graph, atoms, centre):
    """Compare the graph of one site with the definition; atoms at the same distance may come in any order."""
    around = graphs.atoms_of(atoms, centre)
    assert graph.numbers.tolist() == [z for z, _ in around]
    np.testing.assert_allclose(graph.distances, [np.linalg.norm(v) for _, v in around], rtol=1e-6)
    edges = graphs.edges_of(around)
    assert graph.ends.tolist() == [[j, k] for j, k, _ in edges]
    np.testing.assert_allclose(graph.lengths, [apart for *_, apart in edges], rtol=1e-6)


@pytest.mark.parametrize(
    "name", ["rutile", "skutterudite", "wurtzite", "chain with one vector", "almost parallel vectors"]
)
def test_graphs_of_crystals_have_images_as_atoms(name):
    atoms = systems.NAMED[name]()
    every = found(atoms, "all")
    for centre in range(0, len(atoms), max(1, len(atoms) // 3)):
        assert_as_by_definition(every[centre : centre + 1], atoms, centre)


def test_the_graph_of_a_molecule_has_no_edge_between_hydrogens():
    atoms = systems.ferrocene_like()
    graph = found(atoms, 0)
    assert_as_by_definition(graph, atoms, 0)
    pairs = graph.numbers[graph.ends]
    assert (pairs.min(axis=1) == 1).any()
    assert not (pairs == 1).all(axis=1).any()


def test_an_edge_joins_atoms_near_the_absorber_that_are_far_from_each_other():
    atoms = Atoms("FeO2CO", positions=[[0, 0, 0], [2.9, 0, 0], [-2.9, 0, 0], [0, 5.9, 0], [0, 0, 3.2]])
    graph = found(atoms, 0)
    assert graph.numbers.tolist() == [8, 8, 6, 8]
    assert graph.ends.tolist() == [[0, 1]]
    np.testing.assert_allclose(graph.lengths, [5.8])


def test_a_lone_atom_has_an_empty_graph():
    graph = found(Atoms("Fe"), 0)
    assert (len(graph), graph.numbers.size, len(graph.ends)) == (1, 0, 0)


def several():
    return found([systems.ferrocene_like(), molecule("H2O"), Atoms("O"), molecule("CH3CH2OH")], ["Fe", "O", "O", "O"])


def assert_same(first, second):
    for name in ("offsets", "numbers", "distances", "edge_offsets", "ends", "lengths"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), name)


def test_sites_can_be_taken_apart_and_joined():
    graphs = several()
    assert_same(Graphs.joined(list(graphs)), graphs)
    assert_same(Graphs.joined([graphs[:1], graphs[1:3], graphs[3:]]), graphs)
    assert_same(graphs.take(np.array([3, 0])), Graphs.joined([graphs[3:4], graphs[:1]]))
    assert len(graphs.take(np.empty(0, np.int64))) == 0


@pytest.mark.parametrize("most", [1, 40, 10_000])
def test_blocks_are_all_sites_in_order(most):
    graphs = several()
    blocks = list(graphs.blocks(most))
    assert_same(Graphs.joined(blocks), graphs)
    assert all(len(block) == 1 or block.numbers.size + len(block.ends) <= most for block in blocks)


def test_other_settings_have_another_hash():
    plain = GraphSettings()
    assert GraphSettings.read(plain.describe()) == plain
    assert (
        len({plain.hash, GraphSettings(bond=3.2).hash, GraphSettings(cutoff=5).hash, GraphSettings(near=2.9).hash}) == 4
    )


@pytest.mark.parametrize(
    "values", [{"cutoff": 0}, {"bond": -1.0}, {"near": "3"}, {"cutoff": 1e3}, {"bond": float("nan")}]
)
def test_settings_out_of_range_are_refused(values):
    with pytest.raises(ConfigError, match=f"graph.{next(iter(values))}: expected a distance"):
        GraphSettings(**values)


def test_a_missing_setting_is_refused():
    with pytest.raises(ConfigError, match="graph: expected bond, cutoff, near, received bond, cutoff"):
        GraphSettings.read({"cutoff": 6.0, "bond": 3.1})
