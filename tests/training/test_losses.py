"""The losses agree with their formulas in NumPy."""

import numpy as np
import pytest

from xanes_hpc.config.sections import TrainingConfig
from xanes_hpc.models.scaling import Scalers
from xanes_hpc.training.losses import HUBER, spectrum_loss

STEP = 0.4
TOLERANCE = {"rtol": 2e-5, "atol": 1e-7}
"""Tolerance of float32 against float64."""


def of_difference(loss, d):
    if loss == "mae":
        return np.abs(d)
    if loss == "mse":
        return d**2
    return np.where(np.abs(d) <= HUBER, d**2 / (2 * HUBER), np.abs(d) - HUBER / 2)


def expected(loss, d, first=0.0, second=0.0):
    slope = np.diff(d, axis=1) / STEP
    curvature = np.diff(slope, axis=1) / STEP
    terms = ((1.0, d), (first, slope), (second, curvature))
    return sum(weight * of_difference(loss, values).mean(axis=1) for weight, values in terms)


@pytest.fixture(scope="module")
def spectra():
    """Return outputs, scaled targets and absorbers of five sites, with small and large differences."""
    generator = np.random.default_rng(0)
    output, y = generator.normal(size=(2, 5, 12))
    y[0] = output[0] + 0.3 * HUBER * generator.normal(size=12)
    return output, y, np.array([0, 1, 1, 0, 1])


def scalers(softness=None):
    generator = np.random.default_rng(1)
    mean, scale = generator.uniform(0.5, 2.0, (2, 2, 12))
    return Scalers(np.zeros(1), np.ones(1), mean, scale, softness)


def loss_of(spectra, scalers, **config):
    output, y, absorbers = spectra
    return spectrum_loss(TrainingConfig(**config), scalers, STEP)(
        output.astype(np.float32), y.astype(np.float32), absorbers
    ).numpy()


@pytest.mark.parametrize("loss", ["mae", "mse", "huber"])
@pytest.mark.parametrize(("first", "second"), [(0.0, 0.0), (0.7, 0.0), (0.0, 0.3), (0.7, 0.3)])
def test_losses_with_line_shape_terms(spectra, loss, first, second):
    output, y, _ = spectra
    found = loss_of(spectra, scalers(), loss=loss, first_derivative=first, second_derivative=second)
    assert found.shape == (5,)
    np.testing.assert_allclose(found, expected(loss, output - y, first, second), **TOLERANCE)


@pytest.mark.parametrize("loss", ["mae", "huber"])
def test_the_loss_of_positive_spectra_is_taken_after_the_softplus(spectra, loss):
    output, y, absorbers = spectra
    own = scalers(np.random.default_rng(2).uniform(0.05, 0.5, (2, 12)))
    z = own.spectra(output, absorbers)
    assert (z > 0).all()
    assert not (output * own.target_scale[absorbers] + own.target_mean[absorbers] > 0).all()
    difference = (z - own.target_mean[absorbers]) / own.target_scale[absorbers] - y
    found = loss_of(spectra, own, loss=loss, first_derivative=0.2)
    np.testing.assert_allclose(found, expected(loss, difference, 0.2), **TOLERANCE)


def test_spectra_in_small_units_have_the_same_loss(spectra):
    small = scalers(np.full((2, 12), 0.1))
    unit = 1e-20
    smaller = Scalers(
        small.feature_mean, small.feature_scale, *(unit * a for a in (small.target_mean, small.target_scale)),
        softness=unit * small.softness,
    )  # fmt: skip
    np.testing.assert_allclose(loss_of(spectra, smaller), loss_of(spectra, small), rtol=1e-5)


def gradient(output, y, own):
    """Return the gradient of five sites' summed losses, at outputs that are all equal."""
    import tensorflow as tf

    absorbers = np.array([0, 1, 1, 0, 1])
    output = tf.constant(np.full((5, 12), output), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(output)
        loss = spectrum_loss(TrainingConfig(), own, STEP)(output, own.targets(y, absorbers), absorbers)
    return tape.gradient(loss, output).numpy()


def test_an_output_far_below_zero_comes_back():
    """Where the softplus is flat, the gradient is a tenth of what it would be without the softplus."""
    found = gradient(-1e4, np.full((5, 12), 0.3), scalers(np.full((2, 12), 1e-4)))
    np.testing.assert_allclose(found, -0.1 / 12, rtol=1e-5)


def test_an_output_that_is_low_enough_is_not_pushed_further():
    """Else outputs would fall forever where spectra are zero, and drag other sites' outputs down."""
    found = gradient(-1e4, np.zeros((5, 12)), scalers(np.full((2, 12), 1e-4)))
    assert (found <= 0).all()
    assert (np.abs(found) <= 0.1001 / 12).all()
    above = gradient(-1.0, np.zeros((5, 12)), scalers(np.full((2, 12), 0.1)))
    assert (above >= 0).all()


def test_far_above_zero_the_softplus_changes_nothing():
    own = scalers(np.full((2, 12), 1e-3))
    np.testing.assert_allclose(gradient(3.0, np.full((5, 12), 0.1), own), 1 / 12, rtol=1e-6)
    np.testing.assert_allclose(gradient(3.0, np.full((5, 12), 99.0), own), -1 / 12, rtol=1e-6)
