"""What more sites would bring: training on a part of them, measured on the same sites."""

import argparse
from collections.abc import Mapping
from typing import Any

import numpy as np
from tables import paragraph, table

from studies.figures import counted, errors, mean_error, spread, with_spread
from studies.inputs import Inputs, describe
from studies.sitting import Run, Sitting
from xanes_hpc.config.sections import TrainingConfig
from xanes_hpc.models.training_sites import PARTS

TITLE = "Learning curve"
TEST = 0.2
"""Of all sites; the same for every size, drawn anew for every seed."""
OTHERS = 1.0 - TEST
FRACTIONS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.0)
"""Of the other sites: they are dealt out to the model's parts, the rest goes to the test part of the split too."""
OF_OWN = 0.05
"""For validation and for calibration, of the sites that a model is made with: as by default."""
AS_LONG, DEFAULT = "as many steps", "default"


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of split and networks (default 0 1 2)")


def flags_of(fraction: float, seed: int, epochs: int) -> dict[str, Any]:
    """A split in which sites are dealt to the test part first, so that larger ones contain smaller ones."""
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
                    raise AssertionError("test sites of the largest part are not among those of a smaller one")
                points.append({
                    "fraction": fraction,
                    "schedule": schedule,
                    "seed": seed,
                    "trained": sum(outcome.values["parts"][name] for name in PARTS[:2]),
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
            f"""{100 * TEST:.0f} % of the sites, {n_measured:,.0f}, whole formulas, are set aside to measure on; of the
            others a part is taken, whole formulas too, smaller parts out of larger ones, and a model made with it as a
            user would (5 % of it for validation, 5 % for calibration, the rest for training; once the number of epochs
            is chosen, networks are trained on the validation part too). Mean ± standard deviation over
            {counted(n_seeds, "seed")}, each with a test part of its own. "As many steps": more epochs the fewer the
            sites, so that all networks learn equally long; the default's {result["epochs"]} epochs are few steps
            for few sites."""
        ),
        "",
        *table(["of the others", "trained on", "error %, as many steps", "median", "error %, default's epochs"], rows),
    ]
