"""Where sites stand among those a model was trained on, in two dimensions."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import StoreError
from xanes_hpc.prediction_sources import Store, features_of, parts_of, sites_of, structures_behind
from xanes_hpc.projections import project
from xanes_hpc.splits import FITTED
from xanes_hpc.stores.models import ModelFolder
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


def map_sites(predictions: PredictionStore, model: ModelFolder, source: Store, by: str, seed: int = 0) -> SiteMap:
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
