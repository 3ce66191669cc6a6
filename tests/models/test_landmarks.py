"""Landmarks prepared for many sites, against the kernel's terms."""

from dataclasses import replace

import numpy as np
import pytest

from xanes_hpc.models.gaussian_process import PREPARED_FROM, GaussianProcess
from xanes_hpc.models.kernels import Matern
from xanes_hpc.models.landmarks import Landmarks
from xanes_hpc.models.scaling import Scalers

N_SITES, N_LANDMARKS, N_FEATURES, N_ENERGIES = 90, 40, 17, 6
COUPLING = np.array([[1.0, 0.3, 0.0], [0.3, 1.0, 0.6], [0.0, 0.6, 1.2]])


def process(coupled: bool) -> GaussianProcess:
    random = np.random.default_rng(0)
    scales, linear = random.lognormal(-1.0, 1.0, (2, N_FEATURES)) / N_FEATURES, random.uniform(0.0, 0.1, N_FEATURES)
    offsets = random.normal(size=N_FEATURES)
    kernel = Matern(np.array([0.3, 0.9]), scales, linear, offsets, COUPLING if coupled else None)
    mean, scale = random.normal(size=(2, 3, N_ENERGIES))
    scalers = Scalers(random.normal(size=N_FEATURES), random.uniform(0.5, 2.0, N_FEATURES), mean, np.exp(scale))
    landmarks = random.normal(size=(N_LANDMARKS, N_FEATURES))
    coefficients = random.normal(size=(N_LANDMARKS, N_ENERGIES))
    absorbers = np.arange(N_LANDMARKS) % 3
    return GaussianProcess(
        landmarks.astype(np.float32), absorbers, coefficients.astype(np.float32), kernel, 0.7, scalers
    )


def sites(n: int = N_SITES):
    return np.random.default_rng(1).normal(size=(n, N_FEATURES)), np.arange(n) % 3


@pytest.mark.parametrize("coupled", [False, True])
def test_columns_and_remoteness_equal_those_of_the_terms(coupled):
    own = process(coupled)
    x, absorbers = sites()
    found, remote = Landmarks(own.kernel, own.landmarks, own.absorbers, own.coefficients).columns(
        own.scalers.features(x), absorbers
    )
    terms = own.terms(x)
    np.testing.assert_allclose(found, own.similarities(terms, absorbers) @ own.coefficients, rtol=2e-4, atol=2e-5)
    np.testing.assert_allclose(remote, own.kernel.remoteness(terms), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("coupled", [False, True])
def test_many_sites_have_the_spectra_of_few(coupled):
    own = process(coupled)
    x, absorbers = sites()
    many, few = own.at(x, absorbers), own.at(x[: PREPARED_FROM - 1], absorbers[: PREPARED_FROM - 1])
    assert len(x) > PREPARED_FROM
    np.testing.assert_allclose(many.spectra[: len(few.spectra)], few.spectra, rtol=2e-4, atol=2e-5)
    np.testing.assert_allclose(many.remoteness[: len(few.spectra)], few.remoteness, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(own.spectra(x, absorbers), many.spectra)


def test_a_landmark_is_not_remote_from_itself():
    own = process(False)
    plain = replace(own.scalers, feature_mean=np.zeros(N_FEATURES), feature_scale=np.ones(N_FEATURES))
    own = replace(own, scalers=plain)
    x = np.concatenate([own.landmarks, own.landmarks]).astype(np.float64)
    found = own.at(x, np.concatenate([own.absorbers, own.absorbers]))
    assert np.diag(found.remoteness[:N_LANDMARKS]).max() < 0.01
    np.testing.assert_allclose(found.spectra[:N_LANDMARKS], found.spectra[N_LANDMARKS:], rtol=1e-6)
