"""The one training loop: ``strategy.run`` around a step of our own, on one device or several.

Each replica takes its share of the global batch; gradients are summed over replicas and applied by the
optimizer on each.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from xanes_hpc.config import TrainingConfig
from xanes_hpc.models import Layer
from xanes_hpc.models.keras_network import keras_models

ROWS_AT_ONCE = 4096


class Trainer:
    """A network, its optimizer, and the devices they are on.

    Parameters
    ----------
    layers, n_features
        The network.
    config
        Loss, learning rate, weight decay, batch size, seed and epochs.
    steps
        Batches per epoch.
    devices
        TensorFlow's names of the devices; none for the default one.
    """

    def __init__(
        self, layers: Sequence[Layer], n_features: int, config: TrainingConfig, steps: int, devices: Sequence[str]
    ) -> None:
        self._strategy = (
            tf.distribute.MirroredStrategy(list(devices)) if len(devices) > 1 else tf.distribute.get_strategy()
        )
        self._config, self._steps = config, steps
        with self._strategy.scope():
            self._network, self._deterministic = keras_models(layers, n_features, config.seed)
            schedule = keras.optimizers.schedules.CosineDecay(config.learning_rate, max(1, config.epochs * steps))
            self._optimizer = keras.optimizers.AdamW(schedule, weight_decay=config.weight_decay)
            self._optimizer.build(self._network.trainable_variables)
        self._run = tf.function(self._distributed_step)
        self._forward = tf.function(self._deterministic, reduce_retracing=True)

    @property
    def learning_rate(self) -> float:
        """The rate of the last step."""
        return float(self._optimizer.learning_rate)

    def epoch(self, batches: tf.data.Dataset, after_step: Callable[[], None] = lambda: None) -> float:
        """Take one step per batch, calling ``after_step`` after each; the mean loss."""
        total = tf.constant(0.0)
        n = 0
        for batch in self._strategy.experimental_distribute_dataset(batches):
            total += self._run(batch)
            n += 1
            after_step()
        return float(total) / max(1, n)

    def _distributed_step(self, batch: Any) -> Any:
        losses = self._strategy.run(self._step, args=batch)
        return self._strategy.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None)

    def _step(self, x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            difference = self._network(x) - y
            values = tf.square(difference) if self._config.loss == "mse" else tf.abs(difference)
            loss = tf.reduce_sum(tf.reduce_mean(values, axis=1)) / self._config.batch_size
        variables = self._network.trainable_variables
        gradients = tape.gradient(loss, variables)
        context = tf.distribute.get_replica_context()
        gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        self._optimizer.apply(gradients, variables)
        return loss

    def predict(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The network's output without dropout, (n_sites, n_energies), from scaled features."""
        blocks = [self._forward(x[i : i + ROWS_AT_ONCE]).numpy() for i in range(0, len(x), ROWS_AT_ONCE)]
        return np.concatenate(blocks)

    def weights(self) -> list[npt.NDArray[np.float32]]:
        """A copy of all weights."""
        return [np.array(w) for w in self._deterministic.get_weights()]

    def save(self, path: Path, weights: list[npt.NDArray[np.float32]] | None) -> None:
        """Save weights (the current ones by default) as Keras's weights file."""
        if weights is not None:
            self._deterministic.set_weights(weights)
        # Keras writes HDF5 itself, which does not survive a full disk: let it write elsewhere, and bytes here.
        with tempfile.TemporaryDirectory(prefix="xanes-hpc-") as folder:
            elsewhere = Path(folder) / path.name
            self._deterministic.save_weights(elsewhere)
            path.write_bytes(elsewhere.read_bytes())
