"""Training a network on a feature store and the spectra of its sites."""

import csv
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from xanes_hpc import backend, models
from xanes_hpc.config import RunConfig, to_toml
from xanes_hpc.datasets import Part, Statistics, dataset, statistics
from xanes_hpc.errors import ConfigError, ModelError
from xanes_hpc.inference import Scalers, sample
from xanes_hpc.splits import LEFT_OUT, PARTS, code, split
from xanes_hpc.stores import hdf5
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.models import (
    MARKER,
    REFERENCE_SITES,
    WEIGHTS,
    ModelFolder,
    TrainingSites,
    write_description,
    write_scalers,
)  # fmt: skip
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.stores.targets import TargetStore, prepare_targets
from xanes_hpc.uncertainty import calibrate

CALIBRATION_DRAWS = 100
MOST_CALIBRATION_SITES = 5000
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Epoch:
    """Figures of one pass over the training sites; ``validation_error`` in percent, NaN without a validation part."""

    epoch: int
    loss: float
    validation_error: float
    learning_rate: float


@dataclass(frozen=True)
class Result:
    """What came of a run: sites by part, the best epoch, and its validation error in percent."""

    parts: dict[str, int]
    left_out: int
    best: Epoch
    sigma_scale: float


@dataclass(frozen=True)
class _Data:
    """Everything that is trained on."""

    features: FeatureStore
    targets: TargetStore
    names: list[str]
    formulas: list[str]
    parts: npt.NDArray[np.uint8]

    def part(self, name: str) -> Part:
        return Part(self.features, self.targets, self.parts == PARTS.index(name))


def train(
    run: RunConfig,
    features: FeatureStore,
    source: StructureStore | FeatureStore,
    output: Path,
    overwrite: bool = False,
    progress: Progress = lambda done, total, note: None,
) -> Result:
    """Train a model and write its folder.

    Parameters
    ----------
    run
        The configuration.
    features
        What the network takes.
    source
        The store with the spectra, row of site for row of site the same sites.
    output
        The model folder.

    Raises
    ------
    XanesHpcError
        If the data, the configuration or the devices do not allow it.
    """
    hdf5.check_output(output, overwrite, MARKER)
    n_energies_unknown = 1
    models.build(run.model.name, run.model.parameters, features.n_features, n_energies_unknown)
    devices = backend.gpus(run.training.gpus)
    with (
        prepare_targets(features, source, run.target) as targets,
        hdf5.whole_output(output, overwrite, MARKER) as folder,
    ):
        data = _share_out(run, features, source, targets)
        member = folder / "members" / "00"
        member.mkdir(parents=True)
        stats = statistics(data.part("train"), run.training.feature_transform)
        scalers = stats.scalers(run.training.target_scale)
        history, best = _fit(run, data, scalers, devices, member / WEIGHTS, progress)
        write_scalers(member / "scalers.h5", scalers)
        _write_sites(data, scalers, run.training.seed, folder / "sites.h5")
        _write_history(history, folder / "history.csv")
        resolved, _ = models.build(run.model.name, run.model.parameters, features.n_features, 1)
        run = replace(run, model=replace(run.model, parameters=resolved))
        (folder / "run.toml").write_text(to_toml(run), encoding="utf-8")
        description = _describe(run, data, source, stats)
        write_description(folder, description)
        calibration = _calibrate(folder, data, run.training.seed)
        write_description(folder, description | {"calibration": calibration})
        counts = np.bincount(data.parts, minlength=LEFT_OUT + 1)
        parts = {name: int(n) for name, n in zip(PARTS, counts, strict=False)}
        return Result(parts, int(counts[LEFT_OUT]), best, calibration["sigma_scale"])


def _share_out(
    run: RunConfig, features: FeatureStore, source: StructureStore | FeatureStore, targets: TargetStore
) -> _Data:
    sites = features.sites
    usable = np.concatenate([
        np.isfinite(targets.read(start, start + features.chunk_rows)).all(axis=1)
        for start in range(0, features.n_sites, features.chunk_rows)
    ])  # fmt: skip
    if isinstance(source, StructureStore):
        formulas = source.site_formulas()
    else:
        formulas = [""] * features.n_sites
        if run.split.group == "formula":
            raise ConfigError(f'{features.path}: has no structures to take formulas from; set [split] group = "none"')
    groups = {"formula": formulas, "code": [code(n) for n in sites.name], "none": sites.name}[run.split.group]
    parts = split(groups, usable, run.split, run.training.seed)
    return _Data(features, targets, sites.name, formulas, parts)


def _fit(
    run: RunConfig, data: _Data, scalers: Scalers, devices: list[str], weights: Path, progress: Progress
) -> tuple[list[Epoch], Epoch]:
    """Train, and save the weights of the epoch with the least validation error (the last one without validation)."""
    from xanes_hpc.training_loop import Trainer

    part, validation = data.part("train"), data.part("validation")
    training = replace(run.training, batch_size=min(run.training.batch_size, part.n_sites))
    steps = part.n_sites // training.batch_size
    n_energies = data.targets.grid.energies.size
    _, layers = models.build(run.model.name, run.model.parameters, data.features.n_features, n_energies)
    trainer = Trainer(layers, data.features.n_features, training, steps, devices)
    history: list[Epoch] = []
    best, best_weights = None, None
    for epoch in range(training.epochs):
        loss = trainer.epoch(dataset(part, scalers, training.batch_size, training.seed, epoch))
        if not np.isfinite(loss):
            raise ModelError(
                f"the loss is {loss} in epoch {epoch + 1}: training diverged; "
                f"use a smaller learning rate than {training.learning_rate:g}"
            )
        error = _validation_error(trainer, validation, scalers)
        history.append(Epoch(epoch + 1, loss, error, trainer.learning_rate))
        if best is None or not error >= best.validation_error:
            best, best_weights = history[-1], trainer.weights()
        progress(epoch + 1, training.epochs, f"validation error {error:.2f} %, loss {loss:.4f}")
    assert best is not None
    trainer.save(weights, best_weights)
    return history, best


def _validation_error(trainer: Any, part: Part, scalers: Scalers) -> float:
    errors = [np.empty(0)]
    for x, y in part.chunks():
        predicted = scalers.spectra(trainer.predict(scalers.features(x)))
        errors.append(100.0 * np.abs(predicted - y).sum(axis=1) / np.abs(y).sum(axis=1))
    every = np.concatenate(errors)
    return float(every.mean()) if every.size else float("nan")


def _write_sites(data: _Data, scalers: Scalers, seed: int, path: Path) -> None:
    part = data.part("train")
    kept = np.flatnonzero(part.chosen)
    if kept.size > REFERENCE_SITES:
        kept = np.sort(np.random.default_rng(seed).permutation(kept)[:REFERENCE_SITES])
    chosen = np.zeros_like(part.chosen)
    chosen[kept] = True
    vectors = np.concatenate([scalers.features(x) for x, _ in Part(data.features, data.targets, chosen).chunks()])
    TrainingSites(data.names, data.formulas, data.parts, vectors).write(path)


def _write_history(history: list[Epoch], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["epoch", "loss", "validation_error_percent", "learning_rate"])
        writer.writerows([e.epoch, e.loss, e.validation_error, e.learning_rate] for e in history)


def _describe(run: RunConfig, data: _Data, source: StructureStore | FeatureStore, stats: Statistics) -> dict[str, Any]:
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
            "digest_spectra": source.attribute("digest_spectra"),
            "sites": {name: int((data.parts == i).sum()) for i, name in enumerate(PARTS)},
            "split": {"group": run.split.group, "seed": run.training.seed},
            "versions": _versions(),
        },
    }


def _seen(data: _Data) -> list[dict[str, Any]]:
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


def _calibrate(folder: Path, data: _Data, seed: int) -> dict[str, Any]:
    part, members = data.part("calibration"), ModelFolder(folder).members
    results, n_sites = [], 0
    for x, y in part.chunks():
        drawn = sample(members, x, CALIBRATION_DRAWS, seed)
        results.append((y, drawn.mean, drawn.std))
        n_sites += len(y)
        if n_sites >= MOST_CALIBRATION_SITES:
            break
    if not results:
        return {"sigma_scale": 1.0, "conformal": [], "n_sites": 0}
    return calibrate(*(np.concatenate(arrays) for arrays in zip(*results, strict=True))).as_dict()


def default_output(features: Path) -> Path:
    """The model folder's name where none is given: ``tmqm.features.h5`` trains ``tmqm.model``."""
    return features.with_name(features.name.removesuffix(".h5").removesuffix(".features") + ".model")


def find_features(run: RunConfig, folder: Path) -> Path:
    """The feature store to train on: the configured one, or the only one in ``folder``.

    Raises
    ------
    ConfigError
        If there is none, or several.
    """
    if run.features:
        return Path(run.features)
    found = [p for p in sorted(folder.glob("*.h5")) if hdf5.is_kind(p, "features")]
    if len(found) == 1:
        return found[0].relative_to(folder)
    names = ", ".join(p.name for p in found[:5])
    raise ConfigError(
        f"expected a feature store: {'several are here (' + names + ')' if found else 'none is here'}; "
        'name one: xanes-hpc train NAME.features.h5, or features = "NAME.features.h5" in xanes-hpc.toml'
        + ("" if found else "; xanes-hpc featurise makes one")
    )
