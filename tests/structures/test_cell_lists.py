"""Neighbours found through bins, compared with ASE and, bit for bit, with the search through every atom."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from hypothesis import assume, given
from hypothesis import strategies as st
from support import pair_lists, strategies, systems
from support.pair_lists import ALWAYS, NEVER, assert_bins_agree, assert_identical, in_bins, search

from xanes_hpc.structures.neighbours import FARTHEST, MOST_BINS, WORTH_SORTING, NeighbourSearch
from xanes_hpc.structures.sites import SiteBatch
from xanes_hpc_kernels.cell_lists import FEW, RUN

CUTOFFS = (1.2345, 4.9173, 8.1234)
"""Å; no shell of a named system lies within rounding of one."""


def scattered(n, size, seed=0, **periodic):
    """Return atoms at random positions in a box."""
    rng = np.random.default_rng(seed)
    return Atoms(rng.choice([1, 8, 26], n), positions=rng.uniform(0, 1, (n, 3)) * size, **periodic)


@pytest.mark.parametrize("repeats", [(1, 1, 1), (2, 2, 2), (1, 4, 1)], ids=str)
@pytest.mark.parametrize("name", systems.NAMED)
def test_named_system(name, repeats):
    atoms = systems.NAMED[name]()
    atoms = atoms.repeat([n if periodic else 1 for n, periodic in zip(repeats, atoms.pbc, strict=True)])
    for cutoff in CUTOFFS[: 3 if len(atoms) < 40 else 2]:
        assert_bins_agree(atoms, cutoff)


@strategies.quick
@given(strategies.crystals(max_atoms=8), st.sampled_from([0.7654, 2.3456, 6.7891]), st.sampled_from([0, 1, 40, 3000]))
def test_random_system_with_atoms_many_cells_away(atoms, cutoff, away):
    _, _, distances = pair_lists.by_ase(atoms, cutoff + 1e-6)
    assume((np.abs(distances - cutoff) > 1e-9).all())  # on the cutoff itself rounding decides
    cells = np.random.default_rng(away).integers(-away, away + 1, (len(atoms), 3)) * atoms.pbc
    atoms.positions += cells @ np.asarray(atoms.cell)
    assert_bins_agree(atoms, cutoff)


@strategies.quick
@given(
    strategies.molecules(max_atoms=20), st.sampled_from([0.9, 1.7, 3.1]), st.tuples(*[strategies.coordinates(1e4)] * 3)
)
def test_random_molecule_anywhere(atoms, cutoff, where):
    atoms.positions += where
    in_bins(SiteBatch.from_atoms(atoms, "all"), cutoff)


@pytest.mark.parametrize(
    "pbc", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 0, 1), (0, 1, 1), (1, 1, 1), (0, 0, 0)]
)
@pytest.mark.parametrize("cell", [np.diag([9.0, 11.0, 30.0]), [[7.0, 0, 0], [-3.0, 8.0, 0], [2.5, 4.0, 12.0]]])
def test_every_choice_of_periodic_directions(pbc, cell):
    atoms = scattered(120, [14.0, 12.0, 25.0], cell=cell, pbc=pbc)
    atoms.positions -= [4.0, 0.0, 9.0]
    for cutoff in (0.9, 3.3, 7.1):
        assert_bins_agree(atoms, cutoff)


def flat(*zeros):
    """Return atoms in a plane or on a line."""
    atoms = scattered(80, 12.0)
    atoms.positions[:, list(zeros)] = 3.0
    return atoms


ODD = {
    "single atom": Atoms("Fe"),
    "single atom in a cell": Atoms("Fe", positions=[[7.0, -3.0, 0.5]], cell=[3.0, 4.0, 5.0], pbc=True),
    "plane": flat(1),
    "line": flat(0, 2),
    "periodic plane": Atoms("Fe3", [[0, 0, 0], [1, 1, 0], [2, 0.5, 0]], cell=[3, 3, 0], pbc=(1, 1, 0)),
    "one spot far from another": Atoms("Fe4", [[0, 0, 0], [0, 0, 1.0], [2e4, 0, 0], [2e4, 0, 1.0]]),
    "vacuum": scattered(60, 8.0, cell=[9.0, 9.0, 9e3], pbc=True),
    "cell much smaller than the cutoff": Atoms("Fe", cell=[0.8, 0.9, 1.1], pbc=True),
    "thin cell": scattered(40, [1.0, 30.0, 1.0], cell=[1.0, 30.0, 1.0], pbc=True),
    "on both sides of a face": Atoms(
        "Fe4", [[-1e-17, 0, 0], [0, -1e-17, 0], [1, 0, 1e-300], [2, 8, 8]], cell=[8.0] * 3, pbc=True
    ),
    "rounded up to the next face": Atoms(
        "Fe2", [[np.nextafter(9.0, 0), 1, 1], [-1e-16, 2, 2]], cell=[9.0] * 3, pbc=True
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_unusual_structure(name):
    for cutoff in (0.5, 2.3, 4.7):
        assert_bins_agree(ODD[name], cutoff)


@pytest.mark.parametrize("pbc", [True, False, (True, False, True)])
@pytest.mark.parametrize("n_bins", [3, 7, 10])
def test_atoms_on_the_boundaries_of_bins(pbc, n_bins):
    cutoff = 1.3
    edge = cutoff * n_bins * (1.0 + 1e-9)  # this many bins, exactly as thick as they must be
    ticks = np.linspace(0.0, edge, n_bins + 1)
    ticks = np.unique([ticks, np.nextafter(ticks, -1), np.nextafter(ticks, 99)])
    positions = np.random.default_rng(n_bins).choice(ticks, (150, 3))
    in_bins(SiteBatch.from_atoms(Atoms("Fe150", positions, cell=[edge] * 3, pbc=pbc), "all"), cutoff)


@pytest.mark.parametrize(
    ("edge", "cutoff"), [(2, 3.0), (2, 5.0), (4, 1.0), (4, 2.0), (4, 3.0), (4, 5.0), (8, 1.0), (8, 2.0)]
)
def test_distance_equal_to_the_cutoff_is_excluded(edge, cutoff):
    """On an integer lattice nothing is rounded: 3 is also the length of (2, 2, 1), and 5 that of (3, 4, 0)."""
    lattice = bulk("Po", "sc", a=1.0).repeat(edge)
    lattice.positions += [17.0, -5.0, 3.0]
    pairs = assert_bins_agree(lattice, cutoff)
    points = np.stack(np.meshgrid(*[np.arange(-6, 7)] * 3), axis=-1).reshape(-1, 3)
    n_inside = int(((points**2).sum(axis=1) < cutoff**2).sum()) - 1
    np.testing.assert_array_equal(np.diff(pairs.offsets), n_inside)


@pytest.mark.parametrize("shell", [np.sqrt(3.0) / 2.0, 1.0, np.sqrt(2.0), np.sqrt(11.0) / 2.0, np.sqrt(3.0)])
def test_cutoff_at_a_shell_of_iron_gives_the_same_pairs_with_and_without_bins(shell):
    iron, cutoff = bulk("Fe", "bcc", a=2.866, cubic=True).repeat((3, 2, 3)), 2.866 * shell
    batch = SiteBatch.from_atoms(iron, "all")
    for c in (cutoff, np.nextafter(cutoff, 0), np.nextafter(cutoff, 9)):
        pairs = in_bins(batch, c)
        assert (pairs.distances < c).all()
        within, _, distances = pair_lists.by_ase(iron, c + 1e-12)
        clearly = {tuple(row) for row in within[distances < c - 1e-12]}
        assert clearly <= {tuple(row) for row in pair_lists.rows(pairs)} <= {tuple(row) for row in within}


@pytest.mark.parametrize("pbc", [True, False])
def test_cutoff_at_an_occurring_distance_gives_the_same_pairs_with_and_without_bins(pbc):
    batch = SiteBatch.from_atoms(
        scattered(60, 9.0, cell=[[9.1, 0, 0], [2.0, 8.3, 0], [-1.0, 0.5, 9.7]], pbc=pbc), "all"
    )
    distances = np.unique(search(batch, 5.0, NEVER).pairs().distances)
    for distance in distances[:: distances.size // 25]:
        n_within = [in_bins(batch, c).distances.size for c in (distance, np.nextafter(distance, 9))]
        assert n_within[0] < n_within[1]


@pytest.mark.parametrize("cutoff", [14.0, 15.0])
def test_fewer_and_more_neighbours_than_are_ranked_by_counting(cutoff):
    iron = bulk("Fe", "bcc", a=2.866, cubic=True)
    iron.rattle(0.05, seed=2)
    counts = np.diff(assert_bins_agree(iron, cutoff).offsets)
    assert ((counts > FEW) if cutoff > 14.5 else (counts < FEW)).all()


@pytest.mark.parametrize("pbc", [True, False])
def test_structure_with_room_for_more_than_the_maximum_number_of_bins(pbc):
    edge = 3.0 * MOST_BINS
    atoms = scattered(500, [edge, 4.0, 4.0], cell=[edge, 4.5, 5.0], pbc=pbc)
    assert_bins_agree(atoms, 1.1)


@pytest.mark.parametrize("n", [*range(1, 36), RUN - 1, RUN, RUN + 1, RUN + 7, 2 * RUN, 2 * RUN + 9])
def test_any_number_of_atoms_in_one_bin(n):
    """Vectors and runs of every remaining length; a third of the atoms is near, or all, or none."""
    batch = SiteBatch.from_atoms(scattered(n, 2.0, seed=n), "all")
    for cutoff in (1e-4, 0.9, 4.0):
        in_bins(batch, cutoff)


def test_one_crowded_bin_among_empty_ones():
    atoms = scattered(RUN + 44, 1.5) + scattered(200, 40.0, seed=1)
    assert_bins_agree(atoms, 2.1)


def mixed(rng=None):
    """Structures large and small, in turn; their sites one after another, or in any order."""
    structures = [
        systems.quartz().repeat((2, 2, 1)),
        systems.ferrocene_like(),
        scattered(150, 14.0),
        Atoms("Fe"),
        systems.shifted_out_of_its_cell().repeat((3, 3, 3)),
    ]
    batch = SiteBatch.from_atoms(structures, "all")
    order = np.arange(batch.n_sites) if rng is None else rng.permutation(batch.n_sites)[:200]
    return replace(batch, site_structures=batch.site_structures[order], site_atoms=batch.site_atoms[order])


def test_batch_of_structures_with_and_without_bins():
    batch = mixed()
    some = search(batch, CUTOFFS[1], 54**2)
    assert set(some._bins) == {2, 4}
    assert_identical(some.pairs(), search(batch, CUTOFFS[1], NEVER).pairs())
    sizes = np.diff(batch.offsets)
    pairs = some.pairs()
    sites = np.repeat(np.arange(batch.n_sites), np.diff(pairs.offsets))
    first = batch.offsets[batch.site_structures[sites]]
    assert ((pairs.atoms >= first) & (pairs.atoms < first + sizes[batch.site_structures[sites]])).all()
    np.testing.assert_array_equal(pairs.numbers, batch.numbers[pairs.atoms])


def test_sites_in_any_order_over_the_structures():
    batch = mixed(np.random.default_rng(4))
    pairs = in_bins(batch, CUTOFFS[1])
    in_order, whole = mixed(), search(mixed(), CUTOFFS[1], NEVER).pairs()
    where = {pair: i for i, pair in enumerate(zip(in_order.site_structures, in_order.site_atoms, strict=True))}
    for row, site in enumerate(zip(batch.site_structures, batch.site_atoms, strict=True)):
        ours, theirs = (slice(*p.offsets[i : i + 2]) for p, i in ((pairs, row), (whole, where[site])))
        np.testing.assert_array_equal(pairs.vectors[ours], whole.vectors[theirs])


@pytest.mark.parametrize("step", [1, 7, 64, 1000])
@pytest.mark.parametrize("worth_sorting", [ALWAYS, 54**2, NEVER])
def test_slices_of_sites_are_the_rows_of_the_whole(step, worth_sorting):
    batch = mixed(np.random.default_rng(5))
    found = search(batch, 3.3, worth_sorting)
    parts, whole = [found.pairs(i, i + step) for i in range(0, batch.n_sites, step)], found.pairs()
    for column in pair_lists.COLUMNS[1:]:
        np.testing.assert_array_equal(np.concatenate([getattr(p, column) for p in parts]), getattr(whole, column))
    counts = np.concatenate([np.diff(p.offsets) for p in parts])
    np.testing.assert_array_equal(counts, np.diff(whole.offsets))
    assert found.pairs(3, 3).offsets.tolist() == [0]


def test_repeated_site_has_its_neighbours_twice():
    batch = SiteBatch.from_atoms(scattered(50, 6.0), [7, 3, 7])
    pairs = in_bins(batch, 3.0)
    twice = [pairs.vectors[slice(*pairs.offsets[i : i + 2])] for i in (0, 2)]
    np.testing.assert_array_equal(*twice)


def test_many_sites_of_a_large_structure_are_worth_bins_and_one_is_not():
    atoms = scattered(int(np.sqrt(WORTH_SORTING)) + 1, 20.0)
    everything, one = SiteBatch.from_atoms(atoms, "all"), SiteBatch.from_atoms(atoms, 0)
    assert set(NeighbourSearch(everything, 4.0)._bins) == {0}
    assert not NeighbourSearch(one, 4.0)._bins
    first = NeighbourSearch(everything, 4.0).pairs(0, 1)
    assert_identical(first, NeighbourSearch(one, 4.0).pairs())


@pytest.mark.parametrize("pbc", [True, False])
@pytest.mark.parametrize("away", [1e9, 1e15, 1e18, 1e20, 1e200])
def test_atoms_absurdly_far_away_are_searched_without_bins(pbc, away):
    atoms = scattered(100, 10.0, cell=[10.0, 11.0, 12.0], pbc=pbc)
    atoms.positions[:20, 0] = away * np.linspace(0.5, 1.0, 20)
    found = search(SiteBatch.from_atoms(atoms, "all"), 4.0, ALWAYS)
    assert not found._bins
    assert away > 4.0 * FARTHEST
    near = search(SiteBatch.from_atoms(atoms, range(20, 100)), 4.0, ALWAYS).pairs()
    assert near.distances.size > 500
    assert (found.pairs().distances < 4.0).all()
