"""Find pairs of neighbours with ASE, and with our search with and without bins, and compare them."""

import numpy as np
import pytest
from ase.neighborlist import neighbor_list as ase_neighbours

from xanes_hpc.structures import neighbours
from xanes_hpc.structures.neighbours import NeighbourSearch
from xanes_hpc.structures.sites import SiteBatch

COLUMNS = ("offsets", "atoms", "numbers", "shifts", "vectors", "distances")
NEVER, ALWAYS = 10**18, 1
"""Numbers of atoms from which atoms are sorted into bins, to never or always do so."""


def search(batch, cutoff, worth_sorting):
    """Return a search that sorts atoms into bins from ``worth_sorting`` atoms on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "WORTH_SORTING", worth_sorting)
        return NeighbourSearch(batch, cutoff)


def rows(pairs):
    """Return pairs as rows (site, atom, n0, n1, n2)."""
    sites = np.repeat(np.arange(pairs.offsets.size - 1), np.diff(pairs.offsets))
    return np.column_stack([sites, pairs.atoms, pairs.shifts])


def by_ase(atoms, cutoff):
    """Return ASE's pairs of all sites as rows in our order, with vectors and distances."""
    i, j, shifts, vectors, distances = ase_neighbours("ijSDd", atoms, cutoff)
    found = np.column_stack([i, j, shifts]).reshape(-1, 5)
    order = np.lexsort(found.T[::-1])
    return found[order], vectors[order].reshape(-1, 3), distances[order]


def assert_as_by_ase(pairs, atoms, cutoff):
    """Check that pairs equal ASE's in our order, and distances to 1e-12 or the rounding of large coordinates."""
    expected_rows, expected_vectors, expected_distances = by_ase(atoms, cutoff)
    np.testing.assert_array_equal(rows(pairs), expected_rows)
    scale = max(1.0, float(np.abs(atoms.get_positions()).max()))
    np.testing.assert_allclose(pairs.vectors, expected_vectors, rtol=0, atol=1e-12 * scale)
    np.testing.assert_allclose(pairs.distances, expected_distances, rtol=0, atol=1e-12 * scale)


def assert_identical(pairs, expected):
    """Check that pairs are the same, in the same order, and bit-identical."""
    for column in COLUMNS:
        values, others = getattr(pairs, column), getattr(expected, column)
        assert values.dtype == others.dtype
        np.testing.assert_array_equal(values, others, err_msg=column)


def in_bins(batch, cutoff):
    """Return the pairs found with bins, after checking that they equal those found without."""
    binned = search(batch, cutoff, ALWAYS)
    assert set(binned._bins) == set(batch.site_structures.tolist())
    pairs = binned.pairs()
    assert_identical(pairs, search(batch, cutoff, NEVER).pairs())
    return pairs


def assert_bins_agree(atoms, cutoff):
    """Check that pairs found with bins equal those found without, and ASE's; return them."""
    pairs = in_bins(SiteBatch.from_atoms(atoms, "all"), cutoff)
    assert_as_by_ase(pairs, atoms, cutoff)
    return pairs
