"""One conditioned model for several elements, compared with separate models."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tables import paragraph, table

from studies.figures import counted, errors, mean_error, spread, with_spread
from studies.inputs import Inputs, describe
from studies.sitting import Run, Sitting

TITLE = "Several elements in one model"
JOINT = {"model.name": "conditioned", "split.test": 0.2}
ALONE: dict[str, dict[str, Any]] = {
    "Fe": {"split.test": 0.2},
    "Co": {"split.test": 0.2, "split.validation": 0.1, "split.calibration": 0.0},
    "V": {"split.test": 0.2, "split.group": "none"},
}
"""The V set has no formulas to group by, and the Co set few sites."""


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0, 1, 2], help="repeat with these seeds of split and networks [0 1 2]"
    )


def stores(inputs: Inputs) -> dict[str, dict[str, Path]]:
    """Return each element's feature store, by descriptor. Fe sites that correspond to a Co site are left out."""
    iron = inputs.without_twins(inputs.cobalt)
    return {
        "default": {"Fe": inputs.features(iron), "Co": inputs.features(inputs.cobalt)},
        "xanesnet-2022": {"Fe": inputs.features(iron, "xanesnet-2022"), "V": inputs.vanadium},
    }


def measure(sitting: Sitting, inputs: Inputs, given: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    rows, data = [], []
    for descriptor, paths in stores(inputs).items():
        data.append(f"{describe(list(paths.values()))} with `{descriptor}`")
        for seed in given.seeds:
            flags = {"training.seed": seed}
            both = sitting.run(Run(tuple(paths.values()), JOINT | flags), f"{', '.join(paths)}, seed {seed}")
            for (element, path), predictions in zip(paths.items(), both.predictions, strict=True):
                alone = sitting.run(Run((path,), ALONE[element] | flags), f"{element} alone, {descriptor}, seed {seed}")
                joint, own = errors(predictions), errors(alone.predictions[0])
                common = joint.keys() & own.keys()
                rows.append({
                    "descriptor": descriptor,
                    "element": element,
                    "seed": seed,
                    "measured": len(common),
                    "joint": mean_error(joint, common),
                    "alone": mean_error(own, common),
                })  # fmt: skip
    return "; ".join(data), {"rows": rows}


def section(result: Mapping[str, Any]) -> list[str]:
    rows = []
    for descriptor, element in dict.fromkeys((r["descriptor"], r["element"]) for r in result["rows"]):
        own = [r for r in result["rows"] if (r["descriptor"], r["element"]) == (descriptor, element)]
        rows.append([
            f"`{descriptor}`",
            element,
            f"{spread([r['measured'] for r in own])[0]:,.0f}",
            with_spread([r["alone"] for r in own]),
            with_spread([r["joint"] for r in own]),
            with_spread([r["joint"] - r["alone"] for r in own]),
        ])  # fmt: skip
    n_seeds = len({r["seed"] for r in result["rows"]})
    return [
        paragraph(
            f"""One model for two elements (`--model conditioned`, trained on both feature stores), compared with a
            separate default model for each element. Errors in % are measured on the sites that are in the test sets of
            both, as mean ± standard deviation over {counted(n_seeds, "seed")}. The Co complexes are complexes of the Fe
            set with Co in place of Fe. These Fe complexes, and others with their formulas, are left out of the Fe set
            here. For the separate model of Co, a tenth of the sites are the validation set, and none are set aside for
            calibration. The V set has no formulas, so its training and test sets may share near-duplicates, in both
            kinds of model."""
        ),
        "",
        *table(["descriptor", "element", "test sites", "separate models", "one model", "difference"], rows),
    ]
