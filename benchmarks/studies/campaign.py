"""A simulated campaign: sites are added to a small set, chosen by the model's uncertainty or by chance."""

import argparse
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tables import paragraph, table

from studies.figures import counted, spread, with_spread
from studies.inputs import Inputs, describe
from studies.sitting import Sitting
from xanes_hpc.analysis.evaluate import error_percent
from xanes_hpc.config.files import load_run
from xanes_hpc.data.datasets import TrainingData
from xanes_hpc.data.gather import gather
from xanes_hpc.models.model import Model
from xanes_hpc.models.training_sites import LEFT_OUT, SETS
from xanes_hpc.prediction.select import judged, pick
from xanes_hpc.prediction.site_features import features_of
from xanes_hpc.runtime.interruption import Interruption
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.training import tensorflow_setup
from xanes_hpc.training.check import Prepared, resolved
from xanes_hpc.training.inputs import open_spectra
from xanes_hpc.training.plan import digests_of
from xanes_hpc.training.processes import Alone
from xanes_hpc.training.record import write_model
from xanes_hpc.training.stages import Observer, Training

TITLE = "Growing by selection"
STRATEGIES = ("chance", "both", "uncertainty", "diversity")
SIZES = (500, 750, 1000, 1250, 1500, 1750, 2000)
TEST = 0.2
"""Fraction of all sites, in whole formulas, that are tested on and never chosen."""
OF_OWN = 0.05
"""Fraction of the chosen sites for validation, and for calibration."""
HARD = 0.1
"""Fraction of test sites with the largest errors of the first model."""
FLAGS: dict[str, Any] = {"uncertainty.members": 1}


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=list(range(5)), help="repeat the campaign with these seeds [0 to 4]"
    )
    parser.add_argument(
        "--strategies", nargs="+", choices=STRATEGIES, default=list(STRATEGIES), help="compare these [all]"
    )


def measure(sitting: Sitting, inputs: Inputs, given: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    path = inputs.features(inputs.structures)
    sizes = SIZES if sitting.epochs is None else tuple(size // 25 for size in SIZES[:3])
    runs = []
    for seed in given.seeds:
        for strategy in given.strategies:
            key = f"campaign-{path.stem}-{strategy}-{seed}-{sitting.epochs or 'default'}"
            found = sitting.kept(
                key, f"{strategy}, seed {seed}", lambda s=strategy, k=seed: _grown(path, s, k, sizes, sitting.epochs)
            )
            runs.append({"strategy": strategy, "seed": seed, "rows": found["rows"]})
    return describe([path]), {"runs": runs}


def _grown(path: Path, strategy: str, seed: int, sizes: tuple[int, ...], epochs: int | None) -> dict[str, Any]:
    """Measure errors on the test sites as sites are added."""
    flags = FLAGS | {"split.test": TEST, "training.seed": seed} | ({"training.epochs": epochs} if epochs else {})
    with FeatureStore(path) as features:
        pairs = open_spectra([features], [])
        run = resolved(load_run(None, Path(), flags), features.n_features)
        with closing(pairs[0][1].file), closing(gather(run, pairs)) as data:
            test = np.flatnonzero(data.sets == SETS.index("test"))
            rng = np.random.default_rng(seed)
            pool = rng.permutation(np.flatnonzero((data.sets != SETS.index("test")) & (data.sets != LEFT_OUT)))
            chosen, rows, hard = pool[: sizes[0]], [], np.empty(0, np.int64)
            for k, size in enumerate(sizes):
                with tempfile.TemporaryDirectory() as folder, tensorflow_setup.networks_forgotten():
                    model = _trained(run, replace(data, parts=_parts(data, chosen, seed)), pairs, Path(folder) / "m")
                    errors = _errors(model, features, data, test)
                    if not k:
                        hard = np.argsort(-errors)[: max(1, round(HARD * errors.size))]
                    rows.append({
                        "sites": int(chosen.size), "error": float(errors.mean()), "median": float(np.median(errors)),
                        "hard": float(errors[hard].mean()),
                    })  # fmt: skip
                    if k + 1 < len(sizes):
                        free = np.sort(np.setdiff1d(pool, chosen))
                        chosen = np.concatenate(
                            [chosen, _picked(model, features, free, sizes[k + 1] - size, strategy, seed)]
                        )
    return {"rows": rows}


def _parts(data: TrainingData, chosen: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.uint8]:
    """Divide the chosen sites among training, validation and calibration sets; leave out all others."""
    parts = np.full(len(data.sets), LEFT_OUT, np.uint8)
    order = np.random.default_rng([seed, chosen.size]).permutation(chosen)
    n = max(2, round(OF_OWN * chosen.size))
    for name, some in (("validation", order[:n]), ("calibration", order[n : 2 * n]), ("train", order[2 * n :])):
        parts[some] = SETS.index(name)
    return parts


def _trained(run: Any, data: TrainingData, pairs: Any, folder: Path) -> Model:
    with Interruption() as interruption:
        prepared = Prepared(run, [], Alone())
        training = Training(prepared, data, {}, folder.with_suffix(".checkpoint"), interruption, Observer())
        work = folder.with_suffix(".partial")
        work.mkdir()
        write_model(work, folder, training.go_through(), run, data, digests_of(pairs), {})
    shutil.move(work, folder)
    return Model.open(folder)


def _errors(
    model: Model, features: FeatureStore, data: TrainingData, rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    x, sites = features_of(model, features).read(rows), features.sites.take(rows)
    drawn, _ = model.sample(x, model.absorbers(sites.element, sites.edge), 30, 0)
    targets = data.first.targets.read(0, features.n_sites)[rows]
    return error_percent(targets, drawn.mean)


def _picked(
    model: Model, features: FeatureStore, free: npt.NDArray[np.int64], n: int, strategy: str, seed: int
) -> npt.NDArray[np.int64]:
    known, read = judged(model, features, free, seed), features_of(model, features).read
    order = pick(known, n, strategy, seed + free.size, lambda some: model.members[0].scalers.features(read(some)))
    return known.rows[[place for place, _ in order]]


def section(result: Mapping[str, Any]) -> list[str]:
    runs = result["runs"]
    strategies, seeds = list(dict.fromkeys(r["strategy"] for r in runs)), sorted({r["seed"] for r in runs})
    sizes = [row["sites"] for row in runs[0]["rows"]]
    lines = [
        paragraph(
            f"""A simulated campaign with `xanes-hpc select`. It starts from {sizes[0]:,} sites chosen at random and
            adds {sizes[1] - sizes[0]:,} at a time, up to {sizes[-1]:,}. {100 * TEST:.0f} % of the set (whole formulas)
            is set aside for testing. At each step a model is trained on the sites chosen so far, with one network, the
            kernel ridge regression and defaults otherwise. It then chooses the sites to add. `uncertainty` prefers
            sites that the model is unsure of, `diversity` those far from the training set, and `both` the largest
            product of the two. `chance` chooses at random. The tables give the mean error % over the test sites, as
            mean ± standard deviation over {counted(len(seeds), "seed")}. Each seed has its own test set, first sites
            and networks, the same for every strategy. The hardest tenth of the test sites are those with the largest
            errors of the first model."""
        )
    ]
    for what, name in (("error", "Mean error %"), ("hard", "Error % of the hardest tenth")):
        rows = []
        for k, size in enumerate(sizes):
            cells = [[r["rows"][k][what] for r in runs if r["strategy"] == s] for s in strategies]
            rows.append([f"{size:,}", *(with_spread(cell) for cell in cells)])
        lines += ["", f"**{name}**:", "", *table(["sites", *strategies], rows)]
    return [*lines, "", _told(runs, strategies, seeds)]


def _told(runs: list[dict[str, Any]], strategies: list[str], seeds: list[int]) -> str:
    """Compare each strategy with chance at the final size, seed by seed."""
    last = {(r["strategy"], r["seed"]): r["rows"][-1]["error"] for r in runs}
    said = []
    for strategy in strategies:
        if strategy == "chance" or "chance" not in strategies:
            continue
        change = [last[strategy, seed] - last["chance", seed] for seed in seeds]
        wins = sum(c < 0 for c in change)
        said.append(
            f"{strategy} {with_spread(change)} ({wins} of {len(seeds)} seeds better, mean {spread(change)[0]:+.2f})"
        )
    return paragraph(f"""Difference from chance at the final size, in percentage points: {"; ".join(said)}.""")
