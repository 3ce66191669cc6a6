"""Read shuffled, scaled batches from stores.

Sites that fit into memory are read once and kept. Otherwise, several threads read chunks ahead in random order into a
pool, and batches are drawn from the pool at random.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.data.datasets import SiteSet
from xanes_hpc.errors import ConfigError
from xanes_hpc.models.scaling import Scalers
from xanes_hpc.runtime.overlap import prefetch

BUFFER_BYTES = 256 << 20
"""Size of the features and targets that are kept in memory for shuffling."""
READERS = 2
BATCHES_AT_ONCE = 16
"""Number of batches that are passed to TensorFlow together."""
RESAMPLING = 1 << 62
"""First key for resampling, beyond the keys for epochs."""

Rows = tuple[npt.NDArray[Any], ...]
"""Scaled features (n, n_features), absorbers (n,), scaled targets (n, n_energies), weights (n, n_members)."""


class Feed:
    """A set of sites in shuffled batches.

    With augmented stores, every epoch draws anew whether to use the plain features or those of an augmented store.

    Parameters
    ----------
    sites, scalers
        The sites to read, and how to scale them.
    batch_size
        Number of sites in a batch. Sites that do not fill a batch at the end of an epoch are dropped.
    seed
        Seed of the order of sites, which depends only on it and on the epoch.
    n_members
        Number of networks that are trained on each batch.
    resampled
        Whether every network gets its own bootstrap sample, by weights from a Poisson distribution of mean 1.
    n_devices
        Number of devices; the batch size is rounded down to a multiple of it.

    Attributes
    ----------
    own_size
        Number of sites of a batch that come from this feed: all.
    graphs
        Whether batches have graphs in place of features.
    failure
        The exception that stopped reading for a ``tf.data.Dataset``, if any.

    Raises
    ------
    ConfigError
        If there are fewer sites than devices.
    """

    graphs = False

    def __init__(
        self,
        sites: SiteSet,
        scalers: Scalers,
        batch_size: int,
        seed: int,
        n_members: int = 1,
        resampled: bool = False,
        n_devices: int = 1,
    ) -> None:
        if sites.n_sites < n_devices:
            raise ConfigError(f"{sites.n_sites} training sites are too few for {n_devices} devices; use fewer devices")
        self.batch_size = min(batch_size, sites.n_sites) // n_devices * n_devices
        self.own_size = self.batch_size
        self.n_batches = sites.n_sites // self.batch_size
        self.n_features = scalers.feature_mean.size
        self.n_energies = scalers.target_mean.shape[1]
        self.n_members = n_members
        self.failure: Exception | None = None
        self._sites, self._scalers, self._seed = sites, scalers, seed
        self._chunks = sites.chunks
        self._weights = _weights(sites.chosen.size, n_members, seed, resampled)
        own_bytes = 4 * (self.n_energies + n_members + 1)
        input_bytes = self._input_bytes()
        self._pool_rows = max(1, BUFFER_BYTES // (input_bytes + own_bytes))
        most_variants = max(chunk.source.n_variants for chunk in self._chunks)
        self._keep = sites.n_sites * (input_bytes * most_variants + own_bytes) <= BUFFER_BYTES
        self._kept: tuple[npt.NDArray[np.int64], Rows] | None = None

    def blocks(self, epoch: int) -> Iterator[Rows]:
        """Yield the batches of an epoch, several at a time: arrays (n_batches, batch_size, ...).

        Raises
        ------
        StoreError
            If features cannot be read, or are NaN or infinite.
        """
        generator = np.random.Generator(np.random.Philox(key=[self._seed, epoch]))
        return self._from_memory(generator) if self._keep else self._streamed(generator)

    def forget(self) -> None:
        """Free the memory of sites that were kept; they are read again when needed."""
        self._kept = None

    def _from_memory(self, generator: np.random.Generator) -> Iterator[Rows]:
        if self._kept is None:
            self._kept = self._read_all()
        n_variants, (x, *others) = self._kept
        variants, order = generator.integers(n_variants), generator.permutation(n_variants.size)
        for rows in self._in_blocks(order):
            yield self._batched([x[variants[rows], rows], *(array[rows] for array in others)])

    def _read_all(self) -> tuple[npt.NDArray[np.int64], Rows]:
        """Return the number of variants per site, and all sites, with features (n_variants, n_sites, n_features)."""
        items = [(i, variant) for i, chunk in enumerate(self._chunks) for variant in range(chunk.source.n_variants)]
        n_sites, most = self._sites.n_sites, 1 + max(variant for _, variant in items)
        features, *others = self._empty(n_sites)
        every = np.empty((most, *features.shape), features.dtype)
        n_variants, start, stop = np.empty(n_sites, np.int64), 0, 0
        for (i, variant), read in zip(items, prefetch(items, self._load, READERS), strict=True):
            if variant == 0:
                start, stop = stop, stop + len(read[0])
                n_variants[start:stop] = self._chunks[i].source.n_variants
            self._put(read, np.arange(start, stop), (every[variant], *others))
        return n_variants, (every, *others)

    def _streamed(self, generator: np.random.Generator) -> Iterator[Rows]:
        order = generator.permutation(len(self._chunks))
        variants = [int(generator.integers(self._chunks[i].source.n_variants)) for i in order]
        largest = max(chunk.stop - chunk.start for chunk in self._chunks)
        full = max(self.batch_size, self._pool_rows - largest)
        pool, slots, n = self._empty(full + largest), np.arange(full + largest), 0
        for read in prefetch(zip(order.tolist(), variants, strict=True), self._load, READERS):
            self._put(read, slots[n : n + len(read[0])], pool)
            n += len(read[0])
            while n > full:
                n_drawn = min(BATCHES_AT_ONCE, n // self.batch_size) * self.batch_size
                drawn = _draw(slots, n, n_drawn, generator)
                yield self._batched([array[drawn] for array in pool])
                n -= n_drawn
        for last in self._in_blocks(generator.permutation(slots[:n])):
            yield self._batched([array[last] for array in pool])

    def _load(self, item: tuple[int, int]) -> Rows:
        """Return the set's sites in a chunk, in one variant, as stored."""
        chunk = self._chunks[item[0]]
        return *self._sites.read(chunk, item[1]), self._weights[chunk.rows][self._sites.chosen[chunk.rows]]

    def _put(self, read: Rows, places: npt.NDArray[np.integer], rows: Rows) -> None:
        """Scale sites as read, and write them to ``places`` in ``rows``."""
        x, absorbers, y, weights = read
        self._put_inputs(x, places, rows[0])
        rows[1][places] = absorbers
        self._scalers.put_targets(y, absorbers, places, rows[2])
        rows[3][places] = weights

    def _empty(self, n: int) -> Rows:
        shapes, dtypes = ((n,), (n, self.n_energies), (n, self.n_members)), (np.int32, np.float32, np.float32)
        others = (np.empty(shape, dtype) for shape, dtype in zip(shapes, dtypes, strict=True))
        return self._empty_inputs(n), *others

    def _input_bytes(self) -> int:
        """Return the size of what a network takes of one site."""
        return 4 * self.n_features

    def _put_inputs(self, x: npt.NDArray[Any], places: npt.NDArray[np.integer], out: npt.NDArray[Any]) -> None:
        """Write what networks take of sites as read to ``places`` in ``out``."""
        self._scalers.put_features(x, places, out)

    def _empty_inputs(self, n: int) -> npt.NDArray[Any]:
        return np.empty((n, self.n_features), np.float32)

    def _in_blocks(self, order: npt.NDArray[np.integer]) -> Iterator[npt.NDArray[np.integer]]:
        whole, at_once = order.size - order.size % self.batch_size, BATCHES_AT_ONCE * self.batch_size
        for start in range(0, whole, at_once):
            yield order[start : min(start + at_once, whole)]

    def _batched(self, rows: list[npt.NDArray[Any]]) -> Rows:
        return tuple(array.reshape(-1, self.batch_size, *array.shape[1:]) for array in rows)


def _draw(slots: npt.NDArray[np.int64], n: int, n_drawn: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return a random choice of the first ``n`` slots, and move it behind the rest of them."""
    places, rest = generator.choice(n, n_drawn, replace=False), n - n_drawn
    drawn = slots[places]
    slots[places[places < rest]] = slots[np.setdiff1d(np.arange(rest, n), places)]
    slots[rest:n] = drawn
    return drawn


def _weights(n_sites: int, n_members: int, seed: int, resampled: bool) -> npt.NDArray[np.uint8]:
    """Return the weight of each site for each member, (n_sites, n_members)."""
    if not resampled:
        return np.ones((n_sites, n_members), np.uint8)
    generators = [np.random.Generator(np.random.Philox(key=[seed, RESAMPLING + i])) for i in range(n_members)]
    return np.stack([generator.poisson(1.0, n_sites) for generator in generators], axis=1).astype(np.uint8)
