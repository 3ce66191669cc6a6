"""Start from calculated spectra, compared with training from scratch, for few measured ones, simulated and real."""

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tables import paragraph, table

from studies.figures import counted, errors, mean_error, spread, with_spread
from studies.fitted import Pair, fit_to, pairs
from studies.inputs import Inputs, describe
from studies.samples import SAMPLES, measured
from studies.simulated import CORE_HOLE, INSTRUMENT, NOISE, OFFSET, simulated
from studies.sitting import Run, Sitting
from xanes_hpc.analysis.baseline import compared, training_mean
from xanes_hpc.models.model import Model
from xanes_hpc.prediction.predict import PredictOptions, predict
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.predictions import PredictionStore
from xanes_hpc.stores.structures import StructureStore

TITLE = "Transfer to measured spectra"
SITES = 150
"""Sites with simulated measurements, at most half of all."""
SIZES = (10, 25, 50, 100)
"""Numbers of training sites among them; the others are test sites, at least ``FEWEST``."""
FEWEST = 10
WINDOWS = {"Fe": (-15.0, 60.0), "Cu": (-10.0, 60.0)}
"""Energies of the models, eV from the tabulated edge. FEFF's Cu spectra begin above it; they are continued."""
AREAS = {"Fe": (-15.0, 60.0), "Cu": (10.0, 60.0)}
"""Energies over whose mean spectra are divided, which all calculated spectra cover."""
PRESETS = {"Fe": "default", "Cu": "crystal"}
VALIDATION = 0.2
"""Fraction of the training sites for the validation set."""
FEWEST_TRAINED = 3
"""Measured spectra below which nothing is trained on them; the calculated model is fitted to them all the same."""
MODELS = {
    "mean": "mean of the training spectra",
    "scratch": "from scratch",
    "from": "from the calculated model",
    "calculated": "calculated model",
    "fitted": "calculated model, shifted and broadened",
}
COLUMNS = MODELS | {"shift": "shift, eV", "width": "width, eV"}
COMPARED = (("from", "scratch"), ("from", "fitted"))


@dataclass(frozen=True)
class Case:
    """Features of measured sites, a model of calculated spectra, and its predictions beside the measured spectra."""

    features: Path
    model: Path
    calculated: Mapping[str, Pair]
    flags: Mapping[str, Any]


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1], help="repeat with these seeds [0 1]")
    parser.add_argument(
        "--elements", nargs="*", choices=[*SAMPLES], default=[*SAMPLES], help="use measured spectra of these [Fe Cu]"
    )


def measure(sitting: Sitting, inputs: Inputs, given: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    store = _simulated(inputs)
    iron = inputs.features(inputs.without_twins(store))
    complexes = _case(sitting, inputs, "Fe", iron, store, "Fe complexes")
    with FeatureStore(complexes.features) as opened:
        names = opened.sites.name
    rows = []
    for size in [size for size in SIZES if size <= len(names) - FEWEST]:
        for seed in given.seeds:
            drawn = [names[k] for k in np.random.default_rng(seed).permutation(len(names))]
            figures = _figures(sitting, inputs, complexes, drawn[:size], drawn[size:], seed)
            rows.append({"size": size, "seed": seed, **figures})
    samples = []
    for element in given.elements:
        calculated = iron if element == "Fe" else inputs.features(inputs.copper, PRESETS[element])
        case = _case(sitting, inputs, element, calculated, _samples(inputs, element), f"{element} crystals")
        for name in SAMPLES[element]:
            others = [other for other in SAMPLES[element] if other != name]
            figures = _figures(sitting, inputs, case, others, [name], 0)
            samples.append({"element": element, "sample": name, **figures})
    return describe([iron, complexes.features]), {"sites": len(names), "simulated": rows, "samples": samples}


def _simulated(inputs: Inputs) -> Path:
    """Write a store of simulated measurements of sites drawn at random."""
    with StructureStore(inputs.structures) as source:
        n = min(SITES, source.n_sites // 2)
        rows = np.sort(np.random.default_rng(0).permutation(source.n_sites)[:n])
        return simulated(source, rows, inputs.folder / f"{source.path.stem}-simulated-{n}.h5")


def _samples(inputs: Inputs, element: str) -> Path:
    return measured(element, inputs.data, inputs.folder / f"{element}-measured.h5")


def _case(sitting: Sitting, inputs: Inputs, element: str, calculated: Path, store: Path, note: str) -> Case:
    (start, stop), area = WINDOWS[element], AREAS[element]
    flags = {
        "target.start": start,
        "target.stop": stop,
        "target.step": 1 / 3,
        "target.below": "first value",
        "normalisation.name": "area",
        "normalisation.start": area[0],
        "normalisation.stop": area[1],
    }
    model = sitting.run(Run((calculated,), flags, keeps_model=True), f"{note}, calculated").model
    features = inputs.features(store, PRESETS[element])
    path = model.with_name(f"{model.stem}-{features.stem}.h5")
    if not path.exists():
        with FeatureStore(features) as opened:
            predict(Model.open(model), opened, path, PredictOptions(force=True))
    return Case(features, model, pairs(Model.open(model), path, store), flags)


def _figures(
    sitting: Sitting, inputs: Inputs, case: Case, train: Sequence[str], test: Sequence[str], seed: int
) -> dict[str, float]:
    """Return the error % of each model on the test sites, and the shift and width that were fitted."""
    fit = fit_to([case.calculated[name] for name in train])
    tested = [case.calculated[name] for name in test]
    found = {
        "calculated": float(np.mean([pair.error() for pair in tested])),
        "fitted": float(np.mean([pair.error(fit) for pair in tested])),
        "shift": fit.shift,
        "width": fit.gaussian,
    }
    if len(train) < FEWEST_TRAINED:
        return found
    n = max(1, int(VALIDATION * len(train)))
    parts = ["train"] * (len(train) - n) + ["validation"] * n + ["test"] * len(test)
    own = dict(case.flags) | {"split.file": str(inputs.split([*train, *test], parts)), "training.seed": seed}
    for name, more in {"scratch": {}, "from": {"transfer.model": str(case.model)}}.items():
        note = f"{len(train)} measured sites, {test[0]} …, seed {seed}, {MODELS[name]}"
        outcome = sitting.run(Run((case.features,), own | more, keeps_model=True), note)
        found[name] = mean_error(errors(outcome.predictions[0]), test)
        if name == "scratch":
            with PredictionStore(outcome.predictions[0]) as store:
                mean = training_mean(Model.open(outcome.model), store)
                found["mean"] = compared(store, mean)["error_percent_mean"]
    return found


def section(result: Mapping[str, Any]) -> list[str]:
    samples = result["samples"]
    return [
        paragraph(
            f"""Models for measured spectra, of which there are few, that start from a model of calculated ones
            (`--init-from`), compared with training from scratch and with the calculated model as it is. All spectra are
            normalised by `xanes-hpc`, divided by their means (Cu: {_words(AREAS["Cu"])}), and compared from
            {_words(WINDOWS["Fe"])} (Cu: {_words(WINDOWS["Cu"])}) from the tabulated edge. A fifth of the training
            sites, at least one, are the validation set, and none are set aside for calibration; all else is the
            default. "Shifted and broadened": the calculated model's predictions, moved, broadened by a Gaussian and
            scaled by the medians of what `fit-broadening` finds for the training sites. Errors in %."""
        ),
        *_of_sites(result["simulated"], result["sites"]),
        *(_of_samples(samples) if samples else []),
    ]


def _of_sites(rows: Sequence[Mapping[str, Any]], n_sites: int) -> list[str]:
    lines = []
    for size in dict.fromkeys(row["size"] for row in rows):
        own = [row for row in rows if row["size"] == size]
        lines.append([f"{size}", *(with_spread([row[name] for row in own]) for name in COLUMNS)])
    n_seeds = len({row["seed"] for row in rows})
    return [
        "",
        paragraph(
            f"""**Simulated measurements** of {n_sites} Fe complexes that the calculated model has not seen, nor others
            with their formulas. Their calculated spectra are shifted by {OFFSET:g} eV, broadened by a Lorentzian of
            {CORE_HOLE:g} eV and a Gaussian of {INSTRUMENT:g} eV (full widths), and put on a pre-edge line and a
            post-edge curve with an edge step, all at random, with noise of {100 * NOISE:g} % of the step. All other
            sites are test sites. Means ± standard deviations over {counted(n_seeds, "seed")}."""
        ),
        "",
        *table(["training sites", *COLUMNS.values()], lines),
        "",
        _told(rows),
    ]


def _of_samples(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [
        [f"{row['sample']} ({row['element']})", *(with_spread([row.get(name)]) for name in COLUMNS)] for row in rows
    ]
    trained = [row for row in rows if "scratch" in row]
    counts = " and ".join(f"{n} of {element}" for element, n in Counter(row["element"] for row in rows).items())
    sources = "; ".join(f"{row['sample']}: {SAMPLES[row['element']][row['sample']].source}" for row in rows)
    return [
        "",
        paragraph(
            f"""**Measured spectra** of crystals whose absorber has one crystallographic site. Each is predicted by
            models trained on, or fitted to, the others of its element; nothing is trained on fewer than
            {FEWEST_TRAINED} spectra. These are {counts}, too few for more than an impression. The
            calculated model of Fe knows molecular complexes only; that of Cu knows oxides (FEFF, preset `crystal`).
            Structures: {sources}."""
        ),
        "",
        *table(["", *COLUMNS.values()], lines),
        *(["", _told(trained)] if trained else []),
    ]


def _words(window: tuple[float, float]) -> str:
    return f"{window[0]:g} to {window[1]:g} eV"


def _told(rows: Sequence[Mapping[str, Any]]) -> str:
    """Compare the models, row by row."""
    said = []
    for name, other in COMPARED:
        changes = [row[name] - row[other] for row in rows]
        better = sum(change < 0 for change in changes)
        said.append(
            f"{MODELS[name]} against {MODELS[other]} {spread(changes)[0]:+.2f}, better in {better} of {len(changes)}"
        )
    return paragraph(f"Mean differences in percentage points: {'; '.join(said)}.")
