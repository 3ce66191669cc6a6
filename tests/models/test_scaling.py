"""Standardisation of features and spectra against plain formulas."""

from dataclasses import replace

import numpy as np
import pytest

from xanes_hpc.models.scaling import CLIP, TRANSFORMS, Scalers

N_FEATURES, N_ENERGIES, N_ABSORBERS = 5, 7, 3


def scalers(transform: str = "none", softness: float | None = None) -> Scalers:
    generator = np.random.default_rng(0)
    shape = (N_ABSORBERS, N_ENERGIES)
    return Scalers(
        generator.normal(size=N_FEATURES),
        generator.uniform(0.5, 2.0, N_FEATURES),
        generator.uniform(0.5, 2.0, shape),
        generator.uniform(0.5, 2.0, shape),
        None if softness is None else np.full(shape, softness),
        transform,
    )


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("transform", sorted(TRANSFORMS))
def test_features_are_transformed_and_standardised(transform, dtype):
    own = scalers(transform)
    x = np.random.default_rng(1).normal(size=(9, N_FEATURES)).astype(dtype)
    before = x.copy()
    plain = np.sign(x) * np.abs(x) ** 0.5 if transform == "sqrt" else x
    scaled = own.features(x)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, (plain - own.feature_mean) / own.feature_scale, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("transform", sorted(TRANSFORMS))
def test_standardised_features_use_the_transform_of_the_statistics(transform, dtype):
    """The kernel and ``TRANSFORMS`` agree to the last bit."""
    own, n_features = scalers(transform), 1321
    generator = np.random.default_rng(1)
    x = (10.0 ** generator.uniform(-9, 3, (40, n_features)) * generator.choice([-1, 1, 0], (40, n_features))).astype(
        dtype
    )
    own = replace(
        own, feature_mean=generator.normal(size=n_features), feature_scale=generator.uniform(0.1, 3, n_features)
    )
    mean, scale = own.feature_mean.astype(dtype), own.feature_scale.astype(dtype)
    expected = np.clip((TRANSFORMS[transform](x) - mean) / scale, -CLIP, CLIP).astype(np.float32)
    np.testing.assert_array_equal(own.features(x), expected)
    np.testing.assert_array_equal(own.features(x[::2, :]), expected[::2])


def test_the_square_root_keeps_the_sign():
    values = np.array([-4.0, -0.0, 0.0, 9.0])
    np.testing.assert_allclose(TRANSFORMS["sqrt"](values), [-2.0, 0.0, 0.0, 3.0])
    plain = Scalers(np.zeros(4), np.ones(4), np.zeros((1, 1)), np.ones((1, 1)), None, "sqrt")
    np.testing.assert_array_equal(plain.features(values[None]), [[-2.0, 0.0, 0.0, 3.0]])


def test_scaled_sites_are_written_into_rows_of_another_array():
    own, rows, absorbers = scalers("sqrt"), np.array([6, 0, 3]), np.array([2, 0, 2])
    x, y = (np.random.default_rng(1).normal(size=(3, n)) for n in (N_FEATURES, N_ENERGIES))
    features, targets = (np.full((8, n), np.float32(-77.0)) for n in (N_FEATURES, N_ENERGIES))
    own.put_features(x, rows, features)
    own.put_targets(y, absorbers, rows, targets)
    np.testing.assert_array_equal(features[rows], own.features(x))
    np.testing.assert_array_equal(targets[rows], own.targets(y, absorbers))
    others = np.setdiff1d(np.arange(8), rows)
    assert (features[others] == -77.0).all()
    assert (targets[others] == -77.0).all()


def test_targets_are_scaled_in_double_precision_and_never_clipped():
    own, absorbers = replace(scalers(), target_scale=np.full((N_ABSORBERS, N_ENERGIES), 1e-3)), np.array([1, 2])
    y = np.random.default_rng(2).normal(size=(2, N_ENERGIES)).astype(np.float32)
    expected = (y.astype(np.float64) - own.target_mean[absorbers]) / 1e-3
    np.testing.assert_array_equal(own.targets(y, absorbers), expected.astype(np.float32))
    assert np.abs(expected).max() > CLIP


@pytest.mark.parametrize("value", [1e9, -1e9])
def test_outlying_features_are_clipped(value):
    assert set(scalers().features(np.full((1, N_FEATURES), value)).ravel()) == {np.sign(value) * CLIP}


def test_every_absorber_has_its_own_mean_and_scale():
    own, absorbers = scalers(), np.array([2, 0, 2, 1])
    y = np.random.default_rng(2).normal(size=(4, N_ENERGIES))
    for row, absorber in enumerate(absorbers):
        expected = (y[row] - own.target_mean[absorber]) / own.target_scale[absorber]
        np.testing.assert_allclose(own.targets(y, absorbers)[row], expected, rtol=1e-6)
    assert own.targets(y, absorbers).dtype == np.float32


@pytest.mark.parametrize("leading", [(), (3,)])
def test_spectra_invert_the_scaling_of_targets(leading):
    own, absorbers = scalers(), np.array([2, 0, 2, 1])
    y = np.random.default_rng(2).normal(size=(4, N_ENERGIES))
    scaled = np.broadcast_to(own.targets(y, absorbers), (*leading, 4, N_ENERGIES))
    again = own.spectra(scaled, absorbers)
    assert again.dtype == np.float64
    np.testing.assert_allclose(again, np.broadcast_to(y, again.shape), atol=1e-6)


def plain_link(z: float, softness: float) -> float:
    """Return softness log(1 + exp(z / softness)), for z at which it neither overflows nor underflows."""
    return softness * float(np.log1p(np.exp(z / softness)))


def link(z: np.ndarray, softness: float) -> np.ndarray:
    """Return the spectra that scalers return for the values z at one energy."""
    own = Scalers(np.zeros(1), np.ones(1), np.zeros((1, 1)), np.ones((1, 1)), np.full((1, 1), softness))
    return own.spectra(z[:, None], np.zeros(len(z), int))[:, 0]


def test_a_positive_link_equals_its_formula():
    z = np.linspace(-1.0, 1.0, 41)
    np.testing.assert_allclose(link(z, 0.05), [plain_link(v, 0.05) for v in z], rtol=1e-12)


@pytest.mark.parametrize("softness", [1e-6, 0.05, 10.0])
def test_a_positive_link_is_never_negative(softness):
    z = softness * np.concatenate([[-1e6, -1e4], np.linspace(-700.0, 700.0, 201), [1e4, 1e6]])
    made = link(z, softness)
    assert np.isfinite(made).all()
    assert (made >= 0).all()
    assert (made[z >= -700.0 * softness] > 0).all()


def test_a_positive_link_is_the_identity_far_above_zero():
    z = np.linspace(1.0, 50.0, 99)
    np.testing.assert_allclose(link(z, 0.05), z, rtol=1e-8)
    np.testing.assert_array_equal(link(z[10:], 0.05), z[10:])


def test_a_positive_link_rises_everywhere_and_never_faster_than_the_identity():
    z = np.linspace(-1.0, 1.0, 4001)
    slope = np.diff(link(z, 0.05)) / np.diff(z)
    assert (slope > 0).all()
    assert (slope <= 1.0 + 1e-9).all()
    assert slope[2000] == pytest.approx(0.5, abs=1e-2)
    np.testing.assert_allclose(slope, 1.0 / (1.0 + np.exp(-0.5 * (z[1:] + z[:-1]) / 0.05)), atol=1e-4)


def test_softness_may_differ_between_absorbers_and_energies():
    generator = np.random.default_rng(3)
    own = replace(scalers(), softness=generator.uniform(0.01, 1.0, (N_ABSORBERS, N_ENERGIES)))
    y, absorbers = generator.normal(size=(2, 4, N_ENERGIES)).astype(np.float32), np.array([1, 1, 0, 2])
    made = own.spectra(y, absorbers)
    for draw, site, energy in np.ndindex(*y.shape):
        kind = absorbers[site], energy
        z = y[draw, site, energy] * own.target_scale[kind] + own.target_mean[kind]
        assert made[draw, site, energy] == pytest.approx(plain_link(z, own.softness[kind]), rel=1e-9)
