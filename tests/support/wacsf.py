"""Compare symmetry functions with the slow loops of ``reference``, in both precisions."""

import numpy as np
import pytest
from ase import Atoms

from support import reference
from xanes_hpc import descriptors

CUTOFF = 6.0
WITHIN = {"float64": (1e-11, 1e-13), "float32": (0.0, 1e-5)}
"""Tolerance by precision: relative, and as a fraction of the feature's range."""
both = pytest.mark.parametrize("dtype", sorted(WITHIN))


def assert_agrees(structures, dtype, cutoff=CUTOFF, nothing=None, **weighting):
    """Check all features of the first atom of each structure and of a single atom, and return them.

    Differences up to ``nothing`` are ignored.
    """
    weightings = weighting.pop("weightings", None) or [{"weights": "Z", **weighting}]
    description = {"name": "wacsf", "cutoff": cutoff, "dtype": dtype, "weighting": weightings}
    descriptor = descriptors.from_description(description)
    structures = [*structures, Atoms("Fe")]
    features = descriptor.transform(structures, [0] * len(structures))
    assert features.dtype == dtype
    expected = np.array([reference.wacsf(descriptor.describe(), atoms, 0) for atoms in structures])
    relative, of_range = WITHIN[dtype]
    allowed = relative * np.abs(expected) + of_range * np.ptp(expected, axis=0) + (nothing or np.finfo(dtype).tiny)
    wrong = np.argwhere(~(np.abs(features - expected) <= allowed))
    assert not wrong.size, [(int(i), descriptor.labels[f], features[i, f], expected[i, f]) for i, f in wrong[:5]]
    return features


def around(n, seed=0, nearest=1.0, farthest=5.9):
    """Return Fe with n neighbours in random directions."""
    rng = np.random.default_rng(seed + 1000 * n)
    directions = rng.normal(size=(n, 3))
    directions *= rng.uniform(nearest, farthest, n)[:, None] / np.linalg.norm(directions, axis=1)[:, None]
    return Atoms([26, *rng.choice([1, 6, 7, 8, 16], n)], positions=[[0.0, 0.0, 0.0], *directions])
