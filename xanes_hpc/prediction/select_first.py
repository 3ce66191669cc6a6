"""Select the first sites to calculate, before there is a model: those that best cover a pool by its features alone.

Features are transformed as by default in training, and standardised over the pool itself.
"""

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import ModelError, StoreError
from xanes_hpc.models.scaling import CLIP, Array, scale_of_features, signed_root
from xanes_hpc.prediction.select import Progress, Rows, Selected, check_strategy, cover_sites, sampled
from xanes_hpc.prediction.site_features import read_features
from xanes_hpc.prediction.sources import Store
from xanes_hpc.stores.features import FeatureStore


def select_first(
    source: Store,
    n: int,
    strategy: str = "coverage",
    seed: int = 0,
    rows: Rows | None = None,
    progress: Progress = lambda done, total: None,
) -> list[Selected]:
    """Select sites of a feature store without a model, and return them in the order of selection.

    The first site is the one nearest to all others; each later one lowers the sum of square roots of the distances to
    the nearest selected site most.

    Parameters
    ----------
    source
        A feature store.
    n, strategy, seed, progress
        As for ``select``.
    rows
        Rows to select from and to cover; by default all with features.

    Raises
    ------
    ConfigError
        If there is no such strategy.
    ModelError
        If there are fewer sites.
    StoreError
        If the source has no features, or those of rattled structures.
    """
    check_strategy(strategy)
    if not isinstance(source, FeatureStore):
        raise StoreError(
            f"{source.path}: expected a feature store, as there is no model, received structures; featurise them first"
        )
    if source.rattled:
        raise StoreError(f"{source.path}: holds features of rattled structures; select from the plain features")
    rows = np.arange(source.n_sites) if rows is None else rows
    rows = rows[~source.without_features[rows]]
    if rows.size < n:
        raise ModelError(f"{source.path}: expected at least {n:,} sites to select from, received {rows.size:,}")
    generator = np.random.default_rng(seed)
    gains: list[float | None] = [None] * n
    if strategy == "chance":
        chosen = generator.permutation(rows)[:n]
    else:
        rows = sampled(rows, n, generator)
        progress(0, rows.size)
        x = _standardised(read_features(rows, source.read, source.path, source.without_features))
        progress(rows.size, rows.size)
        farther = np.full(rows.size, 2.0 * np.abs(x).mean(axis=1).max(), np.float32)  # than any site from another
        order, fallen = cover_sites(x, farther, n, generator)
        left = 1.0 - float(fallen[0]) or 1.0
        chosen, gains[1:] = rows[order], [100.0 * float(one) / left for one in fallen[1:]]
    return [Selected(int(row), source.sites.name[int(row)], gain) for row, gain in zip(chosen, gains, strict=True)]


def _standardised(x: npt.NDArray[np.floating]) -> Array:
    """Return transformed features, standardised by their own mean and spread, and clipped as in training."""
    root = signed_root(x.astype(np.float64))
    z = (root - root.mean(axis=0)) / scale_of_features(root.std(axis=0))
    return np.asarray(np.clip(z, -CLIP, CLIP), np.float32)
