"""From a feature store and its targets to batches, and to a ``tf.data.Dataset``.

Stores are read chunk by chunk, in a shuffled order of chunks; rows are shuffled within a buffer of chunks.
Nothing else of the store is in memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import StoreError
from xanes_hpc.inference import TRANSFORMS, Scalers
from xanes_hpc.splits import PARTS
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.targets import TargetStore

if TYPE_CHECKING:
    import tensorflow as tf

BUFFER_BYTES = 64 << 20
"""Features and targets held for shuffling."""

Pair = tuple[npt.NDArray[Any], npt.NDArray[Any]]


@dataclass(frozen=True)
class Part:
    """The sites of one part of a split: rows where ``chosen`` (n_sites,) is set."""

    features: FeatureStore
    targets: TargetStore
    chosen: npt.NDArray[np.bool_]

    @property
    def n_sites(self) -> int:
        """Number of sites in the part."""
        return int(self.chosen.sum())

    def chunks(self, order: npt.NDArray[np.integer] | None = None) -> Iterator[Pair]:
        """Features and targets of the part's sites, one chunk of the store after another.

        Raises
        ------
        StoreError
            If a feature is NaN or infinite; names the site.
        """
        rows = self.features.chunk_rows
        starts = np.arange(0, self.features.n_sites, rows)
        for start in starts if order is None else starts[order]:
            stop = min(int(start) + rows, self.features.n_sites)
            chosen = self.chosen[start:stop]
            if not chosen.any():
                continue
            x = self.features.read(int(start), stop)[chosen]
            if not np.isfinite(x).all():
                site = int(start) + int(np.flatnonzero(chosen)[np.argmin(np.isfinite(x).all(axis=1))])
                raise StoreError(f"{self.features.path}: site {site} has NaN or infinite features: featurise it again")
            yield x, self.targets.read(int(start), stop)[chosen]

    @property
    def n_chunks(self) -> int:
        """Number of chunks of the store."""
        return -(-self.features.n_sites // self.features.chunk_rows)

    def batches(self, batch_size: int, seed: int, epoch: int) -> Iterator[Pair]:
        """Shuffled batches of exactly ``batch_size`` sites; the few left at the end of an epoch are dropped.

        The order depends on seed and epoch only.
        """
        generator = np.random.Generator(np.random.Philox(key=[seed, epoch]))
        order = generator.permutation(self.n_chunks)
        held: list[Pair] = []
        n_held, bytes_held = 0, 0
        for x, y in self.chunks(order):
            held.append((x, y))
            n_held += len(x)
            bytes_held += x.nbytes + y.nbytes
            if bytes_held >= BUFFER_BYTES and n_held >= batch_size:
                rest = yield from _shuffled(held, batch_size, generator)
                held, n_held, bytes_held = [rest], len(rest[0]), rest[0].nbytes + rest[1].nbytes
        if held:
            yield from _shuffled(held, batch_size, generator)


@dataclass(frozen=True)
class TrainingData:
    """Everything that is trained on; one entry per site of the feature store.

    ``parts`` (n_sites,) are indices into ``splits.PARTS``, or beyond for sites left out.
    """

    features: FeatureStore
    targets: TargetStore
    names: list[str]
    formulas: list[str]
    parts: npt.NDArray[np.uint8]

    def part(self, name: str) -> Part:
        """The sites of one part of the split, by its name."""
        return Part(self.features, self.targets, self.parts == PARTS.index(name))


def _shuffled(held: list[Pair], batch_size: int, generator: np.random.Generator) -> Any:
    x, y = (np.concatenate(arrays) for arrays in zip(*held, strict=True))
    order = generator.permutation(len(x))
    whole = len(x) - len(x) % batch_size
    for start in range(0, whole, batch_size):
        rows = order[start : start + batch_size]
        yield x[rows], y[rows]
    return x[order[whole:]], y[order[whole:]]


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation over a part: of transformed features (n_features,), of targets (n_energies,)."""

    transform: str

    feature_mean: npt.NDArray[np.float64]
    feature_std: npt.NDArray[np.float64]
    target_mean: npt.NDArray[np.float64]
    target_std: npt.NDArray[np.float64]

    def scalers(self, target_scale: str) -> Scalers:
        """Standardisation by these; a constant feature or energy is only shifted."""
        if target_scale == "global":
            scale = np.full_like(self.target_std, np.sqrt(np.mean(self.target_std**2)))
        else:
            scale = self.target_std
        return Scalers(self.feature_mean, _nonzero(self.feature_std), self.target_mean, _nonzero(scale), self.transform)


def _nonzero(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(values > 1e-12 * values.max(initial=0.0), values, 1.0)


def statistics(part: Part, transform: str) -> Statistics:
    """One streaming pass over a part (Chan, Golub & LeVeque's pairwise update, doi:10.1080/00031305.1983.10483115)."""
    totals: list[tuple[int, npt.NDArray[np.float64], npt.NDArray[np.float64]]] = []
    for x, y in part.chunks():
        for i, values in enumerate((TRANSFORMS[transform](x), y)):
            n, mean = len(values), values.mean(axis=0, dtype=np.float64)
            squares = ((values - mean) ** 2).sum(axis=0, dtype=np.float64)
            if len(totals) <= i:
                totals.append((n, mean, squares))
                continue
            n_before, mean_before, squares_before = totals[i]
            delta, n_both = mean - mean_before, n + n_before
            totals[i] = (
                n_both,
                mean_before + delta * n / n_both,
                squares_before + squares + delta**2 * n_before * n / n_both,
            )
    (n, mean_x, squares_x), (_, mean_y, squares_y) = totals
    return Statistics(transform, mean_x, np.sqrt(squares_x / n), mean_y, np.sqrt(squares_y / n))


def dataset(part: Part, scalers: Scalers, batch_size: int, seed: int, epoch: int) -> "tf.data.Dataset":
    """One epoch of scaled batches: features (batch_size, n_features) and targets (batch_size, n_energies), float32."""
    import tensorflow as tf

    def generate() -> Iterator[Pair]:
        for x, y in part.batches(batch_size, seed, epoch):
            yield scalers.features(x), scalers.targets(y)

    signature = (
        tf.TensorSpec((batch_size, part.features.n_features), tf.float32),
        tf.TensorSpec((batch_size, part.targets.grid.energies.size), tf.float32),
    )
    return tf.data.Dataset.from_generator(generate, output_signature=signature).prefetch(tf.data.AUTOTUNE)
