"""Error against the number of training sites, always measured on the same test sites."""

import argparse
from collections.abc import Mapping
from typing import Any

import numpy as np
from tables import paragraph, table

from studies.figures import counted, errors, mean_error, spread, with_spread
from studies.inputs import Inputs, describe
from studies.sitting import Run, Sitting
from xanes_hpc.config.sections import TrainingConfig
from xanes_hpc.models.training_sites import SETS

TITLE = "Learning curve"
TEST = 0.2
"""Fraction of all sites for testing: the same sites for every size, others for every seed."""
OTHERS = 1.0 - TEST
FRACTIONS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.0)
"""Fractions of the other sites that a model is made with. The rest join the test set of the split."""
OF_OWN = 0.05
"""Fraction of a model's own sites for validation, and for calibration; the default."""
AS_LONG, DEFAULT = "as many steps", "default"


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0, 1, 2], help="repeat with these seeds of split and networks [0 1 2]"
    )


def flags_of(fraction: float, seed: int, epochs: int) -> dict[str, Any]:
    """Return the configuration of one size. The test set fills first, so larger training sets contain smaller ones."""
    own = fraction * OTHERS
    return {
        "split.test": 1.0 - own,
        "split.validation": OF_OWN * own,
        "split.calibration": OF_OWN * own,
        "training.epochs": epochs,
        "training.seed": seed,
    }


def measure(sitting: Sitting, inputs: Inputs, given: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    features = inputs.features(inputs.structures)
    default = TrainingConfig().epochs
    points = []
    for seed in given.seeds:
        common: set[str] = set()
        for fraction in reversed(FRACTIONS):
            for schedule, epochs in ((AS_LONG, round(default / fraction)), (DEFAULT, default)):
                run = Run((features,), flags_of(fraction, seed, epochs))
                outcome = sitting.run(run, f"{fraction:.0%} of the sites, {schedule}, seed {seed}")
                found = errors(outcome.predictions[0])
                common = common or set(found)
                if not common <= set(found):
                    raise AssertionError(
                        "test sites of the largest training set are missing from those of a smaller one"
                    )
                points.append({
                    "fraction": fraction,
                    "schedule": schedule,
                    "seed": seed,
                    "trained": sum(outcome.values["parts"][name] for name in SETS[:2]),
                    "measured": len(common),
                    "error_percent_mean": mean_error(found, common),
                    "error_percent_median": float(np.median([found[name] for name in common])),
                })  # fmt: skip
    return describe([features]), {"epochs": default, "points": points}


def section(result: Mapping[str, Any]) -> list[str]:
    rows = []
    for fraction in FRACTIONS:
        own = [p for p in result["points"] if p["fraction"] == fraction]
        long, short = ([p for p in own if p["schedule"] == schedule] for schedule in (AS_LONG, DEFAULT))
        rows.append([
            f"{100 * fraction:.0f} %",
            f"{spread([p['trained'] for p in own])[0]:,.0f}",
            with_spread([p["error_percent_mean"] for p in long]),
            with_spread([p["error_percent_median"] for p in long]),
            with_spread([p["error_percent_mean"] for p in short]),
        ])  # fmt: skip
    n_measured = spread([p["measured"] for p in result["points"]])[0]
    n_seeds = len({p["seed"] for p in result["points"]})
    return [
        paragraph(
            f"""{100 * TEST:.0f} % of the sites ({n_measured:,.0f}, in whole formulas) are set aside for testing. A
            model is then made with a fraction of the others, again in whole formulas; larger fractions contain the
            smaller ones. As in normal use, 5 % of its sites are for validation, 5 % for calibration and the rest for
            training. Once the number of epochs is chosen, the networks are retrained on the training and validation
            sets together. Errors are means ± standard deviations over {counted(n_seeds, "seed")}, each with its own
            test set. In the columns "same steps", models with fewer sites train for more epochs, so all networks take
            equally many steps. The default's {result["epochs"]} epochs are few steps if there are few sites."""
        ),
        "",
        *table(
            ["fraction", "training sites", "error %, same steps", "median, same steps", "error %, default epochs"], rows
        ),
    ]
