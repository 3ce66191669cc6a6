"""Training sites in shards: each gives its share of every batch, and a machine reads the shards that are its own.

What a batch holds depends on the number of shards, not on how many machines read them.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from xanes_hpc.data.datasets import Part
from xanes_hpc.data.feed import Feed, Rows
from xanes_hpc.errors import ConfigError
from xanes_hpc.models.scaling import Scalers


def shards_of(part: Part, n_shards: int) -> list[Part]:
    """A part in so many, of whole chunks one after another and as many sites as can be.

    Raises
    ------
    ConfigError
        If there are fewer chunks than shards.
    """
    chunks = part.chunks
    if len(chunks) < n_shards:
        raise ConfigError(
            f"{n_shards} shards: the training sites lie in {len(chunks)} chunks of their stores, at most so many can "
            "be read apart"
        )
    sizes = np.array([int(part.chosen[chunk.rows].sum()) for chunk in chunks])
    middles = np.cumsum(sizes) - 0.5 * sizes
    owner = np.minimum(n_shards - 1, (middles * n_shards / sizes.sum()).astype(int))
    owner[0], owner[-1] = 0, n_shards - 1  # one chunk at least for each, where sizes differ much
    for i in range(1, len(chunks)):
        owner[i] = min(owner[i], owner[i - 1] + 1)
    owner[-1] = n_shards - 1
    for i in range(len(chunks) - 2, -1, -1):
        owner[i] = max(owner[i], owner[i + 1] - 1)
    found = []
    for k in range(n_shards):
        chosen = np.zeros_like(part.chosen)
        for own, chunk in zip(owner, chunks, strict=True):
            if own == k:
                chosen[chunk.rows] = part.chosen[chunk.rows]
        found.append(replace(part, chosen=chosen))
    return found


class ShardedFeed:
    """Shuffled batches of which every shard gives an equal share; as ``feeding.Feed``.

    Parameters
    ----------
    part, scalers, batch_size, seed, n_members, resampled
        As of ``Feed``.
    n_shards
        How many there are.
    own
        Those that this process reads: its share of every batch, in their order.
    n_local
        Devices that this share is shared out over.

    Attributes
    ----------
    own_size
        Sites of a batch that come from the own shards.

    Raises
    ------
    ConfigError
        If a shard would have no site of a batch.
    """

    def __init__(
        self, part: Part, scalers: Scalers, batch_size: int, seed: int, n_members: int, resampled: bool, n_shards: int,
        own: range, n_local: int = 1,
    ) -> None:  # fmt: skip
        shards = shards_of(part, n_shards)
        share = min(batch_size // n_shards, *(shard.n_sites for shard in shards))
        while share and share * len(own) % n_local:  # each device has as many
            share -= 1
        if not share:
            raise ConfigError(
                f"batch_size {batch_size}: expected at least one site of each of {n_shards} shards, and as many on "
                "each device"
            )
        feeds = [
            Feed(shards[k], scalers, share, _seed(seed, k), n_members, resampled) if k in own else None
            for k in range(n_shards)
        ]
        self._feeds = [feed for feed in feeds if feed is not None]
        first = self._feeds[0]
        self.batch_size, self.own_size = share * n_shards, share * len(own)
        self.n_batches = min(shard.n_sites // share for shard in shards)
        self.n_features, self.n_energies, self.n_members = first.n_features, first.n_energies, n_members
        self.failure: Exception | None = None

    def blocks(self, epoch: int) -> Iterator[Rows]:
        """The own part of the batches of an epoch, each as a block of one: arrays (1, own_size, ...).

        Raises
        ------
        StoreError
            As of ``Feed``.
        """
        every = [_batches(feed, epoch) for feed in self._feeds]
        for _ in range(self.n_batches):
            shares = [next(batches) for batches in every]
            yield tuple(np.concatenate(arrays)[None] for arrays in zip(*shares, strict=True))

    def forget(self) -> None:
        """Give the memory of sites that were kept free."""
        for feed in self._feeds:
            feed.forget()


def _batches(feed: Feed, epoch: int) -> Iterator[tuple[Any, ...]]:
    for block in feed.blocks(epoch):
        yield from zip(*block, strict=True)


def _seed(seed: int, shard: int) -> int:
    """A shard's own, in what Philox takes as a key."""
    return int(np.random.SeedSequence([seed, shard]).generate_state(1, np.uint64)[0])
