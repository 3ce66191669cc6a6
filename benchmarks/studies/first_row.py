"""One model for Ti to Zn, compared with a model for each metal; start from another code's spectra; a metal left out."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from first_row import make
from tables import paragraph, table

from studies.figures import counted, spread, with_spread
from studies.inputs import Inputs, describe
from studies.sitting import Outcome, Run, Sitting
from xanes_hpc.analysis.evaluate import error_percent
from xanes_hpc.models.model import Model
from xanes_hpc.prediction.predict import PredictOptions, predict
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.predictions import PredictionStore
from xanes_hpc.stores.structures import StructureStore

TITLE = "The first row"
SITES = 50
"""Training sites of each metal; all others are test sites."""
COMMON: dict[str, Any] = {
    "split.validation": 0.0,
    "split.calibration": 0.0,
    "split.test": 0.0,
    "target.start": -10.0,
    "target.stop": 58.0,
    "target.step": 0.5,
    "normalisation.name": "area",
}
"""Spectra are divided by their means, so that metals and codes can be compared."""
ALONE = {"training.epochs": 400}
JOINT = {"model.name": "conditioned", "training.epochs": 200}
IRON = {"target.below": "first", "target.above": "last", "split.test": 0.0}
MODELS = {
    "mean": "mean of the training spectra",
    "alone": "nine models",
    "joint": "one model",
    "alone from Fe": "nine models, from FDMNES's Fe",
    "joint from Fe": "one model, from FDMNES's Fe",
    "properties": "one model, xTB's properties",
    "without": "one model without this metal",
}
COMPARED = (("joint", "alone"), ("alone from Fe", "alone"), ("joint from Fe", "joint"), ("properties", "joint"))
PROPERTIES = ("charge", "gfn2_charge", "gfn2_valence", "gfn2_homo", "gfn2_lumo", "gfn2_dipole")
"""What GFN2-xTB knows of a complex and its metal."""


@dataclass(frozen=True)
class Parts:
    """Feature stores of a metal's training and test sites, plain and with ``PROPERTIES``."""

    train: Path
    test: Path
    train_more: Path
    test_more: Path


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="repeat with these seeds [0 1 2]")
    parser.add_argument(
        "--first-row", type=Path, metavar="FOLDER", help="folder in which benchmarks/first_row/make.py made the set"
    )


def measure(sitting: Sitting, inputs: Inputs, given: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    folder = given.first_row or inputs.folder / "first_row"
    make.make(inputs.store, folder)
    iron = {name: _iron(sitting, inputs, name, folder) for name in ("residual", "conditioned")}
    rows, used = [], []
    for seed in given.seeds:
        parts, flags = parts_of(inputs, folder, seed), COMMON | {"training.seed": seed}
        used = [own.train for own in parts.values()]
        every = tuple(used)
        joint = sitting.run(Run(every, flags | JOINT, keeps_model=True), f"first row, seed {seed}")
        started = flags | JOINT | {"transfer.model": str(iron["conditioned"].model)}
        joint_from = sitting.run(Run(every, started, keeps_model=True), f"first row from Fe, seed {seed}")
        more = tuple(own.train_more for own in parts.values())
        properties = sitting.run(Run(more, flags | JOINT, keeps_model=True), f"first row, properties, seed {seed}")
        for metal, own in parts.items():
            alone = sitting.run(Run((own.train,), flags | ALONE, keeps_model=True), f"{metal}, seed {seed}")
            started = flags | ALONE | {"transfer.model": str(iron["residual"].model)}
            alone_from = sitting.run(Run((own.train,), started, keeps_model=True), f"{metal} from Fe, seed {seed}")
            others = tuple(p.train for m, p in parts.items() if m != metal)
            without = sitting.run(Run(others, flags | JOINT, keeps_model=True), f"all but {metal}, seed {seed}")
            runs = {"alone": alone, "joint": joint, "alone from Fe": alone_from, "joint from Fe": joint_from}
            errors = {name: _error(run, own.test) for name, run in (runs | {"without": without}).items()}
            errors |= {"mean": _of_mean(alone, own), "properties": _error(properties, own.test_more)}
            rows.append({"metal": metal, "seed": seed, **errors})
    return describe(used), {"rows": rows}


def parts_of(inputs: Inputs, folder: Path, seed: int) -> dict[str, Parts]:
    """Divide each metal's sites that have a spectrum, at random, and return the feature stores by symbol."""
    found = {}
    with StructureStore(folder / make.STORE) as source:
        there = np.isin(np.arange(source.n_sites), source.file["spectra/site"][:])
        for z in np.unique(source.sites.element).tolist():
            rows = np.flatnonzero(there & (source.sites.element == z))
            drawn, symbol = np.random.default_rng(seed).permutation(rows), chemical_symbols[z]
            both = (("train", drawn[:SITES]), ("test", drawn[SITES:]))
            stores = [inputs.some(source, np.sort(own), f"{symbol}-{seed}-{part}") for part, own in both]
            described = [inputs.features(store, properties=more) for more in ((), PROPERTIES) for store in stores]
            found[symbol] = Parts(*described)
    return found


def _iron(sitting: Sitting, inputs: Inputs, architecture: str, folder: Path) -> Outcome:
    """Train on FDMNES's spectra of the Fe complexes that no complex of the set was made from."""
    with StructureStore(inputs.structures) as source:
        taken = {code for code, _, _ in make.listed_codes()}
        rows = [i for i, name in enumerate(source.sites.name) if name.partition("_")[0] not in taken]
        features = inputs.features(inputs.some(source, np.array(rows), "not-first-row"))
    flags = COMMON | IRON | {"model.name": architecture, "split.validation": 0.05, "split.calibration": 0.05}
    return sitting.run(Run((features,), flags, keeps_model=True), f"Fe by FDMNES, {architecture}")


def _predictions(run: Outcome, features: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return references and predictions of a store's sites."""
    path = run.model.with_name(f"{run.model.stem}-{features.stem}.h5")
    if not path.exists():
        with FeatureStore(features) as store:
            predict(Model.open(run.model), store, path, PredictOptions(force=True))
    with PredictionStore(path) as store:
        return store.read("reference"), store.read("mean")


def _error(run: Outcome, features: Path) -> float:
    return float(error_percent(*_predictions(run, features)).mean())


def _of_mean(run: Outcome, own: Parts) -> float:
    """Return the error of predicting the mean of the training spectra."""
    known, wanted = _predictions(run, own.train)[0], _predictions(run, own.test)[0]
    return float(error_percent(wanted, np.broadcast_to(known.mean(axis=0), wanted.shape)).mean())


def section(result: Mapping[str, Any]) -> list[str]:
    metals = list(dict.fromkeys(row["metal"] for row in result["rows"]))
    seeds = list(dict.fromkeys(row["seed"] for row in result["rows"]))
    lines = []
    for metal in metals:
        own = [row for row in result["rows"] if row["metal"] == metal]
        lines.append([metal, *(with_spread([row[name] for row in own]) for name in MODELS)])
    means = [
        with_spread([float(np.mean([r[name] for r in result["rows"] if r["seed"] == seed])) for seed in seeds])
        for name in MODELS
    ]
    return [
        paragraph(
            f"""Small complexes of nine metals, made and calculated by the program itself
            (`benchmarks/first_row/make.py`): complexes of the Fe set with at most {make.LARGEST} atoms, each with one
            other metal in the place of Fe, relaxed with GFN2-xTB, and calculated with FEFF. {SITES} complexes of each
            metal are training sites, the rest, up to {make.EACH - SITES} of each, test sites. Errors in % are means ±
            standard deviations over {counted(len(seeds), "seed")} of division and networks. All spectra are divided by
            their means. No complex is used for two metals. FDMNES's Fe model has not seen the Fe complexes that those
            of the set were made from. A metal that the model has not seen is predicted as its neighbour in the
            periodic table."""
        ),
        "",
        *table(["metal", *MODELS.values()], [*lines, ["mean", *means]]),
        "",
        _told(result["rows"], seeds),
    ]


def _told(rows: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> str:
    """Compare one model with nine, metal by metal and seed by seed."""
    said = []
    for name, other in COMPARED:
        changes = [row[name] - row[other] for row in rows]
        mean, _ = spread(changes)
        better = sum(change < 0 for change in changes)
        said.append(f"{MODELS[name]} against {MODELS[other]} {mean:+.2f}, better in {better} of {len(changes)}")
    return paragraph(f"Mean difference in percentage points over metals and seeds: {'; '.join(said)}.")
