"""The training loop: ``strategy.run`` around a custom step, on one device or several.

All members of an ensemble take each step together, on the same batch but each with its own dropout. Each replica
processes its rows of the global batch; Keras's optimizer sums the gradients over replicas and applies them on each.
Random numbers depend on the seed, the step and the row in the global batch, not on the number of replicas.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.config.sections import TrainingConfig
from xanes_hpc.data.datasets import SiteSet, iterate_inputs
from xanes_hpc.data.feed import Feed
from xanes_hpc.data.sharded_feed import ShardedFeed
from xanes_hpc.errors import ModelError
from xanes_hpc.models.architectures import Layer
from xanes_hpc.models.backend import compiler_flags_hidden, keras, keras_settings, tf
from xanes_hpc.models.keras_network import keras_models
from xanes_hpc.models.layers import dropout_widths, shapes, takes_absorber
from xanes_hpc.models.numbers import write_weights
from xanes_hpc.models.numpy_network import Inputs
from xanes_hpc.models.scaling import Absorbers, Scalers
from xanes_hpc.training.batches import dataset, input_specs, network_inputs
from xanes_hpc.training.losses import spectrum_loss
from xanes_hpc.training.processes import Alone
from xanes_hpc.training.tensorflow_setup import OTHERS_ENDED

ROWS_AT_ONCE, GRAPHS_AT_ONCE = 4096, 64
"""Sites whose spectra are computed at a time, from features and from graphs."""
PLATEAU_FALL = 1 / 3
NOISE = -1
"""Stands for the layer's number in the seed of the noise on features."""


class Trainer:
    """The members' networks, their optimizer, and the devices they run on.

    Parameters
    ----------
    layers
        The architecture of every member.
    scalers
        Scalers of features and targets.
    config
        Loss, schedule, seed, epochs and so on.
    feed
        Source of the batches.
    step_ev
        Step of the grid, in eV.
    devices
        TensorFlow's names of the devices; empty for the default device.
    frozen
        Names of the layers whose weights are not trained.
    team
        The processes that train together; this one alone by default.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        scalers: Scalers,
        config: TrainingConfig,
        feed: Feed | ShardedFeed,
        step_ev: float,
        devices: Sequence[str] = (),
        frozen: Sequence[str] = (),
        team: Alone | None = None,
    ) -> None:
        self.team = team or Alone()
        self._strategy = self.team.strategy or _strategy(tuple(devices))
        self._config, self._feed, self._scalers = config, feed, scalers
        n_absorbers = len(scalers.target_mean)
        self._n_absorbers = n_absorbers if takes_absorber(layers) else 0
        widths = dropout_widths(layers, shapes(layers, feed.n_features, n_absorbers))
        rates = {layer.name: layer.rate for layer in layers}
        self._dropouts = [(i, widths[x.name], rates[x.name]) for i, x in enumerate(layers) if x.name in widths]
        self._loss = spectrum_loss(config, scalers, step_ev)
        with self._strategy.scope(), keras_settings(config.precision):
            pairs = [keras_models(layers, feed.n_features, n_absorbers, config.seed, m) for m in range(feed.n_members)]
            self._networks, self._plain = zip(*pairs, strict=True)
            for network in self._plain:
                for name in frozen:
                    network.get_layer(name).trainable = False
            self._optimizer = _optimizer(config, feed.n_batches)
            self._optimizer.build(self._trained)
        self._update = self._apply
        alone = not devices and self.team.strategy is None
        if alone and config.precision == "float32" and _compiles():
            self._update = tf.function(self._apply, jit_compile=True)
        self._steps = tf.function(self._some_steps)
        one_hot = tf.TensorSpec((None, max(1, self._n_absorbers)), tf.float32)
        self._forward = tf.function(self._outputs, [input_specs(feed), one_hot])

    @property
    def _trained(self) -> list[Any]:
        return [v for network in self._networks for v in network.trainable_variables]

    @property
    def n_members(self) -> int:
        """Number of networks."""
        return len(self._networks)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the last step."""
        return float(self._optimizer.learning_rate)

    def lower_learning_rate(self) -> None:
        """Lower the learning rate to a third."""
        self._optimizer.learning_rate = self.learning_rate * PLATEAU_FALL

    def batches(self, epochs: range) -> Iterator[Any]:
        """Return an iterator over the batches of several epochs, to pass to ``steps``."""
        if self.team.strategy is None:
            batches: Iterator[Any] = iter(self._strategy.experimental_distribute_dataset(dataset(self._feed, epochs)))
            return batches
        n_local = len(self._strategy.extended.worker_devices)

        def own(context: Any) -> Any:
            return dataset(self._feed, epochs).unbatch().batch(self._feed.own_size // n_local)

        shared: Iterator[Any] = iter(self._strategy.distribute_datasets_from_function(own))
        return shared

    def steps(self, batches: Iterator[Any], n: int) -> npt.NDArray[np.float32]:
        """Take ``n`` steps and return the loss of each, (n,), averaged over members.

        Raises
        ------
        StoreError
            If a batch cannot be read.
        ModelError
            If another process of the team has ended.
        """
        try:
            losses: npt.NDArray[np.float32] = self._steps(batches, tf.constant(n)).numpy()
        except tf.errors.OpError:
            if self._feed.failure is not None:
                raise self._feed.failure from None
            if self.team.strategy is not None:
                raise ModelError(OTHERS_ENDED) from None
            raise
        return losses

    def _some_steps(self, batches: Any, n: Any) -> Any:
        losses = tf.TensorArray(tf.float32, size=n)
        for i in tf.range(n):
            of_replicas = self._strategy.run(self._step, args=next(batches))
            losses = losses.write(i, self._strategy.reduce(tf.distribute.ReduceOp.SUM, of_replicas, axis=None))
        return losses.stack()

    def _step(self, inputs: tuple[Any, ...], absorbers: Any, y: Any, weights: Any) -> Any:
        starts = list(inputs)
        if self._config.feature_noise:
            noise = self._random(tf.random.stateless_normal, self._feed.n_features, 0, NOISE)
            starts[0] += self._config.feature_noise * noise
        if self._n_absorbers:
            starts.append(tf.one_hot(absorbers, self._n_absorbers))
        with tf.GradientTape() as tape:
            losses = []
            for member, network in enumerate(self._networks):
                masks = [self._mask(member, *dropout) for dropout in self._dropouts]
                output = tf.cast(network([*starts, *masks]), tf.float32)
                values = self._loss(output, y, absorbers)
                losses.append(tf.reduce_sum(values * weights[:, member]))
            loss = tf.add_n(losses) / self._feed.batch_size
            scaled = self._optimizer.scale_loss(loss)
        variables = self._trained
        gradients = tape.gradient(scaled, variables)
        if self._config.precision == "mixed_float16":  # replicas must agree on whether to skip a step
            context = tf.distribute.get_replica_context()
            gradients = context.all_reduce(tf.distribute.ReduceOp.MEAN, gradients)
        self._update(gradients)
        return loss / self.n_members

    def _apply(self, gradients: Any) -> None:
        self._optimizer.apply(gradients, self._trained)  # which sums over replicas

    def _mask(self, member: int, layer: int, width: int, rate: float) -> Any:
        uniform = self._random(tf.random.stateless_uniform, width, member, layer)
        return tf.cast(uniform >= rate, tf.float32) / (1.0 - rate)

    def _random(self, draw: Any, width: int, member: int, layer: int) -> Any:
        """Return this replica's rows of the random numbers for the global batch, (rows, width)."""
        key = int(np.random.SeedSequence([self._config.seed, member, layer + 1]).generate_state(1)[0])
        step = tf.cast(self._optimizer.iterations, tf.int64)
        every = draw((self._feed.batch_size, width), tf.stack([tf.constant(key, tf.int64), step]))
        rows = self._feed.batch_size // self._strategy.num_replicas_in_sync
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        return every if rows == len(every) else every[replica * rows : (replica + 1) * rows]

    def _outputs(self, inputs: tuple[Any, ...], one_hot: Any) -> Any:
        starts = [*inputs, one_hot] if self._n_absorbers else [*inputs]
        return tf.stack([tf.cast(network(starts), tf.float32) for network in self._plain])

    def spectra(self, x: Inputs, absorbers: Absorbers) -> npt.NDArray[np.float64]:
        """Return the members' mean spectra without dropout, (n_sites, n_energies), from unscaled features or graphs."""
        one_hot, blocks = np.eye(max(1, self._n_absorbers), dtype=np.float32), []
        at_once = GRAPHS_AT_ONCE if self._feed.graphs else ROWS_AT_ONCE
        for start in range(0, len(x), at_once):
            rows = slice(start, start + at_once)
            own = absorbers[rows]
            hot = one_hot[own if self._n_absorbers else np.zeros_like(own)]
            raw = self._forward(network_inputs(x[rows], self._scalers), hot).numpy()
            blocks.append(self._scalers.spectra(raw, own).mean(axis=0))
        return np.concatenate(blocks)

    def spectra_of(self, sites: SiteSet) -> npt.NDArray[np.float64]:
        """Return the members' mean spectra without dropout of a set of sites, (n_sites, n_energies)."""
        every = iterate_inputs(sites, self._feed.graphs)
        return np.concatenate([self.spectra(x, absorbers) for x, absorbers, _ in every])

    @property
    def _state(self) -> list[Any]:
        return [v for network in self._networks for v in network.variables] + list(self._optimizer.variables)

    def state(self) -> list[npt.NDArray[Any]]:
        """Return a copy of everything that a step changes."""
        return [np.array(v) for v in self._state]

    def restore(self, state: Sequence[npt.NDArray[Any]]) -> None:
        """Restore a state saved by a trainer of the same networks."""
        for variable, value in zip(self._state, state, strict=True):
            variable.assign(value)

    def weights(self) -> list[list[npt.NDArray[np.float32]]]:
        """Return a copy of all weights, by member."""
        return [[np.array(w) for w in network.get_weights()] for network in self._plain]

    def set_weights(self, weights: Sequence[Sequence[npt.NDArray[np.float32]]]) -> None:
        """Set all weights, by member."""
        for network, own in zip(self._plain, weights, strict=True):
            network.set_weights(own)

    def start_from(self, member: int, weights: Mapping[str, Sequence[npt.NDArray[np.float32]]]) -> None:
        """Set the weights of a member's layers, by name; other layers keep theirs."""
        for name, own in weights.items():
            self._plain[member].get_layer(name).set_weights(own)

    def save(self, member: int, path: Path) -> None:
        """Save a member's weights in Keras's weights format."""
        layers = [layer for layer in self._plain[member].layers if layer.weights]
        write_weights(path, [(type(layer).__name__.lower(), layer.name, layer.get_weights()) for layer in layers])


@cache
def _strategy(devices: tuple[str, ...]) -> Any:
    """Return the strategy of a set of devices; one each, because two would mix up what their replicas exchange."""
    return tf.distribute.MirroredStrategy(list(devices)) if len(devices) > 1 else tf.distribute.get_strategy()


@cache
def _compiles() -> bool:
    """Return True if XLA can compile for this processor: an update is then one pass over the weights, not a dozen.

    XLA is not tried on GPUs, where it needs programs of the CUDA toolkit.
    """
    if tf.config.get_visible_devices("GPU"):
        return False
    try:
        with compiler_flags_hidden():
            tf.function(lambda x: x + 1.0, jit_compile=True)(tf.constant(1.0))
    except tf.errors.OpError:
        return False
    return True


def _optimizer(config: TrainingConfig, n_batches: int) -> Any:
    rate: Any = config.learning_rate
    if config.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, max(1, config.most_epochs * n_batches))
    optimizer = keras.optimizers.AdamW(rate, weight_decay=config.weight_decay)
    return keras.optimizers.LossScaleOptimizer(optimizer) if config.precision == "mixed_float16" else optimizer
