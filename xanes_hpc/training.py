"""Training a network on a feature store and the spectra of its sites."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from xanes_hpc import backend, models
from xanes_hpc.config import RunConfig, to_toml
from xanes_hpc.datasets import Part, TrainingData, dataset, statistics
from xanes_hpc.errors import ConfigError, ModelError
from xanes_hpc.inference import Scalers, sample
from xanes_hpc.interruption import Interruption
from xanes_hpc.splits import LEFT_OUT, PARTS, code, split
from xanes_hpc.stores import hdf5
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.models import (
    CONTENTS,
    WEIGHTS,
    ModelFolder,
    write_description,
    write_scalers,
)  # fmt: skip
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.stores.targets import TargetStore, prepare_targets
from xanes_hpc.training_record import Epoch, describe, resolved_run, write_history, write_sites
from xanes_hpc.uncertainty import calibrate

CALIBRATION_DRAWS = 100
MOST_CALIBRATION_SITES = 5000
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Result:
    """What came of a run: sites by part, the best epoch, and its validation error in percent."""

    parts: dict[str, int]
    left_out: int
    best: Epoch
    sigma_scale: float


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
    hdf5.check_output(output, overwrite, CONTENTS)
    n_energies_unknown = 1
    resolved, _ = models.build(run.model.name, run.model.parameters, features.n_features, n_energies_unknown)
    run = replace(run, model=replace(run.model, parameters=resolved))
    devices = backend.gpus(run.training.gpus)
    from xanes_hpc import training_loop  # noqa: F401 - slow to import: before anything is half-written

    with (
        Interruption() as interruption,
        prepare_targets(features, source, run.target) as targets,
        hdf5.whole_output(output, overwrite, CONTENTS) as folder,
    ):
        data = _share_out(run, features, source, targets)
        member = folder / "members" / "00"
        member.mkdir(parents=True)
        stats = statistics(data.part("train"), run.training.feature_transform)
        scalers = stats.scalers(run.training.target_scale)
        history, best = _fit(run, data, scalers, devices, member / WEIGHTS, progress, interruption)
        write_scalers(member / "scalers.h5", scalers)
        write_sites(data, scalers, run.training.seed, folder / "sites.h5")
        write_history(history, folder / "history.csv")
        (folder / "run.toml").write_text(to_toml(resolved_run(run, data, output)), encoding="utf-8")
        description = describe(run, data, source, stats)
        write_description(folder, description)
        calibration = _calibrate(folder, data, run.training.seed)
        write_description(folder, description | {"calibration": calibration})
        counts = np.bincount(data.parts, minlength=LEFT_OUT + 1)
        parts = {name: int(n) for name, n in zip(PARTS, counts, strict=False)}
        return Result(parts, int(counts[LEFT_OUT]), best, calibration["sigma_scale"])


def _share_out(
    run: RunConfig, features: FeatureStore, source: StructureStore | FeatureStore, targets: TargetStore
) -> TrainingData:
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
    return TrainingData(features, targets, sites.name, formulas, parts)


def _fit(
    run: RunConfig,
    data: TrainingData,
    scalers: Scalers,
    devices: list[str],
    weights: Path,
    progress: Progress,
    interruption: Interruption,
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
        batches = dataset(part, scalers, training.batch_size, training.seed, epoch)
        loss = trainer.epoch(batches, interruption.check)
        if not np.isfinite(loss):
            raise ModelError(
                f"the loss is {loss} in epoch {epoch + 1}: training diverged; "
                f"use a smaller learning rate than {training.learning_rate:g}"
            )
        error = _validation_error(trainer, validation, scalers)
        history.append(Epoch(epoch + 1, loss, error, trainer.learning_rate))
        if best is None or not error >= best.validation_error:
            best, best_weights = history[-1], trainer.weights()
        validated = f"validation error {error:.2f} %" if validation.n_sites else "no validation part"
        progress(epoch + 1, training.epochs, f"{validated}, loss {loss:.4f}")
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


def _calibrate(folder: Path, data: TrainingData, seed: int) -> dict[str, Any]:
    part, members = data.part("calibration"), ModelFolder(folder).members
    results, n_sites = [], 0
    for x, y in part.chunks(np.random.default_rng(seed).permutation(part.n_chunks)):
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
