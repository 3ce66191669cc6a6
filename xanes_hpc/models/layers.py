"""Keras layers of our own."""

from typing import Any

import keras


class MonteCarloDropout(keras.layers.Layer):  # type: ignore[misc]
    """Dropout that is always on, in prediction too: with the rest of the network as in prediction.

    Calling a model with ``training=True`` instead would switch every other layer to training as well.
    """

    def __init__(self, rate: float, seed: int, **options: Any) -> None:
        super().__init__(**options)
        self.rate = rate
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any) -> Any:
        """Drop a fraction ``rate`` of the inputs and scale the rest by 1 / (1 - rate)."""
        if self.rate == 0.0:
            return inputs
        return keras.random.dropout(inputs, self.rate, seed=self.seed_generator)
