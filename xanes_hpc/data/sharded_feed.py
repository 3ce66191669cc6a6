"""Divide training sites into shards, which contribute equally to every batch and are read by different processes.

The contents of a batch depend on the number of shards, but not on how many processes read them.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from xanes_hpc.data.datasets import SiteSet
from xanes_hpc.data.feed import Feed, Rows
from xanes_hpc.errors import ConfigError
from xanes_hpc.models.scaling import Scalers


def shards_of(sites: SiteSet, n_shards: int) -> list[SiteSet]:
    """Divide a set of sites into shards of consecutive whole chunks, with nearly equal numbers of sites.

    Raises
    ------
    ConfigError
        If there are fewer chunks than shards.
    """
    chunks = sites.chunks
    if len(chunks) < n_shards:
        raise ConfigError(
            f"{n_shards} shards: the training sites are in only {len(chunks)} chunks of their stores; use at most "
            f"{len(chunks)} shards"
        )
    sizes = np.array([int(sites.chosen[chunk.rows].sum()) for chunk in chunks])
    middles = np.cumsum(sizes) - 0.5 * sizes
    owner = np.minimum(n_shards - 1, (middles * n_shards / sizes.sum()).astype(int))
    owner[0], owner[-1] = 0, n_shards - 1  # every shard needs a chunk, even if chunks differ widely in size
    for i in range(1, len(chunks)):
        owner[i] = min(owner[i], owner[i - 1] + 1)
    owner[-1] = n_shards - 1
    for i in range(len(chunks) - 2, -1, -1):
        owner[i] = max(owner[i], owner[i + 1] - 1)
    found = []
    for k in range(n_shards):
        chosen = np.zeros_like(sites.chosen)
        for own, chunk in zip(owner, chunks, strict=True):
            if own == k:
                chosen[chunk.rows] = sites.chosen[chunk.rows]
        found.append(replace(sites, chosen=chosen))
    return found


class ShardedFeed:
    """Shuffled batches to which every shard contributes equally; has the methods and attributes of ``Feed``.

    Parameters
    ----------
    sites, scalers, batch_size, seed, n_members, resampled
        As for ``Feed``.
    n_shards
        Number of shards.
    own
        Indices of the shards that this process reads.
    n_local
        Number of devices of this process, among which its sites are divided.

    Attributes
    ----------
    own_size
        Number of sites of a batch that this process reads.

    Raises
    ------
    ConfigError
        If batches are too small for one site per shard and device.
    """

    graphs = False

    def __init__(
        self, sites: SiteSet, scalers: Scalers, batch_size: int, seed: int, n_members: int, resampled: bool,
        n_shards: int, own: range, n_local: int = 1,
    ) -> None:  # fmt: skip
        shards = shards_of(sites, n_shards)
        n_each = min(batch_size // n_shards, *(shard.n_sites for shard in shards))
        while n_each and n_each * len(own) % n_local:  # equally many sites for each device
            n_each -= 1
        if not n_each:
            raise ConfigError(
                f"batch_size {batch_size}: expected at least one site from each of {n_shards} shards, and equally many "
                "for each device; use larger batches or fewer shards"
            )
        feeds = [
            Feed(shards[k], scalers, n_each, _seed(seed, k), n_members, resampled) if k in own else None
            for k in range(n_shards)
        ]
        self._feeds = [feed for feed in feeds if feed is not None]
        first = self._feeds[0]
        self.batch_size, self.own_size = n_each * n_shards, n_each * len(own)
        self.n_batches = min(shard.n_sites // n_each for shard in shards)
        self.n_features, self.n_energies, self.n_members = first.n_features, first.n_energies, n_members
        self.failure: Exception | None = None

    def blocks(self, epoch: int) -> Iterator[Rows]:
        """Yield this process's sites of each batch of an epoch, as blocks of one batch: arrays (1, own_size, ...).

        Raises
        ------
        StoreError
            If features cannot be read, or are NaN or infinite.
        """
        every = [_batches(feed, epoch) for feed in self._feeds]
        for _ in range(self.n_batches):
            shards = [next(batches) for batches in every]
            yield tuple(np.concatenate(arrays)[None] for arrays in zip(*shards, strict=True))

    def forget(self) -> None:
        """Free the memory of sites that were kept."""
        for feed in self._feeds:
            feed.forget()


def _batches(feed: Feed, epoch: int) -> Iterator[tuple[Any, ...]]:
    for block in feed.blocks(epoch):
        yield from zip(*block, strict=True)


def _seed(seed: int, shard: int) -> int:
    """Return the seed of a shard, 64 bits, as a key for Philox."""
    return int(np.random.SeedSequence([seed, shard]).generate_state(1, np.uint64)[0])
