"""Grouping sites with similar features."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from xanes_hpc.config.sections import SplitConfig
from xanes_hpc.data import clusters as module
from xanes_hpc.data.clusters import FEWEST_CLUSTERS, SITES_PER_CLUSTER, clusters
from xanes_hpc.data.datasets import Source
from xanes_hpc.data.splits import split
from xanes_hpc.errors import ConfigError


def source_of(vectors, first=0, chunk_rows=37):
    """Return a source with the given features and constant targets."""
    n, width = vectors.shape
    features = SimpleNamespace(
        n_sites=n, n_features=width, chunk_rows=chunk_rows, path="f.h5", read=lambda a, b: vectors[a:b].copy()
    )
    targets = SimpleNamespace(grid=SimpleNamespace(energies=np.arange(2)), read=lambda a, b: np.ones((b - a, 2)))
    return Source(features, targets, first)


def blobs(n=40, each=10):
    """Return shuffled families of near-duplicates, far from one another, and the family of each row."""
    generator = np.random.default_rng(0)
    family = generator.permutation(np.repeat(np.arange(n), each))
    centres = 10.0 * generator.normal(size=(n, 6))
    return centres[family] + 0.01 * generator.normal(size=(family.size, 6)), family


def found(vectors, usable=None, seed=0, transform="none"):
    usable = np.ones(len(vectors), bool) if usable is None else usable
    return clusters([source_of(vectors)], usable, transform, seed)


def together(names, family):
    """Return whether every family is in one cluster."""
    return len(set(zip(names, family, strict=True))) == len(set(family))


def test_near_duplicates_are_in_one_cluster():
    vectors, family = blobs()
    names = found(vectors)
    assert together(names, family)
    assert len(set(names)) == 400 // SITES_PER_CLUSTER


def test_near_duplicates_are_in_one_set_of_a_split():
    vectors, family = blobs()
    names = found(vectors)
    for fold in range(4):
        parts = split(names, np.ones(family.size, bool), SplitConfig(folds=4, fold=fold), seed=0)
        assert all(np.unique(parts[family == own]).size == 1 for own in range(40))


def test_several_stores_with_unusable_sites():
    vectors, family = blobs()
    usable = np.arange(400) % 7 != 0
    halves = [source_of(vectors[:120]), source_of(vectors[120:], 120, chunk_rows=50)]
    names = np.array(clusters(halves, usable, "none", 0))
    assert (names[~usable] == "").all()
    assert together(names[usable], family[usable])


def test_clusters_depend_only_on_the_seed():
    vectors, _ = blobs()
    assert found(vectors) == found(vectors)
    noise = np.random.default_rng(1).normal(size=(400, 6))
    assert found(noise) != found(noise, seed=1)


def test_a_sample_determines_the_clusters_of_many_sites(monkeypatch):
    monkeypatch.setattr(module, "SAMPLED", 150)
    vectors, family = blobs()
    assert together(found(vectors), family)


def test_equal_sites_make_no_empty_clusters():
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(14, 6))[generator.integers(14, size=600)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        names = found(vectors)
    assert len(set(names)) == 14
    message = "600 sites have only 3 different sets of features, too few to group by cluster; expected at least 10, or"
    with pytest.raises(ConfigError, match=message):
        found(vectors[:3][generator.integers(3, size=600)])


def test_too_few_sites():
    n = FEWEST_CLUSTERS * SITES_PER_CLUSTER - 1
    with pytest.raises(ConfigError, match=f"{n} sites are too few to group by cluster; expected at least {n + 1}, or"):
        found(np.random.default_rng(0).normal(size=(n, 6)))
