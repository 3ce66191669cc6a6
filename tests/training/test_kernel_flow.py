"""Learning the scales of a kernel: its gradient against finite differences, and what it finds."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from support import kernels as slow

from xanes_hpc.models.kernels import Matern, importance
from xanes_hpc.training import kernel_flow
from xanes_hpc.training.kernel_flow import (
    Logarithms,
    Sites,
    blocks_of,
    error_and_gradient,
    first_coupling,
    first_kernel,
    learn,
)

N_FEATURES, NOISE = 6, 0.01
OFFSETS = np.linspace(-1.0, 2.0, N_FEATURES)
COUPLING = np.array([[1.0, 0.5, 0.25], [0.5, 1.0, 0.0], [0.25, 0.0, 1.0]])


def sites(n, seed=0, n_absorbers=1, group=1):
    """Return sites whose targets depend on the first two features only."""
    random = np.random.default_rng(seed)
    z = random.normal(size=(n, N_FEATURES)).astype(np.float32)
    targets = np.stack([np.sin(2.0 * z[:, 0]), z[:, 1] * z[:, 0], z[:, 1]], axis=1).astype(np.float32)
    return Sites(z, targets, np.arange(n) % n_absorbers, np.arange(n) // group)


def slow_error(parameters, fitted, predicted, coupling=None):
    """Return the error of equation (1) for amplitudes, scales and linear weights in one vector."""
    amplitudes, scales, linear = parameters[:2], parameters[2:-N_FEATURES].reshape(2, -1), parameters[-N_FEATURES:]
    kernel = partial(slow.matern, amplitudes=amplitudes, scales=scales, linear=linear, offsets=OFFSETS)
    found = slow.predicted(kernel, fitted.z, fitted.absorbers, fitted.targets, predicted.z, predicted.absorbers, NOISE,
                           coupling)  # fmt: skip
    return np.abs(found - predicted.targets).mean()


@pytest.mark.parametrize(("n_absorbers", "coupling"), [(1, None), (2, None), (3, COUPLING)])
def test_the_gradient_equals_finite_differences(n_absorbers, coupling):
    random = np.random.default_rng(1)
    fitted, predicted = sites(12, 2, n_absorbers), sites(7, 3, n_absorbers)
    scales, linear = random.uniform(0.05, 0.5, (2, N_FEATURES)), random.uniform(0.01, 0.1, N_FEATURES)
    kernel = Matern(np.array([0.7, 0.4]), scales, linear, OFFSETS, coupling)
    error, gradient = error_and_gradient(kernel, fitted, predicted, NOISE)
    start = np.concatenate([kernel.amplitudes, kernel.scales.ravel(), kernel.linear])
    assert error == pytest.approx(slow_error(start, fitted, predicted, coupling), rel=1e-5)
    steps = 1e-6 * np.eye(start.size)
    expected = [
        (slow_error(start + step, fitted, predicted, coupling) - slow_error(start - step, fitted, predicted, coupling))
        / 2e-6
        for step in steps
    ]
    found = np.concatenate([gradient.amplitudes, gradient.scales.ravel(), gradient.linear])
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("coupling", [None, COUPLING])
def test_the_gradient_of_logarithms_equals_finite_differences(coupling):
    fitted, predicted = sites(12, 2, 3), sites(7, 3, 3)
    logarithms = Logarithms(first_kernel(fitted.z, (0.5, 2.0), OFFSETS, coupling), np.array([0, 0, 0, 1, 1, 2]))
    values = logarithms.start + np.random.default_rng(0).normal(0.0, 0.3, logarithms.start.size)

    def error(some):
        kernel = logarithms.kernel(some)
        parameters = np.concatenate([kernel.amplitudes, kernel.scales.ravel(), kernel.linear])
        return slow_error(parameters, fitted, predicted, kernel.coupling)

    kernel = logarithms.kernel(values)
    found = logarithms.gradient(kernel, error_and_gradient(kernel, fitted, predicted, NOISE)[1])
    expected = [(error(values + step) - error(values - step)) / 2e-6 for step in 1e-6 * np.eye(values.size)]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_the_first_kernel_has_the_given_length_scales():
    kernel = first_kernel(sites(5).z, (0.5, 2.0))
    np.testing.assert_allclose(kernel.scales.sum(axis=1) ** -0.5, [0.5, 2.0])
    np.testing.assert_allclose(kernel.amplitudes, 0.5)


def test_a_constant_feature_gets_no_large_weight():
    z = sites(50).z.copy()
    z[:, 2] = 1e-7 * z[:, 2]
    kernel = first_kernel(z, (1.0,), OFFSETS)
    assert kernel.linear.max() <= kernel_flow.LINEAR / N_FEATURES
    assert first_kernel(z, (1.0,)).linear.max() <= kernel_flow.LINEAR / N_FEATURES


def test_features_that_matter_get_large_scales(monkeypatch):
    monkeypatch.setattr(kernel_flow, "N_STEPS", 60)
    some = sites(300)
    first = first_kernel(some.z, (1.0,))
    kernel = learn(some, np.arange(N_FEATURES), first, seed=0)
    found = importance(kernel, some.z)
    assert found[:2].min() > 5.0 * found[2:].max()
    fitted, new = sites(200, 4), sites(100, 5)
    assert error_and_gradient(kernel, fitted, new)[0] < 0.7 * error_and_gradient(first, fitted, new)[0]


def test_elements_whose_spectra_are_alike_are_coupled(monkeypatch):
    monkeypatch.setattr(kernel_flow, "N_STEPS", 60)
    some = sites(300, n_absorbers=2)
    coupled = first_coupling([(26, "K"), (27, "K")])
    alike = learn(some, np.arange(N_FEATURES), first_kernel(some.z, (1.0,), None, coupled), seed=0)
    opposite = replace(some, targets=some.targets * np.where(some.absorbers == 0, 1.0, -1.0)[:, None])
    apart = learn(opposite, np.arange(N_FEATURES), first_kernel(some.z, (1.0,), None, coupled), seed=0)
    assert alike.coupling[0, 1] > 0.8
    assert apart.coupling[0, 1] < 0.2


def test_the_same_seed_gives_the_same_kernel(monkeypatch):
    monkeypatch.setattr(kernel_flow, "N_STEPS", 3)
    some = sites(40)
    first = first_kernel(some.z, (1.0,))
    one, again, other = (learn(some, np.zeros(N_FEATURES, int), first, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.scales, again.scales)
    assert (one.scales != other.scales).any()


@pytest.mark.parametrize(("n", "group"), [(2, 1), (3, 1), (90, 7), (3000, 4), (40, 20)])
def test_a_group_is_either_fitted_or_predicted(n, group):
    some = sites(n, group=group)
    for seed in range(5):
        fitted, predicted = some.drawn(np.random.default_rng(seed))
        assert len(fitted.z), len(predicted.z)
        assert not set(fitted.groups) & set(predicted.groups)
        assert len(fitted.z) <= kernel_flow.N_FITTED
        assert len(predicted.z) <= kernel_flow.N_PREDICTED + group


def test_a_single_group_keeps_the_first_kernel():
    some = sites(5, group=5)
    first = first_kernel(some.z, (1.0,))
    assert learn(some, np.zeros(N_FEATURES, int), first, seed=0) is first


def test_features_of_another_program_weigh_as_one_block(monkeypatch):
    """Each of them tells little of the targets, which depend on all of them together."""
    monkeypatch.setattr(kernel_flow, "N_STEPS", 25)
    random = np.random.default_rng(7)
    hidden, noise = random.normal(size=(300, 2)), random.normal(size=(300, 12))
    foreign = hidden @ random.normal(size=(2, 24)) + random.normal(size=(300, 24))
    targets = np.stack([np.sin(2.0 * hidden[:, 0]), hidden[:, 1]], axis=1).astype(np.float32)
    z = np.concatenate([noise, foreign], axis=1).astype(np.float32)
    some = Sites(z, targets, np.zeros(300, int), np.arange(300))
    labels = [*(f"G2 C mu={i}" for i in range(12)), *(f"foreign[{i}]" for i in range(24))]
    first = first_kernel(z, (1.0,))
    blocks = blocks_of(labels, n_foreign=24)
    assert len(set(blocks[12:])) == 1
    assert blocks[12] not in blocks[:12]
    assert importance(learn(some, blocks, first, seed=0), z)[12:].sum() > 0.9


def test_blocks_are_kinds_of_features_near_and_far():
    labels = ["G1", *(f"G2 C mu={i}" for i in range(6)), *(f"G4 H mu={i} lambda=-1" for i in range(4)), "charge"]
    assert blocks_of(labels).tolist() == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 6, 7]
