"""Error of sites flagged as out of domain compared with the others, and error against distance."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import spearmanr
from tables import paragraph, table

from studies import folds
from studies.figures import counted
from studies.inputs import Inputs, describe
from studies.sitting import Outcome, Sitting
from xanes_hpc.analysis.evaluate import error_percent
from xanes_hpc.stores.predictions import PredictionStore

TITLE = "Flagged sites"
N_BINS = 10
REASONS = {
    "unlike the training set": ("unlike the training set", "far from the training sites"),
    "elements not seen in training": ("elements not seen in training",),
}
"""Rows of the table, with the words by which stored reasons are recognised, current and older ones."""
options = folds.options


def measure(sitting: Sitting, inputs: Inputs, given: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    runs = [_read(outcome) for _, _, outcome in folds.outcomes(sitting, inputs, given.seeds)]
    reasons = [reason for own, _, _ in runs for reason in own]
    distances, errors = (np.concatenate([run[i] for run in runs]) for i in (1, 2))
    groups = {
        "not flagged": [not reason for reason in reasons],
        "flagged": [bool(reason) for reason in reasons],
        **{name: [any(w in reason for w in words) for reason in reasons] for name, words in REASONS.items()},
    }
    cuts = np.array_split(np.argsort(distances, kind="stable"), N_BINS)
    curve = [{"distance": float(np.median(distances[own])), **_summary(errors[own])} for own in cuts]
    return describe([inputs.features(inputs.structures)]), {
        "seeds": list(given.seeds),
        "groups": {name: _summary(errors[np.array(chosen)]) for name, chosen in groups.items()},
        "curve": curve,
        "spearman": float(spearmanr(distances, errors).statistic),
    }


def _read(outcome: Outcome) -> tuple[Sequence[str], np.ndarray, np.ndarray]:
    """Return the reasons, the distances to the nearest training site, and the error % of a fold's sites."""
    with PredictionStore(outcome.predictions[0]) as store:
        errors = error_percent(store.read("reference"), store.read("mean"))
        return store.distrust or [], store.read("sites/nearest"), errors


def _summary(errors: np.ndarray) -> dict[str, Any]:
    if not errors.size:
        return {"sites": 0, "mean": None, "median": None, "q90": None}
    median, high = np.quantile(errors, (0.5, 0.9))
    return {"sites": errors.size, "mean": float(errors.mean()), "median": float(median), "q90": float(high)}


def section(result: Mapping[str, Any]) -> list[str]:
    rows = [[name, *_cells(found)] for name, found in result["groups"].items()]
    curve = [[f"{found['distance']:.3f}", *_cells(found)] for found in result["curve"]]
    head = ["predictions", "error %, mean", "median", "90th percentile"]
    return [
        paragraph(
            f"""Predictions of all folds ({counted(len(result["seeds"]), "seed")}), split into those flagged as out of
            domain, with a reason in the column `distrust`, and the others. A site is unlike the training set if it is
            farther from the training sites than 99 % of the calibration sites. A site may have several reasons."""
        ),
        "",
        *table(["", *head], rows),
        "",
        paragraph(
            f"""Error by distance to the nearest training site, which is the mean absolute difference of the
            standardised features. All sites are sorted into ten groups of equal size, from near to far. Spearman's ρ of
            distance and error is {result["spearman"]:.2f}:"""
        ),
        "",
        *table(["median distance", *head], curve),
    ]


def _cells(found: Mapping[str, Any]) -> list[str]:
    figures = ("–" if found[name] is None else f"{found[name]:.2f}" for name in ("mean", "median", "q90"))
    return [f"{found['sites']:,}", *figures]
