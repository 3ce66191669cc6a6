"""Models that differ from the default in one setting."""

import argparse
from collections.abc import Mapping
from typing import Any

from tables import number, paragraph, table

from studies.figures import column, spread, with_spread
from studies.folds import N_FOLDS, run_of
from studies.inputs import Inputs, describe
from studies.sitting import Run, Sitting
from xanes_hpc.errors import XanesHpcError

TITLE = "One change at a time"
DEFAULT = "default"
RATTLE = "rattle"
"""Not a configuration key: the standard deviation of random displacements of the atoms, Å."""
CHANGES: dict[str, dict[str, Any]] = {
    DEFAULT: {},
    "networks alone": {"training.gaussian_process": False},
    "plain spectra alone": {"target.aligned": False},
    "`mlp` network": {"model.name": "mlp"},
    "`convolutional` network": {"model.name": "convolutional"},
    "width 512": {"model.width": 512},
    "1 block": {"model.blocks": 1},
    "no dropout": {"model.dropout": 0.0},
    "MSE loss": {"training.loss": "mse"},
    "30 epochs": {"training.epochs": 30},
    "120 epochs": {"training.epochs": 120},
    "3 members": {"uncertainty.members": 3},
    "retrained with the validation set": {"training.refit": True},
    "features untransformed": {"training.feature_transform": "none"},
    "each energy scaled by its own spread": {"training.target_scale": "energy"},
    "rattled by 0.01 Å as well": {RATTLE: 0.01},
}


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=0, help="set the seed of split and networks [0]")
    parser.add_argument(
        "--on-folds", type=int, nargs="+", default=[0], metavar="FOLD", help="use these of the five folds [0]"
    )
    parser.add_argument(
        "--only", nargs="+", choices=CHANGES, metavar="CHANGE", help="train only these, and the default"
    )


def measure(sitting: Sitting, inputs: Inputs, given: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    structures = inputs.structures
    features = inputs.features(structures)
    found: dict[str, Any] = {}
    for name in CHANGES if given.only is None else [DEFAULT, *(n for n in given.only if n != DEFAULT)]:
        change = dict(CHANGES[name])
        rattle = change.pop(RATTLE, None)
        rattled = () if rattle is None else (inputs.features(structures, rattle=rattle),)
        runs = {fold: Run((features,), run_of(fold, given.seed, change), rattled) for fold in given.on_folds}
        try:
            outcomes = {fold: sitting.run(run, f"{name}, fold {fold}") for fold, run in runs.items()}
        except XanesHpcError as error:  # a run that fails, such as one that diverges, does not stop the others
            if name == DEFAULT:
                raise
            found[name] = str(error).replace(f"{given.folder}/", "")
        else:
            found[name] = [
                {"fold": fold, "seconds": o.values["seconds"], "figures": o.figures} for fold, o in outcomes.items()
            ]
    return describe([features]), found


def section(result: Mapping[str, Any]) -> list[str]:
    default = column(result[DEFAULT], "error_percent_mean")
    rows = []
    for name, runs in result.items():
        if isinstance(runs, str):
            rows.append([name, "failed", *[""] * 5])
            continue
        own = column(runs, "error_percent_mean")
        change = [(a or 0.0) - (b or 0.0) for a, b in zip(own, default, strict=True)]
        rows.append([
            f"**{name}**" if name == DEFAULT else name,
            with_spread(own),
            "" if name == DEFAULT else f"{spread(change)[0]:+.2f}",
            with_spread(column(runs, "error_percent_median")),
            with_spread(column(runs, "peaks_f1"), 3),
            with_spread(column(runs, "crps"), 4),
            number(spread([run["seconds"] for run in runs])[0]),
        ])  # fmt: skip
    folds = [str(run["fold"]) for run in result[DEFAULT]]
    which = f"fold {folds[0]}" if len(folds) == 1 else f"folds {', '.join(folds)}"
    failed = {name: runs for name, runs in result.items() if isinstance(runs, str)}
    return [
        paragraph(
            f"""Models that differ from the default in one setting, on {which} of {N_FOLDS} with one seed. "Folds" above
            shows how much runs differ by chance. Each training was timed once, whatever else ran on the machine, so the
            seconds are rough; for the default, see the median under "Folds". The configuration keys are in
            `benchmarks/studies/ablations.py`."""
        ),
        "",
        *table(["", "error %, mean", "change", "median", "F1", "CRPS", "s"], rows),
        *[line for name, why in failed.items() for line in ("", paragraph(f"{name} failed: {why}"))],
    ]
