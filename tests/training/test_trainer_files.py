"""The files of weights that training writes."""

import numpy as np
import pytest

from xanes_hpc.models import architectures
from xanes_hpc.models.keras_network import keras_models
from xanes_hpc.models.numbers import read_weights, write_weights


@pytest.mark.parametrize("name", ["residual", "convolutional"])
def test_keras_reads_the_weights_that_we_write(tmp_path, name):
    _, layers = architectures.build(name, {}, 6, 40)
    first, second = (keras_models(layers, 6, 1, seed)[1] for seed in (1, 2))
    path = tmp_path / "network.weights.h5"
    own = [layer for layer in first.layers if layer.weights]
    write_weights(path, [(type(layer).__name__.lower(), layer.name, layer.get_weights()) for layer in own])
    second.load_weights(path)
    for ours, theirs in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert {layer.name for layer in own} == set(read_weights(path))
