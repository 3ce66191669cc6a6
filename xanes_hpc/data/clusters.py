"""Group sites with similar features, so that a split puts near-duplicates into the same set."""

import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.cluster.vq import kmeans2, vq

from xanes_hpc.data.datasets import SiteSet, Source, statistics
from xanes_hpc.errors import ConfigError

SITES_PER_CLUSTER = 20
MOST_CLUSTERS = 1000
FEWEST_CLUSTERS = 10
SAMPLED = 20_000
"""Approximate number of sites that determine the clusters; all others join the nearest cluster."""


def clusters(sources: Sequence[Source], usable: npt.NDArray[np.bool_], transform: str, seed: int) -> list[str]:
    """Return the name of each site's cluster, from k-means of the standardised features; empty for unusable sites.

    Raises
    ------
    ConfigError
        If there are too few sites, or too few different ones, to form clusters.
    """
    sites = SiteSet(sources, usable, np.zeros(usable.size, np.int64))
    n_clusters = min(MOST_CLUSTERS, sites.n_sites // SITES_PER_CLUSTER)
    if n_clusters < FEWEST_CLUSTERS:
        raise ConfigError(
            f"split: {sites.n_sites} sites are too few to group by cluster; expected at least "
            f'{FEWEST_CLUSTERS * SITES_PER_CLUSTER}, or [split] group = "none"'
        )
    scalers = statistics(sites, transform).scalers("global")
    generator = np.random.default_rng(seed)
    chance, sampled = min(1.0, SAMPLED / sites.n_sites), []
    for chunk in sites.chunks:
        x, _, _ = sites.read(chunk)
        sampled.append(scalers.features(x)[generator.random(len(x)) < chance])
    vectors = np.concatenate(sampled)
    centres = _first_centres(vectors, n_clusters, generator)
    if len(centres) < FEWEST_CLUSTERS:
        raise ConfigError(
            f"split: {sites.n_sites} sites have only {len(centres)} different sets of features, too few to group by "
            f'cluster; expected at least {FEWEST_CLUSTERS}, or [split] group = "none"'
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # clusters that become empty are harmless
        centres, _ = kmeans2(vectors, centres, minit="matrix")
    names = np.full(usable.size, "", dtype=object)
    for chunk in sites.chunks:
        x, _, _ = sites.read(chunk)
        nearest, _ = vq(scalers.features(x), centres)
        names[np.flatnonzero(usable[chunk.rows]) + chunk.rows.start] = [f"cluster {i}" for i in nearest]
    return list(names)


def _first_centres(vectors: npt.NDArray[np.float32], n: int, generator: np.random.Generator) -> npt.NDArray[np.float32]:
    """Return ``n`` different rows, far from one another, or all different rows if there are fewer.

    The rows are chosen as in k-means++ (Arthur & Vassilvitskii, doi:10.5555/1283383.1283494).
    """
    chosen = [int(generator.integers(len(vectors)))]
    squares = _squares(vectors, chosen[-1])
    while len(chosen) < n and squares.any():
        chosen.append(int(generator.choice(len(vectors), p=squares / squares.sum())))
        squares = np.minimum(squares, _squares(vectors, chosen[-1]))
    return vectors[chosen]


def _squares(vectors: npt.NDArray[np.float32], row: int) -> npt.NDArray[np.float64]:
    """Return the squared distance of every row to the given one."""
    difference = vectors - vectors[row]
    return np.asarray(np.einsum("sf,sf->s", difference, difference, dtype=np.float64))
