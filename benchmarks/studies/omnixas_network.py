"""A network of OmniXAS's shape (Kharel et al., arXiv:2409.19552), trained on our features."""

from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.config.files import load_run
from xanes_hpc.data.datasets import iterate, statistics
from xanes_hpc.data.gather import gather
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.training.check import resolved
from xanes_hpc.training.inputs import open_spectra

WIDTHS = (600, 600, 400)
RATES = (3e-4, 1e-3)
"""Learning rates to choose from by validation error."""
BATCH, PATIENCE, EPOCHS = 32, 25, 400
Sets = Mapping[str, tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]]


def sets_of(features: Path, flags: Mapping[str, Any], folder: Path) -> Sets:
    """Return features and targets of each set of the split that a run with these settings would use."""
    with ExitStack() as opened:
        store = opened.enter_context(FeatureStore(features))
        pairs = open_spectra([store], [])
        opened.callback(pairs[0][1].file.close)
        config = resolved(load_run(None, folder, dict(flags)), store.n_features)
        data = opened.enter_context(closing(gather(config, pairs)))
        scalers, found = statistics(data.sites_in("train"), "sqrt").scalers("global"), {}
        for name in ("train", "validation", "calibration", "test"):
            x, _, y = (np.concatenate(arrays) for arrays in zip(*iterate(data.sites_in(name)), strict=True))
            found[name] = scalers.features(x), y.astype(np.float64)
    return found


def predicted(sets: Sets, seed: int, epochs: int | None = None) -> npt.NDArray[np.float64]:
    """Return the test spectra of the network that has the lowest validation error."""
    import keras

    (x, y), (x_val, y_val), (x_test, _) = (sets[name] for name in ("train", "validation", "test"))
    size = y.mean()
    best: tuple[float, npt.NDArray[np.float64]] | None = None
    for rate in RATES:
        keras.utils.set_random_seed(seed)
        layers: list[Any] = [keras.layers.Input((x.shape[1],))]
        for width in WIDTHS:
            layers += [
                keras.layers.Dense(width),
                keras.layers.BatchNormalization(),
                keras.layers.Activation("silu"),
            ]
        network = keras.Sequential([*layers, keras.layers.Dense(y.shape[1], activation="softplus")])
        network.compile(keras.optimizers.Adam(rate), "mse")
        stop = keras.callbacks.EarlyStopping(patience=PATIENCE, restore_best_weights=True)
        network.fit(
            x, y / size, BATCH, epochs or EPOCHS, verbose=0, callbacks=[stop],
            validation_data=(x_val, y_val / size),
        )  # fmt: skip
        loss = float(network.evaluate(x_val, y_val / size, verbose=0))
        if best is None or loss < best[0]:
            best = loss, size * network.predict(x_test, verbose=0).astype(np.float64)
        keras.backend.clear_session()
    assert best is not None
    return best[1]
