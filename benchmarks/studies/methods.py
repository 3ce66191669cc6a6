"""Where the uncertainty comes from: dropout, ensemble and bootstrap side by side on the same folds."""

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
    "1, 2 and 3 σ": ("coverage_1sigma", "coverage_2sigma", "coverage_3sigma"),
    "conformal intervals": ("conformal_0.6827", "conformal_0.9545", "conformal_0.9973"),
}
WITHIN = 2.0
"""Points of what they should cover."""


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of split and networks (default 0)")


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
    """What was aimed at, what was measured, whether that is reached."""
    found = []
    for method, runs in result.items():
        for what, names in INTERVALS.items():
            if not all(name in run["figures"] for name in names for run in runs):
                continue
            shares = [100.0 * spread(column(runs, name))[0] for name in names]
            reached = all(abs(share - nominal) <= WITHIN for share, nominal in zip(shares, NOMINAL, strict=True))
            aim = f"{method}: {what} cover 68.3, 95.4 and 99.7 % within {WITHIN:g} points"
            found.append((aim, ", ".join(f"{share:.1f}" for share in shares) + " %", reached))
    return found


def section(result: Mapping[str, Any]) -> list[str]:
    head = ["", "error %", "1σ, %", "2σ, %", "3σ, %", "±1σ wide", "CRPS", "ρ", "training, s", "predicting, ms a site"]
    rows = []
    for method, runs in result.items():
        rows.append([
            method,
            with_spread(column(runs, "error_percent_mean")),
            *(with_spread(column(runs, f"coverage_{k}sigma"), 1, 100) for k in (1, 2, 3)),
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
            f"""`--method` on the same {N_FOLDS} folds, everything else as by default: `dropout` draws 100 times from
            its members, of `ensemble` and `bootstrap` each member is a draw. Share of points within one, two and three
            calibrated σ (nominally 68.27, 95.45 and 99.73 %), mean ± standard deviation over folds; ρ is
            Spearman's, of a spectrum's mean σ and its error. Prediction: from feature store to prediction store."""
        ),
        "",
        *table(head, rows),
        "",
        "The same shares with the spread before calibration as σ, and those of conformal intervals:",
        "",
        *table(["", "1σ raw, %", "2σ raw, %", "3σ raw, %", "68.27 %", "90 %", "95.45 %", "99.73 %"], raw),
    ]


def _are_there(runs: list[dict[str, Any]], level: str) -> bool:
    return all(f"conformal_{level}" in run["figures"] for run in runs)


def _times(runs: list[dict[str, Any]]) -> list[str]:
    seconds = spread([run["seconds"] for run in runs])[0]
    per_site = float(np.median(known([run["per_site"] for run in runs])))
    return [number(seconds), number(1e3 * per_site)]
