"""Simulated campaigns: sites are added to a small set, chosen by several strategies."""

import argparse
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tables import paragraph, table

from studies.figures import counted
from studies.growing import TEST, Sites, figures_of, grown
from studies.inputs import Inputs, describe
from studies.sitting import Sitting
from studies.strategies import STRATEGIES
from xanes_hpc.analysis.evaluate import error_percent
from xanes_hpc.config.files import load_run
from xanes_hpc.data.datasets import TrainingData
from xanes_hpc.data.gather import gather
from xanes_hpc.models.model import Model
from xanes_hpc.models.training_sites import LEFT_OUT, SETS
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
SIZES = tuple(range(100, 1001, 100))
SHOWN = (200, 400, 700, 1000)
TRAINED = ("chance", "coverage")
"""Strategies whose last sites the whole program is trained on."""
OF_OWN = 0.05
"""Fraction of the chosen sites for validation, and for calibration."""
FLAGS: dict[str, Any] = {"uncertainty.members": 1}


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=list(range(5)), help="repeat the campaign with these seeds [0 to 4]"
    )
    parser.add_argument(
        "--whole", type=int, default=5, help="train the whole program as well for the first seeds, this many [5]"
    )
    parser.add_argument("--also", type=Path, nargs="*", default=[], help="structure stores of other sets")


def measure(sitting: Sitting, inputs: Inputs, given: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    sizes = SIZES if sitting.epochs is None else tuple(size // 5 for size in SIZES[:3])
    paths = [inputs.features(path) for path in (inputs.structures, *given.also)]
    keys = [f"campaign-{path.stem}-{'-'.join(map(str, given.seeds))}-{sitting.epochs or 'default'}" for path in paths]
    simulated = [
        sitting.kept(key, f"{path.stem}, simulated", lambda p=path: _simulated(p, given.seeds, sizes))["runs"]
        for path, key in zip(paths, keys, strict=True)
    ]
    results = []
    for path, key, runs in zip(paths, keys, simulated, strict=True):
        trained = []
        for run in sorted(runs, key=lambda run: given.seeds.index(run["seed"])):
            if run["strategy"] in TRAINED and run["seed"] in given.seeds[: given.whole]:
                note = f"{path.stem}, trained, {run['strategy']}, seed {run['seed']}"
                found = sitting.kept(
                    f"{key}-{run['strategy']}-{run['seed']}",
                    note,
                    lambda p=path, r=run: _trained_on(p, r, sitting.epochs),
                )
                trained.append({"strategy": run["strategy"], "seed": run["seed"], "figures": found["all"]})
        told = [{name: run[name] for name in ("strategy", "seed", "figures")} for run in runs]
        results.append({"data": describe([path]), "sizes": list(sizes), "runs": told, "trained": trained})
    return describe(paths), {"sets": results}


@contextmanager
def _opened(path: Path, seed: int, epochs: int | None) -> Iterator[tuple[Any, FeatureStore, Any, TrainingData]]:
    flags = FLAGS | {"training.seed": seed} | ({"training.epochs": epochs} if epochs else {})
    with FeatureStore(path) as features:
        pairs = open_spectra([features], [])
        run = resolved(load_run(None, Path(), flags), features.n_features)
        with closing(pairs[0][1].file), closing(gather(run, pairs)) as data:
            yield run, features, pairs, data


def _sites(features: FeatureStore, data: TrainingData) -> tuple[Sites, npt.NDArray[np.int64]]:
    """Return the sites with targets, and their rows."""
    rows = np.flatnonzero(data.sets != LEFT_OUT)
    x, y = features.read(0, features.n_sites)[rows], data.first.targets.read(0, features.n_sites)[rows]
    return Sites.described(x, y, [data.formulas[row] or data.names[row] for row in rows]), rows


def _simulated(path: Path, seeds: Sequence[int], sizes: tuple[int, ...]) -> dict[str, Any]:
    with _opened(path, 0, None) as (_, features, _, data):
        sites, _ = _sites(features, data)
    runs = []
    for strategy in STRATEGIES:
        for seed in seeds:
            found = grown(sites, strategy, seed, sizes)
            kept = {"chosen": found.chosen.tolist(), "hard": found.hard.tolist()} if strategy in TRAINED else {}
            runs.append({"strategy": strategy, "seed": seed, "figures": found.figures} | kept)
    return {"runs": runs}


def _trained_on(path: Path, campaign: Mapping[str, Any], epochs: int | None) -> dict[str, Any]:
    """Train the whole program on the sites that a campaign chose; return the figures of the same test sites."""
    seed = campaign["seed"]
    with _opened(path, seed, epochs) as (run, features, pairs, data):
        sites, rows = _sites(features, data)
        test, known = rows[sites.divided(seed)[0]], rows[np.array(campaign["chosen"])]
        with tempfile.TemporaryDirectory() as folder, tensorflow_setup.networks_forgotten():
            own = replace(data, sets=_parts(data, known, seed))
            errors = _errors(_trained(run, own, pairs, Path(folder) / "m"), features, data, test)
    return {"all": figures_of(errors, np.array(campaign["hard"]))}


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
        write_model(work, folder, training.run(), run, data, digests_of(pairs), {})
    shutil.move(work, folder)
    return Model.open(folder)


def _errors(
    model: Model, features: FeatureStore, data: TrainingData, rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    x, sites = features_of(model, features).read(rows), features.sites.take(rows)
    drawn, _ = model.sample(x, model.absorbers(sites.element, sites.edge), 30, 0)
    targets = data.first.targets.read(0, features.n_sites)[rows]
    return error_percent(targets, drawn.mean)


def section(result: Mapping[str, Any]) -> list[str]:
    seeds = len({run["seed"] for run in result["sets"][0]["runs"]})
    sizes = result["sets"][0]["sizes"]
    lines = [
        paragraph(
            f"""Simulated campaigns. They start from {sizes[0]:,} sites chosen at random and add
            {sizes[1] - sizes[0]:,} at a time. {100 * TEST:.0f} % of the sites are set aside for
            testing, in whole groups of one formula or of near-duplicates. At each step, the kernel ridge regression is
            fitted to the sites chosen so far; the networks are left out, so that a campaign takes seconds. The hardest
            tenth of the test sites are those with the largest errors of the first fit. Each seed has its own test set
            and first sites, the same for every strategy. Errors in % are means over {counted(seeds, "seed")} with their
            standard errors; differences are from chance, seed by seed. `coverage` is `xanes-hpc select`."""
        ),
        "",
        *[f"- {name}: {meaning}" for name, meaning in MEANINGS.items()],
    ]
    for one in result["sets"]:
        lines += ["", f"**{one['data']}**:", "", *_table(one), "", _saved(one)]
    whole = [one for one in result["sets"] if one["trained"]]
    return [*lines, "", *_whole(whole)] if whole else lines


NAMES = {"error": "mean", "median": "median", "hard": "hardest tenth"}
MEANINGS = {
    "chance": "at random",
    "coverage": "lowers the sum over all free sites of √d most, with the distance d to the nearest known site",
    "coverage, whitened": "the same, with the Euclidean distance in 20 whitened principal components",
    "integrated variance": "lowers a Gaussian process's variance most, summed over 1,000 free sites",
    "distance": "is farthest from the known sites and those chosen before",
    "uncertainty": "has the largest product of local error and spread of a Gaussian process",
    "uncertainty × distance": "has the largest product of local error and distance",
}


def _figures(runs: Sequence[Mapping[str, Any]], strategy: str, name: str) -> npt.NDArray[np.float64]:
    """Return a figure of every seed at every size, (n_seeds, n_sizes)."""
    own = sorted((run for run in runs if run["strategy"] == strategy), key=lambda run: run["seed"])
    return np.array([run["figures"][name] for run in own])


def _with_error(values: npt.NDArray[np.float64], sign: str = "") -> str:
    error = values.std(ddof=1) / np.sqrt(values.size) if values.size > 1 else float("nan")
    return f"{values.mean():{sign}.2f} ± {error:.2f}"


def _table(one: Mapping[str, Any]) -> list[str]:
    sizes, runs, rows = one["sizes"], one["runs"], []
    shown = [k for k, size in enumerate(sizes) if size in SHOWN] or list(range(1, len(sizes)))
    for strategy in dict.fromkeys(run["strategy"] for run in runs):
        found = {name: _figures(runs, strategy, name) for name in NAMES}
        change = {
            name: _with_error((found[name] - _figures(runs, "chance", name))[:, -1], "+")
            if strategy != "chance"
            else "–"
            for name in NAMES
        }
        cells = [_with_error(found["error"][:, k]) for k in shown]
        hard = _with_error(found["hard"][:, -1])
        rows.append([strategy, *cells, change["error"], change["median"], hard, change["hard"]])
    head = ["strategy", *(f"mean, {sizes[k]:,} sites" for k in shown), "difference", "median: difference"]
    return table([*head, f"hardest tenth, {sizes[-1]:,} sites", "difference"], rows)


def _saved(one: Mapping[str, Any]) -> str:
    by_chance, covered = (_figures(one["runs"], name, "error").mean(axis=0) for name in TRAINED)
    enough = round(float(np.interp(-by_chance[-1], -covered, one["sizes"])), -1)
    return paragraph(
        f"""With `coverage`, about {enough:,.0f} sites reach the mean error of {one["sizes"][-1]:,} sites chosen at
        random."""
    )


def _whole(sets: Sequence[Mapping[str, Any]]) -> list[str]:
    """Compare the whole program, trained on the sites chosen in the end."""
    rows = []
    for one in sets:
        for name, meaning in NAMES.items():
            found = {strategy: _figures(one["trained"], strategy, name) for strategy in TRAINED}
            cells = [_with_error(values) for values in found.values()]
            rows.append([one["data"], meaning, *cells, _with_error(found["coverage"] - found["chance"], "+")])
    said = paragraph(
        f"""The whole program (one network, the regression and defaults otherwise), trained on the
        {sets[0]["sizes"][-1]:,} sites chosen in the end and tested on the same test sites
        ({counted(len(sets[0]["trained"]) // len(TRAINED), "seed")}):"""
    )
    return [said, "", *table(["set", "error %", *TRAINED, "difference"], rows)]
