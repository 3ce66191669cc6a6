"""Runs of a study. Finished ones are kept in a folder, so a study may take several sittings."""

import gc
import hashlib
import json
import platform
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from timing import available_cores, machine

from studies.figures import measured
from xanes_hpc.config.files import load_run
from xanes_hpc.config.sections import RunConfig
from xanes_hpc.data.gather import gather
from xanes_hpc.data.target_plan import Pairs
from xanes_hpc.models.model import Model
from xanes_hpc.prediction.predict import PredictOptions, predict
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.site_spectra import digest_of_spectra
from xanes_hpc.training import tensorflow_setup
from xanes_hpc.training.check import resolved
from xanes_hpc.training.inputs import open_spectra
from xanes_hpc.training.train import train

PACKAGES = ("xanes-hpc", "tensorflow", "keras", "numpy")


@dataclass(frozen=True)
class Run:
    """One training, followed by predictions for the test set of every feature store.

    Attributes
    ----------
    features, augmented
        Feature stores, plain and rattled.
    flags
        Settings that differ from the defaults, by dotted key.
    keeps_model
        Keep the model as well as its predictions and figures.
    """

    features: tuple[Path, ...]
    flags: Mapping[str, Any] = field(default_factory=dict)
    augmented: tuple[Path, ...] = ()
    keeps_model: bool = False


@dataclass(frozen=True)
class Outcome:
    """Results of a run: ``values`` as in its file, predictions for each feature store, and the model folder."""

    values: Mapping[str, Any]
    predictions: tuple[Path, ...]
    model: Path

    @property
    def figures(self) -> Mapping[str, float | None]:
        """Figures of the first feature store's sites."""
        found: Mapping[str, float | None] = self.values["figures"][0]
        return found


class Pause(Exception):
    """Raised when the time of the sitting is up."""


class Sitting:
    """Do the runs that are not done yet, and keep their outcomes.

    Parameters
    ----------
    folder
        Folder for the outcomes.
    minutes
        Start no run after this many minutes.
    epochs
        Largest number of epochs of any run, to check that everything runs.
    """

    def __init__(self, folder: Path, minutes: float | None = None, epochs: int | None = None) -> None:
        self._folder, self._minutes, self.epochs = folder, minutes, epochs
        self._begin = time.monotonic()
        self.machines, self.dates, self.seconds = set[str](), set[str](), 0.0
        self.done = 0

    def run(self, run: Run, note: str) -> Outcome:
        """Return the outcome of a run; do the run if it is not done yet.

        Raises
        ------
        Pause
            If it is not done and the time is up.
        """
        with ExitStack() as opened:
            stores = [opened.enter_context(FeatureStore(path)) for path in run.features]
            pairs = open_spectra(stores, [])
            for _, source in pairs:
                opened.callback(source.file.close)
            augmented = [opened.enter_context(FeatureStore(path)) for path in run.augmented]
            config = self._config(run)
            key = _key(config, pairs, augmented)
            outcome = Outcome(
                {},
                tuple(self._path("predictions", f"{key}-{i}.h5") for i in range(len(pairs))),
                self._path("models", f"{key}.model"),
            )
            if run.keeps_model and not outcome.model.exists():
                self._path("kept", f"{key}.json").unlink(missing_ok=True)
            values = self.kept(key, note, lambda: _measure(config, pairs, augmented, outcome, run.keeps_model))
        return Outcome(values, outcome.predictions, outcome.model)

    def kept(self, key: str, note: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return what was measured under a key; measure it if that is not done yet.

        Raises
        ------
        Pause
            If it is not done and the time is up.
        """
        path = self._path("kept", f"{key}.json")
        if not path.exists():
            if self._minutes is not None and time.monotonic() - self._begin >= 60.0 * self._minutes:
                raise Pause
            print(f"{note} …", file=sys.stderr, flush=True)
            begin = time.monotonic()
            values = measure() | {"note": note, "machine": this_machine(), "date": date.today().isoformat()}
            values["whole_seconds"] = time.monotonic() - begin
            new = path.with_suffix(".new")
            new.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            new.replace(path)
            self.done += 1
            print(f"{note}: {_told(values)}", file=sys.stderr, flush=True)
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        self.machines.add(found["machine"])
        self.dates.add(found["date"])
        self.seconds += found["whole_seconds"]
        return found

    def _config(self, run: Run) -> RunConfig:
        flags = dict(run.flags)
        if self.epochs is not None:
            flags["training.epochs"] = min(self.epochs, flags.get("training.epochs", self.epochs))
        with FeatureStore(run.features[0]) as store:
            return resolved(load_run(None, self._folder, flags), store.n_features)

    def _path(self, folder: str, name: str) -> Path:
        (self._folder / folder).mkdir(parents=True, exist_ok=True)
        return self._folder / folder / name


def _measure(
    config: RunConfig, pairs: Pairs, augmented: list[FeatureStore], outcome: Outcome, keeps_model: bool
) -> dict[str, Any]:
    tensorflow_setup.devices(config.training.gpus)  # imports TensorFlow without its messages
    import keras

    from xanes_hpc.training import trainer  # noqa: F401

    gather(config, pairs, augmented).close()  # makes the cache of targets before the clock starts
    begin = time.perf_counter()
    result = train(config, pairs, outcome.model, overwrite=True, augmented=augmented)
    if result.interrupted:
        raise KeyboardInterrupt
    trained = time.perf_counter() - begin
    keras.backend.clear_session()
    gc.collect()
    model, figures, predicted = Model.open(outcome.model), [], []
    for (store, _), path in zip(pairs, outcome.predictions, strict=True):
        begin = time.perf_counter()
        predict(model, store, path, PredictOptions(split="test"), overwrite=True)
        predicted.append(time.perf_counter() - begin)
        figures.append(measured(path, model, store))
    if not keeps_model:
        shutil.rmtree(outcome.model)
    return {
        "seconds": trained,
        "predicting": predicted,
        "parts": result.sets,
        "best_epoch": result.best.epoch,
        "validation_error": result.best.validation_error,
        "figures": figures,
    }


def _key(config: RunConfig, pairs: Pairs, augmented: list[FeatureStore]) -> str:
    """Hash everything that a run's outcome depends on, except machine and program."""
    values = config.as_values()
    for name in ("features", "spectra", "augmented", "output"):
        del values[name]
    if config.transfer.model is not None:
        values["transfer"]["model"] = Path(config.transfer.model).name
    plain = [[s.attribute("source_digest"), s.attribute("descriptor_hash"), digest_of_spectra(o)] for s, o in pairs]
    text = json.dumps([values, plain, [[s.attribute("source_digest"), s.rattle] for s in augmented]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def this_machine() -> str:
    """Describe the processor and the versions that figures may depend on."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"{machine()['processor']}, {available_cores()} cores, Python {platform.python_version()}, {versions}"


def _told(values: Mapping[str, Any]) -> str:
    shown = [f"{f['error_percent_mean']:.2f} %" for f in values.get("figures", [])]
    return ", ".join([*shown, f"{values['whole_seconds']:.0f} s"])
