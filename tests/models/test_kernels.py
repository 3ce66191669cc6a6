"""Kernels against slow loops."""

from functools import partial

import numpy as np
import pytest
from support import kernels as slow

from xanes_hpc.models.kernels import Laplacian, Matern, importance

N_FEATURES = 11
ABSORBERS = np.zeros(9, int)


def drawn(n, seed):
    return np.random.default_rng(seed).normal(size=(n, N_FEATURES)).astype(np.float32)


def matern(n_components, rooted=False, seed=0):
    random = np.random.default_rng(seed)
    scales = random.lognormal(-2.0, 1.0, (n_components, N_FEATURES))
    offsets = random.normal(size=N_FEATURES) if rooted else None
    return Matern(random.uniform(0.2, 1.0, n_components), scales, random.lognormal(-3.0, 1.0, N_FEATURES), offsets)


KERNELS = {
    "laplacian": (Laplacian(1.4), partial(slow.laplacian, rate=1.4)),
    **{f"matern {n}": (kernel := matern(n), slow.function_of(kernel)) for n in (1, 3)},
    "matern of roots": (kernel := matern(2, rooted=True), slow.function_of(kernel)),
}


@pytest.fixture(params=KERNELS)
def case(request):
    return KERNELS[request.param]


def test_values_equal_the_slow_loop(case):
    kernel, function = case
    z, landmarks = drawn(9, 1), np.concatenate([drawn(5, 2), drawn(9, 1)[:4]])
    expected = slow.matrix(function, z, landmarks, ABSORBERS, ABSORBERS)
    np.testing.assert_allclose(kernel.values(kernel.terms(z, landmarks)), expected, rtol=2e-5, atol=2e-6)


def test_terms_add_up_over_features(case):
    kernel, _ = case
    z, landmarks = drawn(4, 3), drawn(6, 4)
    whole = kernel.terms(z, landmarks)
    first, rest = np.array([7, 0, 3]), np.array([1, 2, 4, 5, 6, 8, 9, 10])
    parts = kernel.terms(z, landmarks, first) + kernel.terms(z, landmarks, rest)
    np.testing.assert_allclose(parts, whole, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(kernel.terms_by_feature(z[2], landmarks).sum(axis=-1), whole[:, 2], rtol=1e-5, atol=1e-5)


def test_a_squared_distance_that_rounding_makes_negative_counts_as_zero():
    kernel = matern(1)
    terms = np.array([[[-1e-7]], [[0.25]]], np.float32)
    assert kernel.values(terms) == pytest.approx(kernel.amplitudes[0] + 0.25)
    assert kernel.remoteness(terms) == 0.0


def test_the_kernel_falls_off_with_the_remoteness(case):
    kernel, _ = case
    z = drawn(1, 5)
    farther = z + np.linspace(0.0, 3.0, 7, dtype=np.float32)[:, None]
    remote = kernel.remoteness(kernel.terms(farther, z))[:, 0]
    assert remote[0] == pytest.approx(0.0, abs=1e-3)
    assert (np.diff(remote) > 0).all()


def test_the_linear_kernel_is_one_of_the_features_before_their_root():
    """Up to a factor and a constant, which depend on neither site."""
    random = np.random.default_rng(0)
    x = random.normal(size=(20, N_FEATURES))
    roots = np.sign(x) * np.sqrt(np.abs(x))
    mean, scale = roots.mean(axis=0), roots.std(axis=0)
    kernel = Matern(np.zeros(1), np.ones((1, N_FEATURES)), np.ones(N_FEATURES), mean / scale)
    found = kernel.sums(((roots - mean) / scale).astype(np.float32)) * scale**2
    np.testing.assert_allclose(found - found[0], x - x[0], atol=1e-5)


def test_importance_is_the_fraction_of_the_squared_distance():
    scales = np.array([[3.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    kernel = Matern(np.array([3.0, 1.0]), scales, np.zeros(3))
    z = np.array([[-1.0, 1.0, -1.0], [1.0, -1.0, 1.0]], np.float32)
    np.testing.assert_allclose(importance(kernel, z), [0.75 * 0.75, 0.75 * 0.25 + 0.25 * 0.5, 0.25 * 0.5])
    z[:, 1] = 5.0  # the same at all sites
    np.testing.assert_allclose(importance(kernel, z), [0.75, 0.0, 0.25])
