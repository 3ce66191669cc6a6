"""Networks on graphs on the same folds as the default model."""

import argparse
from collections.abc import Mapping
from typing import Any

import numpy as np
from tables import number, paragraph

from studies.figures import column, counted, with_spread
from studies.folds import N_FOLDS, goals_of, run_of, table_of
from studies.inputs import Inputs, describe
from studies.sitting import Run, Sitting

TITLE = "Networks on graphs"
GRAPH = {"model.name": "graph"}
LIMITS = (3.7, 0.868, 0.48, 0.0102, 0.75)


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0], help="repeat with these seeds of split and networks [0]"
    )


def measure(sitting: Sitting, inputs: Inputs, given: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    plain, graphs = inputs.features(inputs.structures), inputs.features(inputs.structures, graph=True)
    runs = []
    for seed in given.seeds:
        for fold in range(N_FOLDS):
            own, other = run_of(fold, seed, GRAPH), run_of(fold, seed)
            found = sitting.run(Run((graphs,), own), f"graph network, seed {seed}, fold {fold}")
            default = sitting.run(Run((plain,), other), f"default, seed {seed}, fold {fold}")
            runs.append({
                "seed": seed, "fold": fold, "seconds": found.values["seconds"],
                "network": found.values["validation_error"], "default": default.figures["error_percent_mean"],
                "ms_a_site": 1e3 * found.values["predicting"][0] / found.values["figures"][0]["n_sites"],
                "figures": found.figures,
            })  # fmt: skip
    return describe([graphs]), {"runs": runs}


def goals(result: Mapping[str, Any]) -> list[tuple[str, str, bool]]:
    """Return each goal, the measured figure, and whether it is reached."""
    return goals_of(result["runs"], "graphs", LIMITS)


def section(result: Mapping[str, Any]) -> list[str]:
    runs = result["runs"]
    change = [a - b["default"] for a, b in zip(column(runs, "error_percent_mean"), runs, strict=True)]
    n_seeds = len({run["seed"] for run in runs})
    return [
        paragraph(
            f"""`xanes-hpc train --model graph` on the folds of {counted(n_seeds, "seed")}, with default settings
            otherwise: the mean of the network and the Gaussian process. The error changes by {with_spread(change)}
            percentage points from the default model's. Training one fold takes
            {number(float(np.median([run["seconds"] for run in runs])) / 60)} min, and a prediction
            {number(float(np.median([run["ms_a_site"] for run in runs])))} ms a site (medians)."""
        ),
        "",
        *table_of(runs),
    ]
