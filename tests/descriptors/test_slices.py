"""Ranges of sites that limit the number of pairs in memory."""

import numpy as np
from ase.build import bulk
from hypothesis import given
from hypothesis import strategies as st

from xanes_hpc import descriptors
from xanes_hpc.descriptors import base
from xanes_hpc.structures.sites import SiteBatch


@given(st.lists(st.integers(0, 20), max_size=30), st.integers(1, 40))
def test_pieces_cover_every_row_and_have_few_pairs(counts, most):
    pieces = list(base.slices(np.array(counts, np.int64), most))
    assert [row for start, stop in pieces for row in range(start, stop)] == list(range(len(counts)))
    assert all(sum(counts[start:stop]) <= most or stop - start == 1 for start, stop in pieces)


def test_features_do_not_depend_on_the_pieces(monkeypatch):
    batch = SiteBatch.from_atoms(bulk("Fe", "bcc", a=2.87, cubic=True).repeat((3, 3, 3)), "all")
    descriptor = descriptors.load("wacsf", "default")
    whole, most = descriptor.compute(batch), []
    monkeypatch.setattr(base, "PAIRS_AT_ONCE", 500)
    fill = type(descriptor).fill

    def counting(self, sites, pairs, out):
        most.append(pairs.distances.size)
        fill(self, sites, pairs, out)

    monkeypatch.setattr(type(descriptor), "fill", counting)
    np.testing.assert_array_equal(descriptor.compute(batch), whole)
    assert max(most) <= 500
    assert len(most) > 5
