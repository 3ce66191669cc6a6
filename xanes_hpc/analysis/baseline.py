"""How much better predictions are than a baseline: other predictions of the same sites, or a model's training mean."""

from pathlib import Path
from typing import Any

import numpy as np

from xanes_hpc.analysis.evaluate import Array, error_percent, mean_squared_errors, references_to_compare
from xanes_hpc.errors import ModelError, StoreError
from xanes_hpc.models.model import Model
from xanes_hpc.stores.predictions import PredictionStore


def training_mean(model: Model, store: PredictionStore) -> Array:
    """Return the mean of the training spectra for each predicted site, of its element and edge, (n_sites, n_energies).

    Raises
    ------
    ModelError
        If the predictions are of another model.
    """
    if store.attribute("model_digest") != model.digest:
        raise ModelError(f"{store.path}: predictions by another model; expected those of {model.path}")
    sites = store.sites
    return np.asarray(model.members[0].scalers.target_mean[model.absorbers(sites.element, sites.edge)])


def other_predictions(other: PredictionStore, store: PredictionStore) -> Array:
    """Return other predictions of the sites of a store, found by their names, (n_sites, n_energies).

    Raises
    ------
    StoreError
        If they are at other energies, of spectra treated in another way, or lack a site.
    """
    same = other.origin == store.origin and np.array_equal(other.energies, store.energies)
    for name, agrees in (
        ("energies", same),
        *((name, other.attribute(name) == store.attribute(name)) for name in ("kind", "treatment", "unit")),
    ):
        if not agrees:
            raise StoreError(f"{other.path}: {name}: expected those of {store.path}, received others")
    row_of = {name: row for row, name in enumerate(other.sites.name)}
    if missing := [name for name in store.sites.name if name not in row_of]:
        raise StoreError(f"{other.path}: no prediction of {missing[0]} and {len(missing) - 1:,} more sites")
    return other.read("mean")[np.array([row_of[name] for name in store.sites.name], np.int64)]


def compared(store: PredictionStore, baseline: Array) -> dict[str, Any]:
    """Return figures of a baseline, and how many times better the predictions are.

    ``eta`` is the median over sites of the baseline's mean squared error, divided by that of the predictions (Kharel et
    al., arXiv:2409.19552); None if the predictions have no error.

    Parameters
    ----------
    store
        Predictions with references.
    baseline : (n_sites, n_energies)
        The baseline's spectra.
    """
    reference, rows, _ = references_to_compare(store)
    reference, own, other = reference[rows], store.read("mean")[rows], baseline[rows]
    squared, theirs = mean_squared_errors(reference, own), mean_squared_errors(reference, other)
    errors, their_errors = error_percent(reference, own), error_percent(reference, other)
    median = float(np.median(squared))
    return {
        "error_percent_mean": float(their_errors.mean()),
        "mse_median": float(np.median(theirs)),
        "eta": float(np.median(theirs)) / median if median else None,
        "fraction_better": float(np.mean(errors < their_errors)),
    }


def baseline_of(path: Path, store: PredictionStore) -> Array:
    """Return the spectra of a baseline: the folder of the predictions' model, or other predictions.

    Raises
    ------
    XanesHpcError
        If it can be neither, or does not fit the predictions.
    """
    if path.is_dir():
        return training_mean(Model.open(path), store)
    with PredictionStore(path) as other:
        return other_predictions(other, store)
