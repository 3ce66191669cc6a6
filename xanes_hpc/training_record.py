"""What a training run writes down about itself in the model folder."""

import csv
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from xanes_hpc.config import RunConfig
from xanes_hpc.datasets import Part, Statistics, TrainingData
from xanes_hpc.inference import Scalers
from xanes_hpc.splits import PARTS
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.models import REFERENCE_SITES, TrainingSites
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.stores.targets import digest_of_spectra


@dataclass(frozen=True)
class Epoch:
    """Figures of one pass over the training sites; ``validation_error`` in percent, NaN without a validation part."""

    epoch: int
    loss: float
    validation_error: float
    learning_rate: float


def write_sites(data: TrainingData, scalers: Scalers, seed: int, path: Path) -> None:
    """Write what the model remembers of its sites, at most ``REFERENCE_SITES`` of the training sites' features."""
    part = data.part("train")
    kept = np.flatnonzero(part.chosen)
    if kept.size > REFERENCE_SITES:
        kept = np.sort(np.random.default_rng(seed).permutation(kept)[:REFERENCE_SITES])
    chosen = np.zeros_like(part.chosen)
    chosen[kept] = True
    vectors = np.concatenate([scalers.features(x) for x, _ in Part(data.features, data.targets, chosen).chunks()])
    TrainingSites(data.names, data.formulas, data.parts, vectors).write(path)


def resolved_run(run: RunConfig, data: TrainingData, output: Path) -> RunConfig:
    """The run with nothing left to defaults or to the data, and paths as seen from the model folder."""
    grid = data.targets.grid
    target = replace(
        run.target,
        treatment=data.targets.attribute("treatment"),
        start=float(grid.energies[0]),
        stop=float(grid.energies[-1]),
        step=grid.step,
    )

    def seen_from_model(path: Path) -> str:
        return os.path.relpath(path.resolve(), output.resolve())

    features = seen_from_model(data.features.path)
    spectra = seen_from_model(Path(run.spectra)) if run.spectra else None
    return replace(run, features=features, spectra=spectra, output=None, target=target)


def write_history(history: list[Epoch], path: Path) -> None:
    """Write the figures of every epoch as CSV."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["epoch", "loss", "validation_error_percent", "learning_rate"])
        writer.writerows([e.epoch, e.loss, e.validation_error, e.learning_rate] for e in history)


def describe(
    run: RunConfig, data: TrainingData, source: StructureStore | FeatureStore, stats: Statistics
) -> dict[str, Any]:
    """What ``model.json`` says, but for the calibration."""
    grid = data.targets.grid
    return {
        "architecture": {"name": run.model.name, "parameters": run.model.parameters},
        "members": 1,
        "n_features": data.features.n_features,
        "grid": {"origin": grid.origin, "energies": grid.energies.tolist()},
        "target": {
            "kind": run.target.kind,
            "treatment": data.targets.attribute("treatment"),
            "unit": data.targets.attribute("unit"),
        },
        "descriptor": {
            "hash": data.features.attribute("descriptor_hash"),
            "description": data.features.description,
        },
        "seen": _seen(data),
        "statistics": {"feature_mean": stats.feature_mean.tolist(), "feature_std": stats.feature_std.tolist()},
        "calibration": {},
        "provenance": {
            "digest_structures": data.features.attribute("source_digest"),
            "digest_spectra": digest_of_spectra(source),
            "sites": {name: int((data.parts == i).sum()) for i, name in enumerate(PARTS)},
            "split": {"group": run.split.group, "seed": run.training.seed},
            "versions": _versions(),
        },
    }


def _seen(data: TrainingData) -> list[dict[str, Any]]:
    sites, e0 = data.features.sites, data.targets.e0
    trained = data.parts == PARTS.index("train")
    by_edge: dict[tuple[int, str], list[float]] = {}
    for site in np.flatnonzero(trained):
        by_edge.setdefault((int(sites.element[site]), sites.edge[site]), []).append(float(e0[site]))
    return [
        {"element": chemical_symbols[z], "edge": edge, "e0": float(np.median(values)), "sites": len(values)}
        for (z, edge), values in sorted(by_edge.items())
    ]


def _versions() -> dict[str, str]:
    import keras
    import tensorflow as tf

    from xanes_hpc import __version__

    return {"xanes-hpc": __version__, "tensorflow": tf.__version__, "keras": keras.__version__, "numpy": np.__version__}
