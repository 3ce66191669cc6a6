"""Training sites whose features and targets encode the number of the site."""

import time
from types import SimpleNamespace

import numpy as np

from xanes_hpc.data.datasets import SiteSet, Source
from xanes_hpc.data.feed import Feed
from xanes_hpc.models.scaling import Scalers

N_ENERGIES = 3
UNIT = 1e-4
"""A site's first feature is its number times this; small, because features far from the mean are clipped."""


class Table:
    """Features or targets that encode the number of the site, and the variant."""

    def __init__(self, first, n_sites, chunk_rows, variant=0, width=4, pause=None):
        self.first, self.n_sites, self.chunk_rows = first, n_sites, chunk_rows
        self.variant, self.width, self.pause = variant, width, pause

    def read(self, start, stop):
        if self.pause is not None:
            time.sleep(self.pause(start))
        numbers = self.first + np.arange(start, stop)
        values = np.empty((numbers.size, self.width), np.float32)
        values[:, 0], values[:, 1:] = numbers * UNIT, self.variant
        return values


class Targets(Table):
    def read(self, start, stop):
        return super().read(start, stop)[:, :1] / np.float32(UNIT) + np.arange(N_ENERGIES, dtype=np.float32)


def part_of(*sizes, chunk_rows=7, n_variants=(), width=4, pause=None):
    """Return sites of several stores with ``n_variants`` variants each; every fourth site is in another set."""
    sources, first = [], 0
    for i, n in enumerate(sizes):
        extra = n_variants[i] - 1 if n_variants else 0
        augmented = tuple(Table(first, n, 11, k + 1, width) for k in range(extra))
        features = Table(first, n, chunk_rows + 2 * i, 0, width, pause)
        sources.append(Source(features, Targets(first, n, 5, width=2), first, augmented))
        first += n
    chosen = np.arange(first) % 4 != 0
    return SiteSet(sources, chosen, np.arange(first) % 3)


def feed_of(part, batch_size=10, seed=0, **options):
    width = part.sources[0].features.width
    plain = np.zeros((3, N_ENERGIES))
    return Feed(part, Scalers(np.zeros(width), np.ones(width), plain, plain + 1.0), batch_size, seed, **options)


def array_part(y, absorbers=None):
    """Return sites of one source with given targets."""
    features = SimpleNamespace(n_sites=len(y), n_features=2, chunk_rows=3, read=lambda a, b: np.ones((b - a, 2)))
    targets = SimpleNamespace(grid=SimpleNamespace(energies=np.arange(y.shape[1])), read=lambda a, b: y[a:b])
    absorbers = np.zeros(len(y), np.int64) if absorbers is None else absorbers
    return SiteSet([Source(features, targets)], np.ones(len(y), bool), absorbers)


def epoch_of(feed, epoch=0):
    """Return the numbers, variants, absorbers, targets and weights of an epoch's sites, in the feed's order."""
    blocks = list(feed.blocks(epoch))
    assert all(array.shape[1] == feed.batch_size for block in blocks for array in block)
    x, absorbers, y, weights = (np.concatenate([array.reshape(-1, *array.shape[2:]) for array in b])
                                for b in zip(*blocks, strict=True))  # fmt: skip
    return np.rint(x[:, 0] / UNIT).astype(int), x[:, 1].astype(int), absorbers, y, weights
