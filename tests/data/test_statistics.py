"""Means and standard deviations of features and targets, and the scalers made from them."""

import h5py
import numpy as np
import pytest
from support.feeds import array_part
from support.trainings import FEATURES, copied, gathered, run_of

from xanes_hpc.data.datasets import FEWEST, SOFTNESS, CachedSites, SiteSet, Statistics, iterate, statistics
from xanes_hpc.errors import StoreError
from xanes_hpc.models.scaling import TRANSFORMS
from xanes_hpc.stores.features import FeatureStore


@pytest.fixture
def part(small, tmp_path):
    with gathered([small / FEATURES], run_of(tmp_path)) as data:
        yield SiteSet(data.sources, np.arange(120) % 4 != 0, data.absorbers)


def read_all(part):
    x, absorbers, y = (np.concatenate(arrays) for arrays in zip(*iterate(part), strict=True))
    return x, absorbers, y.astype(np.float64)


def test_statistics_equal_plain_numpy(part):
    found = statistics(part, "sqrt")
    x, absorbers, y = read_all(part)
    x = TRANSFORMS["sqrt"](x)
    np.testing.assert_allclose(found.feature_mean, x.mean(axis=0), rtol=1e-10)
    np.testing.assert_allclose(found.feature_std, x.std(axis=0), rtol=1e-8, atol=1e-12)
    for absorber in range(part.n_absorbers):
        own = y[absorbers == absorber]
        np.testing.assert_allclose(found.target_mean[absorber], own.mean(axis=0), rtol=1e-6)
        spread = own if len(own) >= FEWEST else y
        np.testing.assert_allclose(found.target_std[absorber], spread.std(axis=0), rtol=1e-6)
    assert part.n_absorbers == len(np.unique(absorbers)) == 6


def test_statistics_do_not_depend_on_chunks(part, monkeypatch):
    whole = statistics(part, "none")
    monkeypatch.setattr(FeatureStore, "chunk_rows", 7)
    pieces = statistics(part, "none")
    np.testing.assert_allclose(pieces.feature_std, whole.feature_std, rtol=1e-9)
    np.testing.assert_allclose(pieces.target_mean, whole.target_mean, rtol=1e-6)
    np.testing.assert_allclose(pieces.target_std, whole.target_std, rtol=1e-6)


def test_rare_elements_get_the_standard_deviation_of_all_sites():
    y = np.random.default_rng(0).normal(5.0, 2.0, (60, 4)).astype(np.float32)
    absorbers = np.array([0] * 58 + [1] * 2)
    found = statistics(array_part(y, absorbers), "none")
    np.testing.assert_allclose(found.target_mean[1], y[58:].mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(found.target_std[1], y.std(axis=0), rtol=1e-6)


def test_elements_without_training_sites_get_the_statistics_of_all_sites():
    y = np.random.default_rng(0).normal(5.0, 2.0, (40, 4)).astype(np.float32)
    part = array_part(y, np.array([0, 2] * 20))
    part.chosen[1::2] = False
    found = statistics(part, "none")
    np.testing.assert_allclose(found.target_mean, np.tile(y[::2].mean(axis=0), (3, 1)), rtol=1e-6)


@pytest.mark.parametrize("unit", [1.0, 1e-20])
@pytest.mark.parametrize("target_scale", ["global", "energy"])
def test_scales_at_energies_where_spectra_are_constant(unit, target_scale):
    """All spectra are zero at the first energy, and equal at the second."""
    y = np.random.default_rng(0).uniform(1.0, 2.0, (40, 4)) * unit
    y[:, 0], y[:, 1] = 0.0, 1.5 * unit
    found = statistics(array_part(y.astype(np.float32)), "none")
    scalers = found.scalers(target_scale)
    overall = np.sqrt(np.mean(found.target_std**2))
    assert ((scalers.target_scale > 0.5 * overall) & (scalers.target_scale < 2.0 * overall)).all()
    np.testing.assert_allclose(scalers.softness, SOFTNESS * overall)
    centre = scalers.spectra(np.zeros((1, 4)), np.zeros(1, int))
    np.testing.assert_allclose(centre[0], y.mean(axis=0), rtol=1e-5, atol=SOFTNESS * overall)


def test_scalers_are_invertible():
    y = np.random.default_rng(0).normal(0.0, 2.0, (40, 4)).astype(np.float32)
    absorbers = np.array([0, 1] * 20)
    for target_scale in ("global", "energy"):
        scalers = statistics(array_part(y, absorbers), "none").scalers(target_scale)
        scaled = scalers.targets(y, absorbers)
        np.testing.assert_allclose(scalers.spectra(scaled, absorbers), y, atol=1e-5)
        stds = [scaled[absorbers == i].std(axis=0) for i in (0, 1)]
        if target_scale == "energy":
            np.testing.assert_allclose(stds, 1.0, rtol=1e-5)
        np.testing.assert_allclose(np.mean(np.square(stds), axis=1), 1.0, rtol=1e-5)


@pytest.mark.parametrize(("lowest", "asked", "expected"), [
    (0.0, None, True), (-1e-3, None, False), (-1e-3, True, True), (0.0, False, False),
])  # fmt: skip
def test_spectra_are_kept_positive_if_all_targets_are(lowest, asked, expected):
    y = np.random.default_rng(0).uniform(0.0, 2.0, (40, 4)).astype(np.float32)
    y[33, 2] = lowest
    scalers = statistics(array_part(y), "none").scalers("global", asked)
    assert (scalers.softness is not None) == expected
    assert ((scalers.spectra(np.full((1, 4), -30.0), np.zeros(1, int)) > 0).all()) == expected


def test_constant_features_are_shifted_but_not_scaled():
    wide = np.ones((1, 2))
    found = Statistics("none", np.array([2.0, 3.0]), np.array([4.0, 1e-17]), wide, wide, False)
    np.testing.assert_array_equal(found.scalers("global").features(np.array([[6.0, 3.0]])), [[1.0, 0.0]])


def test_the_site_of_an_infinite_feature_is_named(small, tmp_path):
    path = copied(small, tmp_path)
    with h5py.File(path, "a") as file:
        file["features"][77, 5] = np.inf
    with gathered([path], run_of(tmp_path)) as data:
        chosen = np.arange(120) % 7 != 1
        assert not chosen[78]
        with pytest.raises(StoreError, match=r"features\.h5: site 77 has NaN or infinite features"):
            statistics(SiteSet(data.sources, chosen, data.absorbers), "sqrt")


@pytest.mark.parametrize("fits", [True, False])
def test_held_sites_are_read_once_if_they_fit(part, monkeypatch, fits):
    read, reads = FeatureStore.read, []
    monkeypatch.setattr(FeatureStore, "read", lambda self, a, b: (reads.append(a), read(self, a, b))[1])
    monkeypatch.setattr(FeatureStore, "chunk_rows", 7)
    monkeypatch.setattr("xanes_hpc.data.datasets.HELD_BYTES", 256 << 20 if fits else 1000)
    held = CachedSites(part)
    for _ in range(3):
        for found, expected in zip(zip(*held, strict=True), zip(*iterate(part), strict=True), strict=True):
            np.testing.assert_array_equal(np.concatenate(found), np.concatenate(expected))
    assert len(reads) - 3 * 18 == (18 if fits else 54)
