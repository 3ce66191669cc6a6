"""Pass batches of a feed to TensorFlow."""

from collections.abc import Iterator
from typing import Any

import numpy.typing as npt

from xanes_hpc.data.feed import BATCHES_AT_ONCE, Feed
from xanes_hpc.data.sharded_feed import ShardedFeed
from xanes_hpc.models.backend import tf
from xanes_hpc.models.graph_inputs import GraphInputs
from xanes_hpc.models.layers import GRAPH_INPUTS, PLACES
from xanes_hpc.models.numpy_network import Inputs
from xanes_hpc.models.scaling import Scalers
from xanes_hpc.structures.graphs import Graphs

Arrays = tuple[npt.NDArray[Any], ...]


def input_specs(feed: Feed | ShardedFeed) -> tuple[Any, ...]:
    """Return the shapes and types of what networks take of some sites, before their absorbers."""
    if not feed.graphs:
        return (tf.TensorSpec((None, feed.n_features), tf.float32),)
    shapes = {name: shape for name, (_, shape) in GRAPH_INPUTS.items()} | dict.fromkeys(PLACES, ())
    whole = {"numbers", *PLACES}
    return tuple(
        tf.TensorSpec((None, *shape), tf.int32 if name in whole else tf.float32) for name, shape in shapes.items()
    )


def network_inputs(x: Inputs, scalers: Scalers) -> Arrays:
    """Return what networks take of some sites, from features as stored or from graphs."""
    return GraphInputs.of(x).arrays() if isinstance(x, Graphs) else (scalers.features(x),)


def dataset(feed: Feed | ShardedFeed, epochs: range) -> tf.data.Dataset:
    """Return the batches of several epochs, one after another.

    A batch holds the inputs of networks (``input_specs``), absorbers (own_size,) int32, targets (own_size, n_energies)
    float32 and weights (own_size, n_members) float32. Graphs need no padding: nothing depends on the number of atoms.
    """
    made = _graph_batches if feed.graphs else _feature_blocks

    def batches() -> Iterator[tuple[Any, ...]]:
        try:
            for epoch in epochs:
                yield from made(feed, epoch)
        except Exception as error:  # TensorFlow raises another error in its place
            feed.failure = error
            raise

    size = feed.own_size
    others = (
        tf.TensorSpec((size,), tf.int32),
        tf.TensorSpec((size, feed.n_energies), tf.float32),
        tf.TensorSpec((size, feed.n_members), tf.float32),
    )
    if feed.graphs:
        found = tf.data.Dataset.from_generator(batches, output_signature=(input_specs(feed), *others))
        return found.prefetch(BATCHES_AT_ONCE)
    every = ((tf.TensorSpec((size, feed.n_features), tf.float32),), *others)
    blocks = tf.nest.map_structure(lambda spec: tf.TensorSpec((None, *spec.shape), spec.dtype), every)
    return tf.data.Dataset.from_generator(batches, output_signature=blocks).unbatch().prefetch(2 * BATCHES_AT_ONCE)


def _feature_blocks(feed: Feed | ShardedFeed, epoch: int) -> Iterator[tuple[Any, ...]]:
    """Yield several batches at a time, with a first axis for them."""
    for x, *others in feed.blocks(epoch):
        yield (x,), *others


def _graph_batches(feed: Feed | ShardedFeed, epoch: int) -> Iterator[tuple[Any, ...]]:
    """Yield single batches."""
    for block in feed.blocks(epoch):
        for graphs, *others in zip(*block, strict=True):
            yield GraphInputs.of(Graphs.joined(list(graphs))).arrays(), *others
