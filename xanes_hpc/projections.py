"""Features of sites brought to two dimensions, to be looked at."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import ConfigError
from xanes_hpc.extras import need

Array = npt.NDArray[np.float64]
PROJECTIONS = ("pca", "umap")
NEIGHBOURS, SMALLEST = 15, 4
"""Neighbours that UMAP goes by, and sites that a map needs."""


@contextmanager
def _without_tensorflow() -> Iterator[None]:
    """UMAP imports TensorFlow, where it is there, for something else than this."""
    loaded = "tensorflow" in sys.modules
    if not loaded:
        sys.modules["tensorflow"] = None  # type: ignore[assignment]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        if not loaded:
            del sys.modules["tensorflow"]


def project(features: npt.NDArray[np.floating], how: str, seed: int = 0) -> tuple[Array, Array | None]:
    """Places of sites in two dimensions, and the share of the variance along each.

    Parameters
    ----------
    features
        Standardised, (n_sites, n_features).
    how
        ``pca``: principal components; ``umap`` (McInnes, Healy & Melville, arXiv:1802.03426), which tells no shares.
    seed
        Of UMAP.

    Raises
    ------
    ConfigError
        If there is no such projection, umap-learn is not installed, or there are too few sites.
    """
    if how not in PROJECTIONS:
        raise ConfigError(f"--by {how!r}: expected {', '.join(PROJECTIONS)}")
    if len(features) < SMALLEST:
        raise ConfigError(f"a map: expected {SMALLEST} sites or more, received {len(features)}")
    x = np.asarray(features, np.float64)
    x = x - x.mean(axis=0)
    if how == "umap":
        need("umap", "umap", "a map by UMAP")
        with _without_tensorflow():
            import umap

        reducer = umap.UMAP(n_neighbors=min(NEIGHBOURS, len(x) - 1), random_state=seed, n_jobs=1)
        return np.asarray(reducer.fit_transform(x), np.float64), None
    values, vectors = np.linalg.eigh(x.T @ x)
    axes = vectors[:, ::-1][:, :2]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]])  # a sign that does not depend on the solver
    total = float(values.sum())
    shares = values[::-1][:2] / total if total > 0 else np.zeros(2)
    return x @ axes, np.asarray(shares)
