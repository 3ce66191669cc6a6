"""Descriptors compared: number of features, cost, and accuracy of a model."""

import argparse
import time
from collections.abc import Mapping
from typing import Any

from tables import number, paragraph, table

from studies.figures import column, with_spread
from studies.folds import N_FOLDS, run_of
from studies.inputs import Inputs, describe
from studies.sitting import Run, Sitting
from xanes_hpc import descriptors
from xanes_hpc.descriptors._presets import ELEMENT_CHANNELS
from xanes_hpc.runtime import threads
from xanes_hpc.stores.structures import StructureStore

TITLE = "Descriptors"
MOST_TIMED = 2000
"""Largest number of sites that are timed."""
ANGULAR = {"style": "centred", "n": 8, "r_min": 0.0, "r_max": 6.0, "lambda": [1, -1], "zeta": [1, 2, 4, 8]}
RADIAL = {"style": "shifted", "n": 32, "r_min": 0.3, "r_max": 6.2}
ELEMENTS = {"elements": list(ELEMENT_CHANNELS), "g2": RADIAL}


def _weighted(*weighting: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": "wacsf", "cutoff": 6.0, "dtype": "float32", "weighting": list(weighting)}


DEFAULT = descriptors.load("wacsf", "default").describe()


def _without(*kinds: str) -> dict[str, Any]:
    """Return the default without some kinds of functions."""
    kept = [{key: value for key, value in w.items() if key not in kinds} for w in DEFAULT["weighting"]]
    return DEFAULT | {"weighting": [w for w in kept if {"g2", "g4", "paths", "power"} & set(w)]}


CANDIDATES: dict[str, dict[str, Any]] = {
    "`default`": DEFAULT,
    "`default` without power spectra": _without("power"),
    "`default` without G4": _without("g4"),
    "`default` without paths": _without("paths"),
    "`default` without paths and G4": _without("paths", "g4"),
    "paths of `default`": DEFAULT | {"weighting": [w for w in DEFAULT["weighting"] if "paths" in w]},
    "`xanesnet-2022`": descriptors.load("wacsf", "xanesnet-2022").describe(),
    "`xanesnet-49`": descriptors.load("wacsf", "xanesnet-49").describe(),
    "`rdc`": descriptors.load("rdc").describe(),
    "w = Z: 32 G2, 64 G4": _weighted({"weights": "Z", "g2": RADIAL, "g4": ANGULAR}),
    "elements: 32 G2": _weighted(ELEMENTS),
    "elements: 32 G2; w = Z: 32 G2, 64 G4": _weighted({"weights": "Z", "g2": RADIAL, "g4": ANGULAR}, ELEMENTS),
}


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=0, help="set the seed of split and networks [0]")
    parser.add_argument(
        "--on-folds", type=int, nargs="+", default=[0], metavar="FOLD", help="use these of the five folds [0]"
    )


def measure(sitting: Sitting, inputs: Inputs, given: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    structures = inputs.structures
    found: dict[str, Any] = {}
    for name, description in CANDIDATES.items():
        features = inputs.features(structures, description)
        outcomes = [
            sitting.run(Run((features,), run_of(fold, given.seed)), f"{name}, fold {fold}") for fold in given.on_folds
        ]
        descriptor = descriptors.from_description(description)
        cost = sitting.kept(f"cost-{descriptor.hash[:16]}", f"cost of {name}", lambda d=descriptor: _cost(inputs, d))
        found[name] = {
            "n_features": descriptor.n_features,
            "dtype": description.get("dtype", "float64"),
            "microseconds": cost["microseconds"],
            "runs": [{"figures": outcome.figures, "seconds": outcome.values["seconds"]} for outcome in outcomes],
        }
    return describe([inputs.features(structures)]), found


def _cost(inputs: Inputs, descriptor: descriptors.Descriptor) -> dict[str, float]:
    """Measure microseconds a site on one thread, the best of three."""
    times = []
    with StructureStore(inputs.structures) as source, threads.limited_to(1):
        batch = source.batch(0, min(MOST_TIMED, source.n_sites))
        for _ in range(4):  # the first one compiles
            begin = time.perf_counter()
            descriptor.compute(batch)
            times.append(time.perf_counter() - begin)
    return {"microseconds": 1e6 * min(times[1:]) / batch.n_sites}


def section(result: Mapping[str, Any]) -> list[str]:
    rows = [
        [
            name,
            f"{entry['n_features']:,}",
            entry["dtype"],
            number(entry["microseconds"]),
            with_spread(column(entry["runs"], "error_percent_mean")),
            with_spread(column(entry["runs"], "error_percent_median")),
            with_spread(column(entry["runs"], "peaks_f1"), 3),
        ]
        for name, entry in result.items()
    ]
    return [
        paragraph(
            f"""Models with default settings on different [features](descriptors.md), on one of the {N_FOLDS} folds with
            one seed. "Folds" above shows how much runs differ by chance. The cost is measured on one thread, the best
            of three, and includes the neighbour search."""
        ),
        "",
        *table(["functions", "features", "type", "µs a site", "error %, mean", "median", "F1"], rows),
    ]
