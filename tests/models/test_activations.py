"""Activation functions against SciPy and their formulas in double precision."""

import numpy as np
import pytest
from scipy.special import erfc, expit

from xanes_hpc.models import layers
from xanes_hpc.models.numpy_layers import ACTIVATIONS, gelu, silu
from xanes_hpc.models.numpy_network import VALUES_AT_ONCE

EVERYWHERE = np.concatenate(
    [np.linspace(-15, 15, 300_001), np.geomspace(1e-30, 1e30, 601), -np.geomspace(1e-30, 1e30, 601)]
)


def test_every_activation_is_implemented():
    assert set(ACTIVATIONS) == set(layers.ACTIVATIONS)


def test_gelu_is_exact_to_single_precision():
    x = EVERYWHERE.astype(np.float32)
    exact = x.astype(np.float64) * 0.5 * erfc(-x / np.sqrt(2.0))
    np.testing.assert_allclose(gelu(x), exact, rtol=1.5e-7, atol=1.5e-7)


def test_silu_is_exact_to_single_precision():
    x = EVERYWHERE.astype(np.float32)
    np.testing.assert_allclose(silu(x), x * expit(x.astype(np.float64)), rtol=2e-7, atol=2e-7 * 15)


def test_gelu_of_infinity_and_nan():
    with np.errstate(all="raise"):
        found = gelu(np.array([-np.inf, np.inf, 0.0], np.float32))
        np.testing.assert_allclose(found, [0.0, np.inf, 0.0], rtol=0.0, atol=1e-30)
        assert np.isnan(gelu(np.array([np.nan], np.float32))).all()


@pytest.mark.parametrize("shape", [(0,), (3, 1, 5), (VALUES_AT_ONCE + 1,), (2, VALUES_AT_ONCE // 2 + 3)])
def test_gelu_keeps_shape_and_type_and_leaves_its_argument(shape):
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    before = x.copy()
    found = gelu(x)
    assert (found.shape, found.dtype) == (x.shape, x.dtype)
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(found.ravel()[-7:], gelu(x.ravel()[-7:]))


def test_gelu_of_a_view():
    x = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    np.testing.assert_array_equal(gelu(x.T), gelu(x).T)
    np.testing.assert_array_equal(gelu(np.broadcast_to(x[:1], (3, 6))), np.repeat(gelu(x[:1]), 3, axis=0))
