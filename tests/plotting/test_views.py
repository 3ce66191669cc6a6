"""The view of a structure shows the atoms that matter."""

import numpy as np
import pytest
from ase.data import covalent_radii

from xanes_hpc.plotting.views import clearest_view


def covered(turned, radii, k):
    """Return how much of an atom the others in front of it cover, as a sum of relative overlaps."""
    apart = np.hypot(*(turned[:, axis] - turned[k, axis] for axis in (0, 1)))
    return float((np.clip(1.0 - apart / (radii + radii[k]), 0.0, None) * (turned[:, 2] > turned[k, 2])).sum())


@pytest.mark.parametrize("seed", range(5))
def test_important_atoms_are_hidden_less_than_where_the_structure_is_widest(seed):
    rng = np.random.default_rng(seed)
    positions = rng.normal(0.0, 1.0, (60, 3)) * [5.0, 4.0, 3.0]
    radii, weights = np.full(60, covalent_radii[6]), np.zeros(60)
    some = np.argsort(np.linalg.norm(positions, axis=1))[1:5]
    weights[some] = 1.0
    turned = clearest_view(positions, radii, weights, 0)
    np.testing.assert_allclose(
        np.linalg.norm(turned[:, None] - turned, axis=-1), np.linalg.norm(positions[:, None] - positions, axis=-1)
    )
    assert turned[:, 0].std() >= turned[:, 1].std()
    centred = positions - positions.mean(axis=0)
    widest = centred @ np.linalg.svd(centred, full_matrices=False)[2].T
    own, before = (sum(covered(view, radii, k) for k in some) for view in (turned, widest))
    assert own < 0.8 * before


def test_the_atom_in_front_covers_no_atom_that_matters():
    ring = np.array([[np.cos(a), np.sin(a), 0.0] for a in np.linspace(0.0, 2 * np.pi, 6, endpoint=False)])
    positions = np.vstack([[0.0, 0.0, 0.0], 2.0 * ring])
    turned = clearest_view(positions, np.full(7, 0.7), np.ones(7), 0)
    assert np.hypot(*(turned[1:, :2] - turned[0, :2]).T).min() > 1.4


def test_one_atom_alone_has_a_view():
    assert clearest_view(np.zeros((1, 3)), np.ones(1), np.zeros(1), 0).tolist() == [[0.0, 0.0, 0.0]]
