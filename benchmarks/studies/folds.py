"""Five folds grouped by formula, several seeds, default settings: the accuracy a user gets, and the time it takes."""

import argparse
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tables import number, paragraph, table

from studies.figures import column, counted, known, spread
from studies.inputs import Inputs, describe
from studies.sitting import Outcome, Run, Sitting
from xanes_hpc.stores.structures import StructureStore

TITLE = "Folds"
N_FOLDS = 5
ROWS = {
    "error %, mean over spectra": ("error_percent_mean", 1, 2),
    "error %, median": ("error_percent_median", 1, 2),
    "peaks: recall": ("peaks_recall", 1, 3),
    "peaks: precision": ("peaks_precision", 1, 3),
    "peaks: F1": ("peaks_f1", 1, 3),
    "peaks: mean \\|ΔE\\|, eV": ("delta_energy_ev", 1, 3),
    "points within 1σ, % (68.27)": ("coverage_1sigma", 100, 2),
    "points within 2σ, % (95.45)": ("coverage_2sigma", 100, 2),
    "points within 3σ, % (99.73)": ("coverage_3sigma", 100, 2),
    "predicted interval, % (68.27)": ("interval_0.6827", 100, 2),
    "predicted interval, % (90)": ("interval_0.9", 100, 2),
    "predicted interval, % (95.45)": ("interval_0.9545", 100, 2),
    "predicted interval, % (99.73)": ("interval_0.9973", 100, 2),
    "conformal interval, % (68.27)": ("conformal_0.6827", 100, 2),
    "conformal interval, % (90)": ("conformal_0.9", 100, 2),
    "conformal interval, % (95.45)": ("conformal_0.9545", 100, 2),
    "conformal interval, % (99.73)": ("conformal_0.9973", 100, 2),
    "CRPS": ("crps", 1, 4),
    "sharpness: mean width of ±1σ": ("sharpness_1sigma", 1, 4),
    "Spearman's ρ of σ and error": ("spearman_sigma_error", 1, 3),
}
"""Rows of the table: figure, factor and digits by label."""
COVERED, NOMINAL = ("interval_0.6827", "interval_0.9545", "interval_0.9973"), (68.27, 95.45, 99.73)
GOALS = (
    ("mean error at most {} %", "error_percent_mean", 2, " %", 1),
    ("F1 of peaks at least {}", "peaks_f1", 3, "", -1),
    ("mean peak shift at most {} eV", "delta_energy_ev", 2, " eV", 1),
    ("CRPS at most {}", "crps", 4, "", 1),
    ("Spearman's ρ of σ and error at least {}", "spearman_sigma_error", 2, "", -1),
)
"""Goals: in words, figure, digits, unit, and sign (-1 if more is better)."""
LIMITS = (3.85, 0.86, 0.49, 0.0106, 0.75)


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0, 1, 2], help="repeat with these seeds of split and networks [0 1 2]"
    )


def run_of(fold: int, seed: int, flags: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the configuration of one fold, by dotted key."""
    return {"split.folds": N_FOLDS, "split.fold": fold, "training.seed": seed, **(flags or {})}


def outcomes(sitting: Sitting, inputs: Inputs, seeds: Sequence[int]) -> list[tuple[int, int, Outcome]]:
    """Train all folds of all seeds with default settings; return seed, fold and outcome of each."""
    features = inputs.features(inputs.structures)
    return [
        (seed, fold, sitting.run(Run((features,), run_of(fold, seed)), f"default, seed {seed}, fold {fold}"))
        for seed in seeds
        for fold in range(N_FOLDS)
    ]


def measure(sitting: Sitting, inputs: Inputs, given: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    runs = [
        {"seed": seed, "fold": fold, "seconds": o.values["seconds"], "figures": o.figures}
        for seed, fold, o in outcomes(sitting, inputs, given.seeds)
    ]
    return describe([inputs.features(inputs.structures)]), {"runs": runs, "wall": _wall(sitting, inputs)}


def _wall(sitting: Sitting, inputs: Inputs) -> dict[str, float]:
    """Time ``featurise`` and ``train`` as commands with default settings, in their own folder."""
    with StructureStore(inputs.structures) as store:
        key = f"wall-{store.attribute('digest_structures')[:8]}-{sitting.epochs or 'default'}"

    def measured() -> dict[str, float]:
        folder = inputs.folder / "wall"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        program = [sys.executable, "-m", "xanes_hpc"]
        few = [] if sitting.epochs is None else ["--epochs", str(sitting.epochs)]
        featurising = [*program, "featurise", str(inputs.structures.resolve()), "-o", "timed.features.h5"]
        found = {
            "featurise": _seconds(featurising, folder),
            "train": _seconds([*program, "train", "timed.features.h5", *few], folder),
        }
        shutil.rmtree(folder)
        return found

    found = sitting.kept(key, "featurise and train as commands", measured)
    return {name: found[name] for name in ("featurise", "train")}


def _seconds(command: Sequence[str], folder: Path) -> float:
    begin = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
    return time.perf_counter() - begin


def goals(result: Mapping[str, Any]) -> list[tuple[str, str, bool]]:
    """Return each goal, the measured figure, and whether it is reached."""
    seconds = result["wall"]["train"]
    return [
        *goals_of(result["runs"], "folds", LIMITS),
        ("`xanes-hpc train` with default settings: at most 150 s", f"{seconds:.0f} s", seconds <= 150.0),
    ]


def goals_of(runs: Sequence[Mapping[str, Any]], name: str, limits: Sequence[float]) -> list[tuple[str, str, bool]]:
    """Return the goals of folds: the limits of ``GOALS``, and intervals that cover within a point."""
    found = []
    for (goal, figure, digits, unit, sign), limit in zip(GOALS, limits, strict=True):
        mean = spread(column(runs, figure))[0]
        found.append((f"{name}: {goal.format(limit)}", f"{mean:.{digits}f}{unit}", sign * mean <= sign * limit))
    covered = [100.0 * spread(column(runs, figure))[0] for figure in COVERED]
    within = all(abs(share - nominal) <= 1.0 for share, nominal in zip(covered, NOMINAL, strict=True))
    goal = f"{name}: intervals cover 68.27, 95.45 and 99.73 %, each within 1 point"
    return [*found, (goal, ", ".join(f"{share:.2f}" for share in covered) + " %", within)]


def section(result: Mapping[str, Any]) -> list[str]:
    runs, wall = result["runs"], result["wall"]
    n_seeds = len({run["seed"] for run in runs})
    return [
        paragraph(
            f"""`xanes-hpc train --folds {N_FOLDS}` with default settings. Sites are divided into {N_FOLDS} folds by
            formula. Each site is predicted once, by a model that has seen neither this site nor another with its
            formula. The table gives the mean over all folds of {counted(n_seeds, "seed")}; a seed sets both the
            folds and the networks. The standard deviations are over the folds of one seed and over the means of the
            seeds. Nominal values are in brackets."""
        ),
        "",
        *table_of(runs),
        "",
        paragraph(
            f"""As a command with default settings, `xanes-hpc featurise` takes {number(wall["featurise"])} s and
            `xanes-hpc train` {number(wall["train"])} s, from the start of the process to its end. Training one fold
            takes {number(float(np.median([run["seconds"] for run in runs])))} s (median)."""
        ),
    ]


def table_of(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the table of figures, with the spread over folds, and over seeds if there are several."""
    seeds = sorted({run["seed"] for run in runs})
    of_seed = [[run for run in runs if run["seed"] == seed] for seed in seeds]
    rows = []
    for label, (name, scale, digits) in ROWS.items():
        if not known(column(runs, name)).size:
            continue
        stds = [spread(column(own, name))[1] for own in of_seed]
        within = scale * float(np.sqrt(np.mean(np.square(stds))))
        between = scale * spread([spread(column(own, name))[0] for own in of_seed])[1]
        mean = scale * spread(column(runs, name))[0]
        rows.append([label, *("–" if np.isnan(v) else f"{v:.{digits}f}" for v in (mean, within, between))])
    return table(["", "mean", "± folds", "± seeds"], rows)
