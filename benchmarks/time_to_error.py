"""Training time to a validation error: ours and scikit-learn's, on the same sites and with the same scaling."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import peers
from timing import available_cores

from xanes_hpc.analysis.evaluate import error_percent
from xanes_hpc.config.sections import RunConfig, TrainingConfig
from xanes_hpc.data.datasets import SiteSet, TrainingData, iterate, statistics
from xanes_hpc.data.gather import gather
from xanes_hpc.runtime.interruption import Interruption
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.training import tensorflow_setup
from xanes_hpc.training.check import Prepared, resolved
from xanes_hpc.training.epochs import Epoch
from xanes_hpc.training.inputs import open_spectra
from xanes_hpc.training.processes import Alone
from xanes_hpc.training.stages import Observer, Training

Found = dict[str, Any]


class Reached(Exception):
    """The error is reached."""


@contextmanager
def _opened(features: Path, seed: int) -> Iterator[tuple[RunConfig, TrainingData]]:
    with ExitStack() as opened:
        store = opened.enter_context(FeatureStore(features))
        pairs = open_spectra([store], [])
        for _, source in pairs:
            opened.callback(source.file.close)
        run = resolved(RunConfig(training=TrainingConfig(seed=seed)), store.n_features)
        data = gather(run, pairs)
        opened.callback(data.close)
        yield run, data


def ours(features: Path, error: float, seed: int) -> Found:
    """Time the first stage of training with its defaults, including validation."""
    tensorflow_setup.devices(0)
    from xanes_hpc.training import trainer  # noqa: F401

    curve: list[tuple[float, float]] = []
    with _opened(features, seed) as (run, data), Interruption() as interruption:
        run = replace(run, training=replace(run.training, checkpoint_minutes=float("inf")))
        begin = time.perf_counter()

        def epoch_done(epoch: Epoch) -> None:
            curve.append((time.perf_counter() - begin, epoch.validation_error))
            if epoch.validation_error <= error:
                raise Reached

        training = Training(Prepared(run, [], Alone()), data, {}, features, interruption, Observer(epoch=epoch_done))
        with suppress(Reached):
            training.choose()
    return _told(curve, error)


def theirs(features: Path, error: float, seed: int, epochs: int) -> Found | None:
    """Time scikit-learn's network epoch by epoch; return None if it is not installed."""
    if not peers.installed("sklearn"):
        return None
    from sklearn.neural_network import MLPRegressor
    from threadpoolctl import threadpool_limits

    with _opened(features, seed) as (run, data), threadpool_limits(available_cores()):
        training = data.sites_in("train")
        scalers = statistics(training, run.training.feature_transform).scalers(run.training.target_scale)
        x, absorbers, y = _whole(training)
        x, y = scalers.features(x), scalers.targets(y, absorbers)
        x_validation, absorbers, y_validation = _whole(data.sites_in("validation"))
        x_validation = scalers.features(x_validation)
        mean, scale = scalers.target_mean[absorbers], scalers.target_scale[absorbers]
        options = {"batch_size": min(32, len(x)), "learning_rate_init": 1e-3, "random_state": seed}
        network = MLPRegressor(hidden_layer_sizes=(512, 512), **options)
        curve: list[tuple[float, float]] = []
        taken = 0.0
        while len(curve) < epochs and not (curve and curve[-1][1] <= error):
            begin = time.perf_counter()
            network.partial_fit(x, y)
            taken += time.perf_counter() - begin
            predicted = network.predict(x_validation) * scale + mean
            curve.append((taken, float(error_percent(y_validation, predicted).mean())))
    return _told(curve, error)


def _whole(part: SiteSet) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, absorbers, y = (np.concatenate(arrays) for arrays in zip(*iterate(part), strict=True))
    return x, absorbers, y


def _told(curve: list[tuple[float, float]], error: float) -> Found:
    taken, last = curve[-1]
    return {"reached": last <= error, "taken": taken, "epochs": len(curve), "least": min(e for _, e in curve)}
