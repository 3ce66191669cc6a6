"""K-fold cross-validation: predict every site once, by a model trained without it and its group.

In the end a final model is fitted to all sites. It takes its epochs and shares from the models of the folds, and its
uncertainty is calibrated on the sites held out from these.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from xanes_hpc.analysis.evaluate import evaluate
from xanes_hpc.config.sections import RunConfig
from xanes_hpc.data.gather import gather
from xanes_hpc.data.left_out import LeftOut
from xanes_hpc.data.target_plan import Pairs
from xanes_hpc.errors import ConfigError
from xanes_hpc.models.folder import DESCRIPTION, ModelFolder
from xanes_hpc.models.model import Model
from xanes_hpc.prediction.predict import PredictOptions, predict
from xanes_hpc.runtime import outputs
from xanes_hpc.spectra.distribution import LEVELS
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.predictions import PredictionStore
from xanes_hpc.training import tensorflow_setup
from xanes_hpc.training.checkpoints import checkpoint_path
from xanes_hpc.training.chosen import Chosen
from xanes_hpc.training.held_out import MOST_CALIBRATION_SITES, HeldOut, held_out
from xanes_hpc.training.stages import Observer
from xanes_hpc.training.train import check, check_trained, train

SUMMARY = "folds.json"
FINAL = "final.model"
CONTENTS = (SUMMARY, "fold-*", f"{FINAL}*")


def _covered(level: float, figures: dict[str, Any]) -> float | None:
    """Return the coverage of the interval with a nominal level."""
    covered: float = next(i["coverage"] for i in figures["intervals"] if i["level"] == level)
    return covered


FIGURES: dict[str, Callable[[dict[str, Any]], float | None]] = {
    "error_percent_mean": lambda m: m["error_percent"]["mean"],
    "error_percent_median": lambda m: m["error_percent"]["median"],
    "peaks_recall": lambda m: m["peaks"]["recall"],
    "peaks_precision": lambda m: m["peaks"]["precision"],
    "peaks_f1": lambda m: m["peaks"]["f1"],
    "delta_energy_ev": lambda m: m["peaks"]["delta_energy_ev"],
    "coverage_1sigma": lambda m: m["coverage"]["1sigma"],
    "coverage_2sigma": lambda m: m["coverage"]["2sigma"],
    "coverage_3sigma": lambda m: m["coverage"]["3sigma"],
    **{f"interval_{level:g}": partial(_covered, level) for level in LEVELS},
    "crps": lambda m: m["crps"],
    "sharpness_1sigma": lambda m: m["sharpness"]["1sigma"],
    "spearman_sigma_error": lambda m: m["spearman_sigma_error"],
}
"""Figures of merit to average over the folds."""


def cross_validate(
    run: RunConfig,
    pairs: Pairs,
    output: Path,
    overwrite: bool = False,
    resume: bool = False,
    augmented: Sequence[FeatureStore] = (),
    observer: Callable[[int | None], Observer] = lambda fold: Observer(),
    final: bool = True,
) -> dict[str, Any]:
    """Train a model for each fold on the other folds, and evaluate it on its own; then fit a final model to all sites.

    Parameters
    ----------
    run
        Configuration with the number of folds.
    pairs, augmented
        Stores, as for ``train``.
    output
        Folder to write, with ``fold-K.model`` and ``fold-K.predictions.h5`` for every fold, ``folds.json``, and
        ``final.model``.
    overwrite
        Whether to replace an earlier cross-validation.
    resume
        Whether to keep finished models and resume the one that was stopped.
    observer
        Function that returns the observer of a fold's training, or with None that of the final model's.
    final
        Whether to train the final model.

    Returns
    -------
    dict
        Mean and standard deviation of the figures of merit over the folds, the figures of each fold, and the sites that
        the grid leaves out.

    Raises
    ------
    XanesHpcError
        If the data, the configuration or the devices are not fit for training, or a fold cannot be predicted.
    KeyboardInterrupt
        If training was interrupted.
    """
    n_folds = run.split.folds
    if n_folds is None:
        raise ConfigError("split.folds: expected a number of folds, received none")
    if len(pairs) > 1:
        names = ", ".join(str(store.path) for store, _ in pairs)
        raise ConfigError(f"`folds`: expected one feature store, received {len(pairs)}: {names}")
    if not (resume and output.is_dir()):
        outputs.check_output(output, overwrite, CONTENTS)
    left_out = check(replace(run, split=replace(run.split, fold=0)), pairs, augmented)
    if overwrite and not resume and output.exists():
        shutil.rmtree(output)
    output.mkdir(exist_ok=True)
    folds: list[dict[str, float | None]] = []
    summary = _write_summary(output, n_folds, folds, left_out)
    for fold in range(n_folds):
        own = replace(run, split=replace(run.split, fold=fold))
        folds.append(_one_fold(own, pairs, output, overwrite, resume, augmented, observer(fold)))
        summary = _write_summary(output, n_folds, folds, left_out)
    if final:
        _final(replace(run, split=replace(run.split, fold=None)), pairs, output, overwrite, resume, augmented, observer)
    return summary


def model_of(output: Path, fold: int) -> Path:
    """Return the path of a fold's model folder."""
    return output / f"fold-{fold}.model"


def _write_summary(
    output: Path, n_folds: int, folds: Sequence[dict[str, float | None]], left_out: LeftOut
) -> dict[str, Any]:
    """Write and return the figures of the finished folds."""
    columns = {name: np.array([figures[name] for figures in folds], np.float64) for name in FIGURES}
    done = len(folds)
    summary = {
        "n_folds": n_folds,
        "left_out": left_out.as_values(),
        "folds": list(folds),
        "mean": {name: _finite(values.mean()) if done else None for name, values in columns.items()},
        "std": {name: _finite(values.std(ddof=1)) if done > 1 else None for name, values in columns.items()},
    }
    with outputs.whole_output(output / SUMMARY, overwrite=True) as temporary:
        temporary.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    return summary


def _one_fold(
    run: RunConfig, pairs: Pairs, output: Path, overwrite: bool, resume: bool, augmented: Sequence[FeatureStore],
    observer: Observer,
) -> dict[str, float | None]:  # fmt: skip
    """Train and evaluate a fold, unless it is finished, and return its figures of merit."""
    assert run.split.fold is not None
    model = model_of(output, run.split.fold)
    predictions = model.with_name(f"fold-{run.split.fold}.predictions.h5")
    _train_unless_finished(run, pairs, model, overwrite, resume, augmented, observer)
    options = PredictOptions(split="test", spectra=Path(run.spectra[0]) if run.spectra else None)
    predict(Model.open(model), pairs[0][0], predictions, options, overwrite or resume)
    with PredictionStore(predictions) as store:
        measured = evaluate(store)
    return {name: of(measured) for name, of in FIGURES.items()}


def _final(
    run: RunConfig, pairs: Pairs, output: Path, overwrite: bool, resume: bool, augmented: Sequence[FeatureStore],
    observer: Callable[[int | None], Observer],
) -> None:  # fmt: skip
    """Fit the final model to all sites, unless it is finished."""
    models = [Model.open(model_of(output, fold)) for fold in range(run.split.folds or 0)]
    chosen = Chosen.from_folds([Chosen.of_model(model) for model in models])
    known = partial(_held_out, run, pairs, augmented, models)
    _train_unless_finished(run, pairs, output / FINAL, overwrite, resume, augmented, observer(None), chosen, known)


def _held_out(
    run: RunConfig, pairs: Pairs, augmented: Sequence[FeatureStore], models: Sequence[Model]
) -> list[HeldOut]:
    """Return what each fold's model predicts for its test set."""
    most, seed = MOST_CALIBRATION_SITES // len(models), run.training.seed
    with closing(gather(run, pairs, augmented)) as data:
        found = [held_out(m, replace(data, sets=m.training_sites.sets), "test", seed, most) for m in models]
    return [one for one in found if one is not None]


def _train_unless_finished(
    run: RunConfig, pairs: Pairs, model: Path, overwrite: bool, resume: bool, augmented: Sequence[FeatureStore],
    observer: Observer, chosen: Chosen | None = None, folds: Callable[[], list[HeldOut]] = list,
) -> None:  # fmt: skip
    """Train a model, or continue its stopped training; with ``resume``, keep it if it is finished."""
    if resume and (model / DESCRIPTION).exists() and not ModelFolder(model).interrupted:
        check_trained(Model.open(model), run, pairs, augmented, chosen)
        return
    resumed = resume and checkpoint_path(model).exists()
    with tensorflow_setup.networks_forgotten():
        result = train(
            run, pairs, model, overwrite or resume, resumed, augmented, observer, chosen=chosen, folds=folds()
        )
    if result.interrupted:
        raise KeyboardInterrupt


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
