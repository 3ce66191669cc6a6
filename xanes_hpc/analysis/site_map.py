"""Where sites stand among those a model was trained on, in two dimensions."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import ConfigError, StoreError
from xanes_hpc.models.model import Model
from xanes_hpc.models.training_sites import FITTED
from xanes_hpc.prediction.sources import Store, features_of, parts_of, sites_of, structures_behind
from xanes_hpc.runtime.optional import need
from xanes_hpc.stores.predictions import PredictionStore

Array = npt.NDArray[np.float64]
MOST_BEHIND = 5000
"""Of more training sites so many are drawn."""


@dataclass(frozen=True)
class SiteMap:
    """Places of sites.

    Attributes
    ----------
    how
        Name of the projection.
    places : (n_sites, 2)
        Of the sites.
    behind : (n_behind, 2)
        Of sites that the model was trained on, or some of them; empty where the source has none beside the sites.
    shares : (2,)
        Of the variance along each axis; None where the projection tells none.
    """

    how: str
    places: Array
    behind: Array
    shares: Array | None


def map_sites(predictions: PredictionStore, model: Model, source: Store, by: str, seed: int = 0) -> SiteMap:
    """The sites of predictions and the training sites of a source, projected together by their standardised features.

    Parameters
    ----------
    predictions
        Whose sites are looked for.
    model
        Whose features, and whose training sites.
    source
        Store with the sites.
    by, seed
        As of ``project``.

    Raises
    ------
    ConfigError
        As ``project``.
    StoreError
        If the source lacks a site.
    ModelError
        If the source's features are of another descriptor.
    """
    every = sites_of(source)
    known = {name: row for row, name in enumerate(every.name)}
    names = predictions.sites.name
    if missing := [name for name in names if name not in known]:
        raise StoreError(f"{source.path}: has no site {missing[0]!r} of {predictions.path}")
    rows = np.array([known[name] for name in names])
    with structures_behind(source, None)[0] as structures:
        parts = parts_of(model, every, structures)
    trained = np.setdiff1d(np.flatnonzero([part in FITTED for part in parts]), rows)
    if trained.size > MOST_BEHIND:
        trained = np.sort(np.random.default_rng(seed).choice(trained, MOST_BEHIND, replace=False))
    read = features_of(model, source)
    together = np.union1d(rows, trained)
    x = model.members[0].scalers.features(read(together))
    places, shares = project(x, by, seed)
    return SiteMap(
        by.upper(), places[np.searchsorted(together, rows)], places[np.searchsorted(together, trained)], shares
    )


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
