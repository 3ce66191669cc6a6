"""Project sites, together with those used for a model, to two dimensions."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh

from xanes_hpc.errors import ConfigError, StoreError
from xanes_hpc.models.model import Model
from xanes_hpc.models.training_sites import USED_SETS
from xanes_hpc.prediction.site_features import features_of
from xanes_hpc.prediction.sources import Store, sets_of
from xanes_hpc.runtime.optional import need
from xanes_hpc.stores.predictions import PredictionStore

Array = npt.NDArray[np.float64]
MOST_BEHIND = 5000
"""Largest number of the model's sites shown; a random sample is drawn if there are more."""


@dataclass(frozen=True)
class SiteMap:
    """Positions of sites in a projection.

    Attributes
    ----------
    how
        Name of the projection.
    places : (n_sites, 2)
        Positions of the sites.
    behind : (n_behind, 2)
        Positions of sites used for the model (training, validation and calibration sets) that were not predicted, or
        of a sample of them.
    explained_variance : (2,)
        Fraction of the variance along each axis; None if the projection defines none.
    from_model
        Whether ``behind`` are the training sites whose features the model keeps, as the source holds no others.
    """

    how: str
    places: Array
    behind: Array
    explained_variance: Array | None
    from_model: bool = False


def map_sites(predictions: PredictionStore, model: Model, source: Store, by: str, seed: int = 0) -> SiteMap:
    """Project the sites of predictions and a store's sites used for the model, by their standardised features.

    If the store has no other sites used for the model, the training sites that the model keeps take their place.

    Parameters
    ----------
    predictions
        Predictions of the sites.
    model
        Model with the descriptor, the scaling of features and the training set.
    source
        Store that holds the sites.
    by, seed
        Projection and seed, as for ``project``.

    Raises
    ------
    ConfigError
        If ``project`` raises it.
    StoreError
        If the source lacks a site.
    ModelError
        If the source's features come from another descriptor.
    """
    every = source.sites
    known = {name: row for row, name in enumerate(every.name)}
    names = predictions.sites.name
    if missing := [name for name in names if name not in known]:
        raise StoreError(f"{source.path}: has no site {missing[0]!r}, which is in {predictions.path}")
    rows = np.array([known[name] for name in names])
    with source.open_structures()[0] as structures:
        sets = sets_of(model, every, structures or source)
    features = features_of(model, source)
    known_sites = np.array([own in USED_SETS for own in sets]) & ~features.without
    trained = np.setdiff1d(np.flatnonzero(known_sites), rows)
    if trained.size > MOST_BEHIND:
        trained = np.sort(np.random.default_rng(seed).choice(trained, MOST_BEHIND, replace=False))
    together = np.union1d(rows, trained)
    x = model.members[0].scalers.features(features.read(together))
    own, others = np.searchsorted(together, rows), np.searchsorted(together, trained)
    if from_model := not (known_sites[rows].any() or trained.size):
        others = len(x) + np.arange(len(model.training_sites.features))
        x = np.concatenate([x, model.training_sites.features])
    places, variance = project(x, by, seed)
    return SiteMap(by.upper(), places[own], places[others], variance, from_model)


PROJECTIONS = ("pca", "umap")


NEIGHBOURS, SMALLEST = 15, 4
"""Number of neighbours for UMAP, and smallest number of sites in a map."""


@contextmanager
def _without_tensorflow() -> Iterator[None]:
    """Keep UMAP from importing TensorFlow, which it needs only for its parametric variant."""
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


def project(features: npt.NDArray[np.floating], by: str, seed: int = 0) -> tuple[Array, Array | None]:
    """Project sites to two dimensions.

    Parameters
    ----------
    features
        Standardised features, (n_sites, n_features).
    by
        ``pca``, principal components, or ``umap`` (McInnes, Healy & Melville, arXiv:1802.03426).
    seed
        Seed of UMAP.

    Returns
    -------
    places : (n_sites, 2)
    explained_variance : (2,)
        Fraction of the variance along each axis; None for UMAP.

    Raises
    ------
    ConfigError
        If the projection is unknown, umap-learn is not installed, or there are too few sites.
    """
    if by not in PROJECTIONS:
        raise ConfigError(f"`by` {by!r}: expected {', '.join(PROJECTIONS)}")
    if len(features) < SMALLEST:
        raise ConfigError(f"a map needs at least {SMALLEST} sites, received {len(features)}")
    x = np.asarray(features, np.float64)
    x = x - x.mean(axis=0)
    if by == "umap":
        need("umap", "umap", "a map by UMAP")
        with _without_tensorflow():
            import umap

        reducer = umap.UMAP(n_neighbors=min(NEIGHBOURS, len(x) - 1), random_state=seed, n_jobs=1)
        return np.asarray(reducer.fit_transform(x), np.float64), None
    scatter = x.T @ x
    last = len(scatter) - 1
    values, vectors = eigh(scatter, subset_by_index=[max(0, last - 1), last])
    axes = vectors[:, ::-1]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]])  # fix the sign, which depends on the solver
    total = float(np.trace(scatter))
    explained_variance = values[::-1] / total if total > 0 else np.zeros(2)
    return x @ axes, np.asarray(explained_variance)
