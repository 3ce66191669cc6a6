"""Whether sites that are flagged not to be trusted are predicted worse, and error against distance."""

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
NOT, FAR, ELEMENTS = "not flagged", "far from the training sites", "elements not seen in training"
options = folds.options


def measure(sitting: Sitting, inputs: Inputs, given: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    runs = [_read(outcome) for _, _, outcome in folds.outcomes(sitting, inputs, given.seeds)]
    reasons = [reason for own, _, _ in runs for reason in own]
    distances, errors = (np.concatenate([run[i] for run in runs]) for i in (1, 2))
    groups = {
        NOT: [not reason for reason in reasons],
        "flagged": [bool(reason) for reason in reasons],
        **{name: [name in reason for reason in reasons] for name in (FAR, ELEMENTS)},
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
    """Reasons, distances to the nearest training site and error % of a fold's sites."""
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
    head = ["predictions", "error %, mean", "median", "9 of 10 below"]
    return [
        paragraph(
            f"""The predictions of the folds ({counted(len(result["seeds"]), "seed")}): those with a reason in the
            column `distrust` and the others. A site is far where it is farther from the training sites than 99 % of the
            calibration sites are; a site may have several reasons."""
        ),
        "",
        *table(["", *head], rows),
        "",
        paragraph(
            f"""Error by distance to the nearest training site (mean absolute difference of the standardised features),
            in tenths of all sites from near to far; Spearman's ρ of distance and error is {result["spearman"]:.2f}:"""
        ),
        "",
        *table(["distance, median", *head], curve),
    ]


def _cells(found: Mapping[str, Any]) -> list[str]:
    figures = ("–" if found[name] is None else f"{found[name]:.2f}" for name in ("mean", "median", "q90"))
    return [f"{found['sites']:,}", *figures]
