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
from studies.figures import errors as errors_by_site
from studies.inputs import Inputs, describe
from studies.sitting import Outcome, Run, Sitting
from xanes_hpc.analysis.baseline import compared, training_mean
from xanes_hpc.models.model import Model
from xanes_hpc.prediction.predict import PredictOptions, predict
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.predictions import PredictionStore
from xanes_hpc.stores.structures import StructureStore

TITLE = "The first row"
SITES = 50
"""Training sites of each metal, or fewer to leave ``FEWEST`` for the test; all others are test sites."""
FEWEST = 10
COMMON: dict[str, Any] = {
    "target.start": -10.0,
    "target.stop": 58.0,
    "target.step": 0.5,
    "target.below": "first value",
    "target.above": "last value",
    "normalisation.name": "area",
}
"""Spectra are divided by their means, so that metals and codes can be compared. FEFF's edges are up to 10 eV above the
tabulated ones, so its spectra begin at different energies from them; they are continued."""
ALONE = {"training.epochs": 400}
JOINT = {"model.name": "conditioned", "training.epochs": 200}
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
class Metal:
    """Feature stores of a metal's sites, plain and with ``PROPERTIES``, and the sites to train on and to test."""

    plain: Path
    more: Path
    train: tuple[str, ...]
    test: tuple[str, ...]


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="repeat with these seeds [0 1 2]")
    parser.add_argument(
        "--first-row", type=Path, metavar="FOLDER", help="folder in which benchmarks/first_row/make.py made the set"
    )


def measure(sitting: Sitting, inputs: Inputs, given: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    folder = given.first_row or inputs.folder / "first_row"
    make.make(inputs.store, folder)
    iron = {name: _iron(sitting, inputs, name) for name in ("residual", "conditioned")}
    rows, used = [], []
    for seed in given.seeds:
        metals = divided(inputs, folder, seed)
        used = [own.plain for own in metals.values()]
        runs = _Runs(sitting, inputs, metals, seed)
        from_iron = {name: {"transfer.model": str(outcome.model)} for name, outcome in iron.items()}
        joint = runs.run([*metals], JOINT, "first row")
        joint_from = runs.run([*metals], JOINT | from_iron["conditioned"], "first row from Fe")
        properties = runs.run([*metals], JOINT, "first row with properties", properties=True)
        for k, (metal, own) in enumerate(metals.items()):
            alone = runs.run([metal], ALONE, metal)
            alone_from = runs.run([metal], ALONE | from_iron["residual"], f"{metal} from Fe")
            without = runs.run([name for name in metals if name != metal], JOINT, f"all but {metal}")
            predicted = {
                "alone": alone.predictions[0],
                "joint": joint.predictions[k],
                "alone from Fe": alone_from.predictions[0],
                "joint from Fe": joint_from.predictions[k],
                "properties": properties.predictions[k],
                "without": _unseen(without, own),
            }
            errors = {name: float(np.mean([*errors_by_site(path).values()])) for name, path in predicted.items()}
            with PredictionStore(alone.predictions[0]) as store:
                errors["mean"] = compared(store, training_mean(Model.open(alone.model), store))["error_percent_mean"]
            rows.append({"metal": metal, "seed": seed, "trained": len(own.train), "sites": len(own.test), **errors})
    return describe(used), {"rows": rows}


@dataclass(frozen=True)
class _Runs:
    """Trainings on some of the metals, divided with one seed."""

    sitting: Sitting
    inputs: Inputs
    metals: Mapping[str, Metal]
    seed: int

    def run(self, names: Sequence[str], more: Mapping[str, Any], note: str, properties: bool = False) -> Outcome:
        chosen = [self.metals[name] for name in names]
        flags = COMMON | more | {"training.seed": self.seed, "split.file": str(_split_file(self.inputs, chosen))}
        stores = tuple(own.more if properties else own.plain for own in chosen)
        return self.sitting.run(Run(stores, flags, keeps_model=True), f"{note}, seed {self.seed}")


def divided(inputs: Inputs, folder: Path, seed: int) -> dict[str, Metal]:
    """Divide each metal's sites that have a spectrum at random, and return them by symbol."""
    found = {}
    with StructureStore(folder / make.STORE) as source:
        there = np.isin(np.arange(source.n_sites), source.file["spectra/site"][:])
        for z in np.unique(source.sites.element).tolist():
            rows = np.flatnonzero(there & (source.sites.element == z))
            store = inputs.some(source, rows, f"{chemical_symbols[z]}-{rows.size}")
            drawn = [source.sites.name[row] for row in np.random.default_rng(seed).permutation(rows)]
            n = min(SITES, len(drawn) - FEWEST)
            found[chemical_symbols[z]] = Metal(
                inputs.features(store),
                inputs.features(store, properties=PROPERTIES),
                tuple(drawn[:n]),
                tuple(drawn[n:]),
            )
    return found


def _split_file(inputs: Inputs, metals: Sequence[Metal]) -> Path:
    """Write the split of some metals' sites."""
    names = [name for own in metals for name in (*own.train, *own.test)]
    parts = [part for own in metals for part in ("train",) * len(own.train) + ("test",) * len(own.test)]
    return inputs.split(names, parts)


def _iron(sitting: Sitting, inputs: Inputs, architecture: str) -> Outcome:
    """Train on FDMNES's spectra of the Fe complexes that no complex of the set was made from."""
    with StructureStore(inputs.structures) as source:
        taken = {code for code, _, _ in make.listed_codes()}
        rows = [i for i, name in enumerate(source.sites.name) if name.partition("_")[0] not in taken]
        features = inputs.features(inputs.some(source, np.array(rows), "not-first-row"))
    flags = COMMON | {"model.name": architecture}
    return sitting.run(Run((features,), flags, keeps_model=True), f"Fe by FDMNES, {architecture}")


def _unseen(run: Outcome, metal: Metal) -> Path:
    """Predict the test sites of a metal that the model has not seen."""
    path = run.model.with_name(f"{run.model.stem}-{metal.plain.stem}.h5")
    if not path.exists():
        with FeatureStore(metal.plain) as store:
            predict(Model.open(run.model), store, path, PredictOptions(force=True, sites=metal.test))
    return path


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
    fewest = min(row["sites"] for row in result["rows"])
    return [
        paragraph(
            f"""Small complexes of nine metals, made and calculated by the program itself
            (`benchmarks/first_row/make.py`): complexes of the Fe set with at most {make.LARGEST} atoms, each with one
            other metal in the place of Fe, relaxed with GFN2-xTB, and calculated with FEFF. {SITES} complexes of each
            metal{_fewer(result["rows"])} are training sites, the rest, at least {fewest} of each, test sites. Errors in
            % are means ± standard deviations over {counted(len(seeds), "seed")} of division and networks. All spectra
            are divided by their means. No complex is used for two metals. FDMNES's Fe model has not seen the Fe
            complexes that those of the set were made from; models that start from it have no Gaussian process, as is
            the default. A metal that the model has not seen is predicted as its neighbour in the periodic table."""
        ),
        "",
        *table(["metal", *MODELS.values()], [*lines, ["mean", *means]]),
        "",
        _told(result["rows"], seeds),
    ]


def _fewer(rows: Sequence[Mapping[str, Any]]) -> str:
    """Say which metals have fewer training sites than the others."""
    fewer = {row["metal"]: row["trained"] for row in rows if row["trained"] < SITES}
    return f" ({', '.join(f'{n} of {metal}' for metal, n in fewer.items())})" if fewer else ""


def _told(rows: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> str:
    """Compare one model with nine, metal by metal and seed by seed."""
    said = []
    for name, other in COMPARED:
        changes = [row[name] - row[other] for row in rows]
        mean, _ = spread(changes)
        better = sum(change < 0 for change in changes)
        said.append(f"{MODELS[name]} against {MODELS[other]} {mean:+.2f}, better in {better} of {len(changes)}")
    return paragraph(f"Mean difference in percentage points over metals and seeds: {'; '.join(said)}.")
