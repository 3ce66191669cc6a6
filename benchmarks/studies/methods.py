"""Three methods for the uncertainty, dropout, ensemble and bootstrap, on the same folds."""

import argparse
from collections.abc import Mapping
from typing import Any

import numpy as np
from tables import number, paragraph, table

from studies.figures import NOMINAL, column, known, spread, with_spread
from studies.folds import N_FOLDS, run_of
from studies.inputs import Inputs, describe
from studies.sitting import Run, Sitting

TITLE = "Uncertainty: three methods"
METHODS = ("dropout", "ensemble", "bootstrap")
INTERVALS = {
    "intervals": ("interval_0.6827", "interval_0.9545", "interval_0.9973"),
    "conformal intervals": ("conformal_0.6827", "conformal_0.9545", "conformal_0.9973"),
}
WITHIN = 2.0
"""Largest deviation from the nominal coverage, in percentage points."""


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0], help="repeat with these seeds of split and networks [0]"
    )


def measure(sitting: Sitting, inputs: Inputs, given: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    features = inputs.features(inputs.structures)
    found: dict[str, Any] = {}
    for method in METHODS:
        found[method] = []
        for seed in given.seeds:
            for fold in range(N_FOLDS):
                run = Run((features,), run_of(fold, seed, {"uncertainty.method": method}))
                outcome = sitting.run(run, f"{method}, seed {seed}, fold {fold}")
                values = outcome.values
                found[method].append({
                    "seed": seed,
                    "fold": fold,
                    "seconds": values["seconds"],
                    "per_site": values["predicting"][0] / values["figures"][0]["n_sites"],
                    "figures": outcome.figures,
                })  # fmt: skip
    return describe([features]), found


def goals(result: Mapping[str, Any]) -> list[tuple[str, str, bool]]:
    """Return each goal, the measured figure, and whether it is reached."""
    found = []
    for method, runs in result.items():
        for what, names in INTERVALS.items():
            if not all(name in run["figures"] for name in names for run in runs):
                continue
            shares = [100.0 * spread(column(runs, name))[0] for name in names]
            reached = all(abs(share - nominal) <= WITHIN for share, nominal in zip(shares, NOMINAL, strict=True))
            aim = f"{method}: {what} cover 68.3, 95.4 and 99.7 %, each within {WITHIN:g} points"
            found.append((aim, ", ".join(f"{share:.1f}" for share in shares) + " %", reached))
    return found


def section(result: Mapping[str, Any]) -> list[str]:
    head = [
        "",
        "error %",
        "68.3 %",
        "95.4 %",
        "99.7 %",
        "width of ±1σ",
        "CRPS",
        "ρ",
        "training, s",
        "predicting, ms a site",
    ]
    rows = []
    for method, runs in result.items():
        rows.append([
            method,
            with_spread(column(runs, "error_percent_mean")),
            *(with_spread([run["figures"].get(name) for run in runs], 1, 100) for name in INTERVALS["intervals"]),
            with_spread(column(runs, "sharpness_1sigma"), 4),
            with_spread(column(runs, "crps"), 4),
            with_spread(column(runs, "spearman_sigma_error")),
            *_times(runs),
        ])  # fmt: skip
    raw = [
        [
            method,
            *(with_spread(column(runs, f"raw_coverage_{k}sigma"), 1, 100) for k in (1, 2, 3)),
            *(
                with_spread(column(runs, f"conformal_{level}"), 1, 100) if _are_there(runs, level) else "–"
                for level in ("0.6827", "0.9", "0.9545", "0.9973")
            ),
        ]
        for method, runs in result.items()
    ]
    return [
        paragraph(
            f"""The methods of `train --method` on the same {N_FOLDS} folds, with defaults otherwise. `dropout` makes
            100 draws from its members; with `ensemble` and `bootstrap` each member gives one. The table shows how many
            points lie within the intervals of 68.27, 95.45 and 99.73 %. All values are means
            ± standard deviations over folds. ρ is Spearman's rank correlation of a spectrum's mean σ with its error.
            The prediction time includes reading the feature store and writing the prediction store."""
        ),
        "",
        *table(head, rows),
        "",
        "Coverage with σ before calibration (raw), and coverage of the conformal intervals:",
        "",
        *table(["", "raw 1σ, %", "raw 2σ, %", "raw 3σ, %", "conformal 68.27 %", "90 %", "95.45 %", "99.73 %"], raw),
    ]


def _are_there(runs: list[dict[str, Any]], level: str) -> bool:
    return all(f"conformal_{level}" in run["figures"] for run in runs)


def _times(runs: list[dict[str, Any]]) -> list[str]:
    seconds = spread([run["seconds"] for run in runs])[0]
    per_site = float(np.median(known([run["per_site"] for run in runs])))
    return [number(seconds), number(1e3 * per_site)]
