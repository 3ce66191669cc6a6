"""Distances to landmarks, and the Gaussian process beside the networks, against plain NumPy."""

from dataclasses import replace
from functools import partial

import h5py
import numpy as np
import pytest
from support import kernels as slow
from support.trainings import FEATURES, gathered, run_of

from xanes_hpc.data.datasets import SiteSet, statistics
from xanes_hpc.errors import StoreError
from xanes_hpc.models.distances import mean_differences
from xanes_hpc.models.folder import REGRESSION
from xanes_hpc.models.gaussian_process import SHARPER, GaussianProcess
from xanes_hpc.models.kernels import Laplacian, Matern, coupling
from xanes_hpc.models.model import Model
from xanes_hpc.models.numbers import read_regression, write_regression
from xanes_hpc.models.scaling import Scalers
from xanes_hpc.models.sigma_factors import FEWEST_FOR_FACTORS
from xanes_hpc.models.training_sites import USED_SETS
from xanes_hpc.runtime.threads import limited_to
from xanes_hpc.training import gaussian_process_fit, kernel_flow
from xanes_hpc.training.gaussian_process_choice import LENGTHS, SHARES, best_share, choose_shares, learn_kernel
from xanes_hpc.training.gaussian_process_fit import NOISE, Observations, solve

N_FEATURES = 13


@pytest.fixture
def scalers():
    generator = np.random.default_rng(0)
    ones = np.ones((1, 2))
    return Scalers(generator.normal(size=N_FEATURES), generator.uniform(0.5, 2.0, N_FEATURES), ones, ones)


def drawn(n, seed):
    """Return features of n sites, as stored."""
    return np.random.default_rng(seed).normal(size=(n, N_FEATURES))


def slow_nearest(rows, trained):
    """Return the mean absolute difference of features to the nearest site."""
    return [min(np.mean(np.abs(row - other)) for other in trained) for row in rows.astype(np.float64)]


def similarities(kernel, x, absorbers, landmarks, their_absorbers):
    return kernel.values(kernel.terms(x, landmarks)) * coupling(kernel, absorbers, their_absorbers)


def nearest(x, trained):
    return mean_differences(x, trained).min(axis=1)


def test_distances_equal_the_slow_loop(scalers):
    trained, x = scalers.features(drawn(40, 1)), scalers.features(drawn(130, 2))
    np.testing.assert_allclose(nearest(x, trained), slow_nearest(x, trained), rtol=1e-5)


def test_a_training_site_has_distance_zero_even_if_it_is_an_outlier(scalers):
    x = scalers.features(np.concatenate([drawn(200, 3), 50.0 * drawn(20, 4)]))
    assert nearest(x, x).max() < 1e-6


def test_the_distance_of_a_small_step_is_its_length(scalers):
    x = drawn(100, 5)
    moved = x + 1e-3 * scalers.feature_scale
    np.testing.assert_allclose(nearest(scalers.features(moved), scalers.features(x)), 1e-3, rtol=1e-2)


def test_distances_of_no_sites_are_empty(scalers):
    assert mean_differences(scalers.features(drawn(0, 7)), scalers.features(drawn(3, 6))).shape == (0, 3)


@pytest.mark.parametrize("n_features", [1, 7, 16, 33, 1321])
def test_differences_of_every_width(n_features):
    generator = np.random.default_rng(n_features)
    x, marks = (generator.normal(size=(n, n_features)).astype(np.float32) for n in (37, 70))
    expected = np.abs(x[:, None].astype(np.float64) - marks).mean(axis=2)
    np.testing.assert_allclose(mean_differences(x, marks), expected, rtol=1e-5)
    on_all = mean_differences(x, marks)
    with limited_to(1):
        np.testing.assert_array_equal(mean_differences(x, marks), on_all)


def test_the_kernel_between_different_absorbers_is_zero():
    x = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
    absorbers = np.array([0, 1, 0, 1, 1, 0])
    found = similarities(Laplacian(1.4), x, absorbers, x, absorbers)
    assert (found[absorbers[:, None] != absorbers] == 0).all()
    np.testing.assert_allclose(np.diag(found), 1.0)
    assert found[0, 2] == pytest.approx(np.exp(-1.4 * np.abs(x[0] - x[2]).mean()), rel=1e-5)


def test_a_coupling_multiplies_the_kernel_between_different_absorbers():
    x = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
    absorbers, factors = np.array([0, 1, 0, 2, 1, 0]), np.array([[1.0, 0.3, 0.0], [0.3, 1.0, 0.6], [0.0, 0.6, 1.0]])
    kernel, function = matern(5)
    found = similarities(replace(kernel, coupling=factors), x, absorbers, x[:4], absorbers[:4])
    np.testing.assert_allclose(found, slow.matrix(function, x, x[:4], absorbers, absorbers[:4], factors), rtol=1e-4)


@pytest.fixture
def fitted(small, tmp_path):
    """A subset of the small data set, its scalers, and its features, absorbers and targets."""
    with gathered([small / FEATURES], run_of(tmp_path)) as data:
        part = SiteSet(data.sources, np.arange(120) % 4 != 0, data.absorbers)
        scalers = statistics(part, "sqrt").scalers("global")
        columns = zip(*(part.read(chunk) for chunk in part.chunks), strict=True)
        yield part, scalers, *(np.concatenate(c) for c in columns)


def laplacian(n_features):
    return Laplacian(1.4), partial(slow.laplacian, rate=1.4)


def matern(n_features):
    """Return a kernel of two components, and its slow loop."""
    random = np.random.default_rng(0)
    scales, linear = (random.lognormal(-1.0, 1.0, (n, n_features)) / n_features for n in (2, 1))
    kernel = Matern(np.array([0.6, 0.3]), scales, linear[0], random.normal(size=n_features))
    return kernel, slow.function_of(kernel)


kernels = pytest.mark.parametrize("kernel_of", [laplacian, matern])


@kernels
def test_the_regression_equals_its_formula(fitted, kernel_of):
    part, scalers, x, absorbers, y = fitted
    kernel, function = kernel_of(x.shape[1])
    found = solve(Observations(part, scalers), kernel).process(0.5, None)
    z, targets = scalers.features(x), scalers.targets(y, absorbers)
    scaled = slow.predicted(function, z, absorbers, targets, z, absorbers, NOISE)
    expected = np.maximum(scaled * scalers.target_scale[absorbers] + scalers.target_mean[absorbers], 0.0)
    np.testing.assert_allclose(found.spectra(x, absorbers), expected, atol=2e-3 * np.ptp(y))
    assert np.abs(found.spectra(x, absorbers) - y).mean() < 0.05 * np.abs(y).mean()


@kernels
def test_with_fewer_landmarks_than_sites_the_regression_is_the_least_squares_solution(fitted, monkeypatch, kernel_of):
    part, scalers, x, absorbers, y = fitted
    monkeypatch.setattr(gaussian_process_fit, "ROWS_AT_ONCE", 7)
    kernel, function = kernel_of(x.shape[1])
    found = solve(Observations(part, scalers), kernel, 30).process(0.5, None)
    assert found.landmarks.shape == (30, x.shape[1])
    z = scalers.features(x)
    between = slow.matrix(function, z, found.landmarks, absorbers, found.absorbers)
    own = slow.matrix(function, found.landmarks, found.landmarks, found.absorbers, found.absorbers)
    matrix = between.T @ between + NOISE * own
    expected = between @ np.linalg.solve(matrix, between.T @ scalers.targets(y, absorbers))
    found_z = similarities(found.kernel, z, absorbers, found.landmarks, found.absorbers) @ found.coefficients
    np.testing.assert_allclose(found_z, expected, atol=5e-3)


@pytest.mark.parametrize("alike", [1, 3])
@pytest.mark.parametrize("n_landmarks", [4096, 30])
@kernels
def test_a_landmarks_error_is_that_of_a_process_fitted_without_it(fitted, n_landmarks, alike, kernel_of):
    """The reference is fitted again without the sites of the landmark's label; the scalers stay the same."""
    part, scalers, x, absorbers, y = fitted
    labels = np.array([f"{site // alike}" for site in range(120)])
    kernel, function = kernel_of(x.shape[1])
    found = solve(Observations(part, scalers, together=labels), kernel, n_landmarks).process(0.5, None)
    own_labels = labels[part.sample(n_landmarks, 0).chosen]
    z, targets = scalers.features(x), scalers.targets(y, absorbers)
    between = slow.matrix(function, z, found.landmarks, absorbers, found.absorbers)
    rows = np.abs(z[:, None] - found.landmarks).mean(axis=2).argmin(axis=0)
    own = between[rows]
    assert n_landmarks == 30 or alike == 1 or (np.unique(own_labels, return_counts=True)[1] > 1).any()
    for mark in (0, 7, len(rows) - 1):
        left_out = own_labels == own_labels[mark]
        others = ~np.isin(np.arange(len(x)), rows[left_out])
        if len(rows) == len(x):  # sites that are left out are not landmarks either
            matrix = own[~left_out][:, ~left_out] + NOISE * np.eye((~left_out).sum())
            predicted = own[mark, ~left_out] @ np.linalg.solve(matrix, targets[rows[~left_out]])
        else:
            matrix = between[others].T @ between[others] + NOISE * own
            predicted = own[mark] @ np.linalg.solve(matrix, between[others].T @ targets[others])
        expected = np.abs(targets[rows[mark]] - predicted)
        np.testing.assert_allclose(found.errors[mark], expected, atol=0.02 * expected.max() + 1e-4)


def test_duplicate_sites_do_not_lower_the_errors(fitted):
    """Leaving out only one of two equal sites would make its error vanish."""
    part, scalers, *_ = fitted
    twice = Duplicated(part)
    labels = np.arange(120).astype(str)
    once = solve(Observations(part, scalers, together=labels), Laplacian(1.4)).process(0.5, None).errors
    both = solve(Observations(twice, scalers, together=labels), Laplacian(1.4)).process(0.5, None).errors
    assert np.median(both) == pytest.approx(np.median(once), rel=0.05)


class Duplicated:
    """A part in which every site occurs twice."""

    def __init__(self, part):
        self._part, self.n_sites = part, 2 * part.n_sites
        self.chosen = np.repeat(np.flatnonzero(part.chosen), 2)

    def sample(self, most, seed):
        return self

    @property
    def chunks(self):
        return self._part.chunks

    def read(self, chunk):
        return tuple(np.repeat(values, 2, axis=0) for values in self._part.read(chunk))


def test_without_labels_there_are_no_errors(fitted):
    part, scalers, x, absorbers, _ = fitted
    regression = solve(Observations(part, scalers), Laplacian(1.4)).process(0.5, None)
    assert regression.errors is None
    assert regression.local_errors(np.zeros((1, len(x)), np.float32), absorbers[:1], np.arange(201.0)) is None


def test_local_errors_are_means_over_the_landmarks_around(fitted):
    part, scalers, x, absorbers, _ = fitted
    seen = Observations(part, scalers, together=np.arange(120).astype(str))
    regression = solve(seen, Laplacian(1.4)).process(0.5, None)
    energies = np.linspace(-15.0, 60.0, regression.errors.shape[1])
    differences = mean_differences(scalers.features(x), regression.landmarks)
    found = regression.local_errors(1.4 * differences, absorbers, energies)
    for site in (0, 11):
        same = regression.absorbers == absorbers[site]
        weights = np.exp(-1.4 * SHARPER * differences[site, same].astype(np.float64))
        mean = np.average(regression.errors[same], weights=weights, axis=0) * scalers.target_scale[absorbers[site]]
        window = np.exp(-0.5 * ((energies[:, None] - energies) / 1.0) ** 2)
        np.testing.assert_allclose(found[site], window @ mean / window.sum(axis=1), rtol=1e-4)
    unknown = replace(regression, absorbers=regression.absorbers + 7)
    found = unknown.local_errors(1.4 * differences[:2], absorbers[:2], energies)
    for site in (0, 1):  # without landmarks of the same element, the mean is over all of them
        weights = np.exp(-1.4 * SHARPER * (differences[site] - differences[site].min()).astype(np.float64))
        mean = np.average(regression.errors, weights=weights, axis=0) * scalers.target_scale[absorbers[site]]
        np.testing.assert_allclose(found[site], window @ mean / window.sum(axis=1), rtol=1e-4)


def test_kernel_distances_are_those_of_the_largest_component_and_vanish_for_landmarks(fitted):
    part, scalers, x, *_ = fitted
    kernel, _ = matern(x.shape[1])
    regression = solve(Observations(part, scalers), kernel, 30).process(0.5, None)
    z, marks = scalers.features(x), regression.landmarks
    apart = np.square(z[:, None].astype(np.float64) - marks) @ kernel.scales[kernel.amplitudes.argmax()]
    found = regression.nearest(x, regression.kernel.remoteness(regression.terms(x)))
    np.testing.assert_allclose(found, np.sqrt(3.0 * apart.min(axis=1)), rtol=1e-3)
    assert (found == 0.0).sum() == 30


def test_the_best_share_is_found():
    generator = np.random.default_rng(0)
    y = 1.0 + generator.random((50, 20))
    first, second = generator.normal(0.0, 0.1, (2, 50, 20))
    share, error = best_share(y, y + 2.0 * first, y + second)
    assert 0.6 <= share <= 0.8
    assert error < best_share(y, y + 2.0 * first, y + 2.0 * first)[1]
    assert best_share(y, y, y + second) == (0.0, 0.0)
    assert best_share(y, y + second, y)[0] == SHARES[-1]


def test_spectra_that_are_zero_do_not_affect_the_share():
    y = np.ones((3, 4))
    y[1] = 0.0
    assert best_share(y, y + 1.0, y) == best_share(y[[0, 2]], y[[0, 2]] + 1.0, y[[0, 2]])
    assert best_share(y[1:2], y[1:2], y[1:2]) == (0.0, 0.0)


def test_spectra_do_not_depend_on_the_size_of_blocks(fitted, monkeypatch):
    part, scalers, x, absorbers, _ = fitted
    regression = solve(Observations(part, scalers), Laplacian(1.4)).process(0.5, None)
    whole = regression.spectra(x, absorbers)
    monkeypatch.setattr("xanes_hpc.models.gaussian_process.ROWS_AT_ONCE", 7)
    np.testing.assert_allclose(regression.spectra(x, absorbers), whole, rtol=1e-5, atol=1e-6)


def test_kernel_and_share_come_from_held_out_sites(small, tmp_path, monkeypatch):
    monkeypatch.setattr(kernel_flow, "N_STEPS", 20)
    with gathered([small / FEATURES], run_of(tmp_path, split__validation=0.2)) as data:
        part = data.sites_in("train")
        scalers = statistics(part, "sqrt").scalers("global")
        seen = Observations.of(data, ["train"], scalers, 0, None)
        kernel = learn_kernel(data, seen)
        assert kernel.scales.shape == (len(LENGTHS), data.first.features.n_features)
        validation = data.sites_in("validation")
        means = scalers.target_mean[validation.absorbers[validation.chosen]]
        choice = choose_shares(seen, kernel, lambda sites: means, validation)
    assert choice.share > 0.5  # the networks here only return the mean spectrum
    assert choice.aligned is None


def test_the_process_is_fitted_to_all_sites_but_those_of_the_test_set(model):
    """The calibration was measured before, without the calibration set."""
    trained = Model.open(model)
    sites, process = trained.training_sites, trained.regression
    assert sites.trained == USED_SETS
    assert trained.description["provenance"]["trained"] == ["train"]
    assert len(process.landmarks) == len(process.errors) == sum(sites.count(name) for name in USED_SETS)
    assert 0 < sites.count("calibration") < FEWEST_FOR_FACTORS
    assert trained.calibration.n_sites == len(process.landmarks)  # of the leave-group-out errors


def test_a_model_averages_its_networks_with_the_regression(model):
    trained = Model.open(model)
    regression = trained.regression
    assert isinstance(regression, GaussianProcess)
    assert 0 < regression.share <= 1
    x = np.abs(np.random.default_rng(0).normal(size=(3, trained.description["n_features"])))
    absorbers = np.zeros(3, np.int64)
    drawn, _ = trained.sample(x, absorbers, 10, 0, keep_draws=True)
    trained.folder.__dict__["regression"] = None
    alone, _ = trained.sample(x, absorbers, 10, 0, keep_draws=True)
    share, spectra = regression.share, regression.spectra(x, absorbers)
    np.testing.assert_allclose(drawn.mean, (1 - share) * alone.mean + share * spectra, rtol=1e-6)
    energies, _ = trained.grid
    weights = np.exp(-0.5 * ((energies[:, None] - energies) / 1.0) ** 2)
    apart = np.array([[np.average(row, weights=w) for w in weights] for row in np.abs(spectra - drawn.mean)])
    np.testing.assert_allclose(drawn.std, (1 - share) * np.sqrt(alone.std**2 + apart**2), rtol=1e-6)
    assert (drawn.std > (1 - share) * alone.std).any()
    np.testing.assert_allclose(drawn.draws.mean(axis=1), drawn.mean, rtol=1e-4, atol=1e-6)


@kernels
def test_a_stored_process_predicts_the_same(fitted, tmp_path, kernel_of):
    part, scalers, x, absorbers, y = fitted
    seen = Observations(part, scalers, together=np.arange(120).astype(str))
    process = solve(seen, kernel_of(x.shape[1])[0]).process(0.4, None)
    write_regression(tmp_path / REGRESSION, process)
    found = read_regression(tmp_path / REGRESSION, process.landmarks, np.arange(float(y.shape[1])), scalers)
    np.testing.assert_array_equal(found.kernel.parameters(), process.kernel.parameters())
    np.testing.assert_array_equal(found.errors, process.errors)
    assert found.share == 0.4
    np.testing.assert_array_equal(found.spectra(x, absorbers), process.spectra(x, absorbers))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("amplitudes", np.zeros(0)),
        ("amplitudes", np.array([1.0, -0.1])),
        ("scales", np.ones((2, 7))),
        ("scales", np.array([[np.nan] * N_FEATURES] * 2)),
        ("scales", np.ones((2, N_FEATURES), int)),
        ("linear", np.full(N_FEATURES, 1e7)),
        ("linear", np.ones((1, N_FEATURES))),
        ("offsets", np.ones(N_FEATURES - 1)),
        ("offsets", np.full(N_FEATURES, np.nan)),
        ("linear", np.array([b"one"] * N_FEATURES)),
    ],
)
def test_a_damaged_matern_kernel_is_refused(scalers, tmp_path, name, values):
    z = scalers.features(drawn(5, 0))
    process = GaussianProcess(z, np.zeros(5, int), np.ones((5, 2), np.float32), matern(N_FEATURES)[0], 0.5, scalers)
    write_regression(tmp_path / REGRESSION, process)
    with h5py.File(tmp_path / REGRESSION, "r+") as file:
        del file[name]
        file[name] = values
    with pytest.raises(StoreError, match=rf"^[^\n]*regression\.h5: damaged: {name}: expected numbers from "):
        read_regression(tmp_path / REGRESSION, z, np.arange(2.0), scalers)
