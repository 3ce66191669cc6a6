"""Shifts and shapes beside plain spectra in the Gaussian process, against plain NumPy."""

from dataclasses import replace
from functools import partial

import h5py
import numpy as np
import pytest
from support import kernels as slow
from support.trainings import FEATURES, gathered, run_of, train_on

from xanes_hpc.data.datasets import SiteSet, statistics
from xanes_hpc.errors import ConfigError, StoreError
from xanes_hpc.models.aligned import Aligned
from xanes_hpc.models.folder import REGRESSION
from xanes_hpc.models.kernels import Laplacian
from xanes_hpc.models.model import Model
from xanes_hpc.models.numbers import read_regression, write_regression
from xanes_hpc.models.scaling import Scalers
from xanes_hpc.spectra.edge_shift import LARGEST
from xanes_hpc.training import kernel_flow
from xanes_hpc.training.gaussian_process_choice import Choice, choose
from xanes_hpc.training.gaussian_process_fit import NOISE, Observations, solve

RATE = 1.4
ENERGIES = np.linspace(-15.0, 45.0, 121)
LABELS = np.array([f"{site // 3}" for site in range(120)])


def edges_at(shifts):
    """Return edges with a white line at these energies."""
    x = ENERGIES - np.array(shifts)[:, None]
    return 1.0 + np.arctan(x) / np.pi + 0.5 * np.exp(-((x - 3.0) ** 2) / 8.0)


@pytest.fixture
def scalers():
    """Scalers of two absorbers, whose mean edges lie 5 eV apart."""
    return Scalers(np.zeros(3), np.ones(3), edges_at([0.0, 5.0]), np.full((2, ENERGIES.size), 0.05))


@pytest.fixture
def fitted(small, tmp_path):
    """A subset of the small data set, its scalers, how its spectra are aligned, its features, absorbers and spectra."""
    with gathered([small / FEATURES], run_of(tmp_path)) as data:
        part = SiteSet(data.sources, np.arange(120) % 4 != 0, data.absorbers)
        scalers = statistics(part, "sqrt").scalers("global")
        aligned = Aligned(data.first.targets.grid.energies, scalers, 0.6)
        columns = zip(*(part.read(chunk) for chunk in part.chunks), strict=True)
        yield part, scalers, aligned, *(np.concatenate(c) for c in columns)


def test_shifts_count_from_the_mean_spectrum_of_each_absorber(scalers):
    aligned, absorbers = Aligned(ENERGIES, scalers, 1.0), np.array([0, 1, 1, 0])
    spectra = edges_at([1.5, 6.5, 2.0, -3.5])
    columns = aligned.columns(spectra, absorbers)
    assert columns.shape == (4, aligned.n_columns)
    np.testing.assert_allclose(columns[:, ENERGIES.size], [1.5, 1.5, -3.0, -3.5], atol=0.1)
    np.testing.assert_array_equal(columns[:, : ENERGIES.size], scalers.targets(spectra, absorbers))
    shapes = columns[:, ENERGIES.size + 1 :] * 0.05 + scalers.target_mean[absorbers]
    np.testing.assert_allclose(shapes[:, 10:-20], scalers.target_mean[absorbers][:, 10:-20], atol=0.05)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_columns_join_to_the_spectra_they_came_from(scalers, share):
    aligned, absorbers = Aligned(ENERGIES, scalers, share), np.array([0, 1])
    spectra = edges_at([2.2, 1.7])
    z = aligned.joined(aligned.columns(spectra, absorbers), absorbers)
    inside = slice(10, -10)  # what a shift moved beyond the ends does not come back
    np.testing.assert_allclose(z[:, inside] * 0.05 + scalers.target_mean[:, inside], spectra[:, inside], atol=0.02)


def test_the_shape_is_moved_by_the_predicted_shift_within_its_limit(scalers):
    aligned, absorbers = Aligned(ENERGIES, scalers, 0.25), np.zeros(3, int)
    columns = np.zeros((3, aligned.n_columns))
    columns[:, ENERGIES.size] = 0.0, 2.0, 50.0
    found = aligned.joined(columns, absorbers) * 0.05 + scalers.target_mean[absorbers]
    mean = scalers.target_mean[0]
    for row, shift in zip(found, (0.0, 2.0, LARGEST), strict=True):
        np.testing.assert_allclose(row, 0.75 * mean + 0.25 * np.interp(ENERGIES - shift, ENERGIES, mean))


@pytest.mark.parametrize("n_landmarks", [4096, 30])
def test_the_process_predicts_spectra_shifts_and_shapes_with_one_kernel(fitted, n_landmarks):
    part, scalers, aligned, x, absorbers, y = fitted
    found = solve(Observations(part, scalers, 0, aligned), Laplacian(RATE), n_landmarks).process(0.5, aligned)
    columns, z = aligned.columns(y, absorbers), scalers.features(x)
    n = aligned.energies.size
    plain = solve(Observations(part, scalers), Laplacian(RATE), n_landmarks).process(0.5, None)
    np.testing.assert_allclose(found.coefficients[:, :n], plain.coefficients, rtol=1e-3, atol=1e-3)
    if n_landmarks == 4096:
        function = partial(slow.laplacian, rate=RATE)
        expected = aligned.joined(slow.predicted(function, z, absorbers, columns, z, absorbers, NOISE), absorbers)
        expected = expected * scalers.target_scale[absorbers] + scalers.target_mean[absorbers]
        np.testing.assert_allclose(found.spectra(x, absorbers), np.maximum(expected, 0.0), atol=2e-3 * np.ptp(y))
    assert np.abs(found.spectra(x, absorbers) - plain.spectra(x, absorbers)).max() > 1e-3


def test_a_landmarks_error_is_that_of_the_average_fitted_without_its_label(fitted):
    part, scalers, aligned, x, absorbers, y = fitted
    found = solve(Observations(part, scalers, 0, aligned, LABELS), Laplacian(RATE)).process(0.5, aligned)
    z, columns, labels = scalers.features(x), aligned.columns(y, absorbers), LABELS[part.chosen]
    function = partial(slow.laplacian, rate=RATE)
    for mark in (0, 7, len(x) - 1):
        rest, own = labels != labels[mark], np.array([mark])
        left_out = slow.predicted(function, z[rest], absorbers[rest], columns[rest], z[own], absorbers[own], NOISE)
        expected = np.abs(columns[own, : aligned.energies.size] - aligned.joined(left_out, absorbers[own]))[0]
        np.testing.assert_allclose(found.errors[mark], expected, atol=2e-3 * expected.max())


def test_the_share_of_shift_and_shape_has_the_lowest_leave_group_out_errors(small, tmp_path, monkeypatch):
    monkeypatch.setattr(kernel_flow, "N_STEPS", 4)
    with gathered([small / FEATURES], run_of(tmp_path, split__validation=0.2)) as data:
        scalers = statistics(data.sites_in("train"), "sqrt").scalers("global")
        choice = choose(
            data, ["train"], scalers, True, 0, lambda sites: scalers.target_mean[sites.absorbers[sites.chosen]]
        )
        unchosen = choose(data, ["train"], scalers, True, 0)
        trained = data.sites_in("train")
        absorbers, y = (
            np.concatenate(c) for c in list(zip(*(trained.read(k) for k in trained.chunks), strict=True))[1:]
        )

        def error(share):
            aligned = Aligned(data.first.targets.grid.energies, scalers, share)
            seen = Observations(trained, scalers, 0, aligned, data.together)
            process = solve(seen, choice.kernel).process(0.5, aligned)
            return np.mean((process.errors * scalers.target_scale[absorbers]).sum(axis=1) / y.sum(axis=1))

        errors = {share: error(share) for share in (0.0, choice.aligned - 0.05, choice.aligned, choice.aligned + 0.05)}
    assert 0.0 < choice.aligned < 1.0
    assert errors[choice.aligned] == min(errors.values()) < errors[0.0]
    assert (unchosen.share, unchosen.aligned) == (0.5, choice.aligned)


def test_a_share_of_zero_leaves_a_plain_process(small, tmp_path):
    with gathered([small / FEATURES], run_of(tmp_path)) as data:
        scalers = statistics(data.sites_in("train"), "sqrt").scalers("global")
        process = Choice(Laplacian(RATE), 0.5, 0.0).fit(data, ["train"], scalers, 0)
    assert process.aligned is None
    assert process.coefficients.shape == process.errors.shape
    assert str(Choice(Laplacian(RATE), 0.5, 0.0)) == "share 0.50, 0.00 of it by shift and shape"


def test_a_stored_process_predicts_the_same(fitted, tmp_path):
    part, scalers, aligned, x, absorbers, _ = fitted
    process = solve(Observations(part, scalers, 0, aligned, LABELS), Laplacian(RATE)).process(0.4, aligned)
    write_regression(tmp_path / REGRESSION, process)
    found = read_regression(tmp_path / REGRESSION, process.landmarks, aligned.energies, scalers)
    assert found.aligned.share == 0.6
    np.testing.assert_array_equal(found.spectra(x, absorbers), process.spectra(x, absorbers))
    with h5py.File(tmp_path / REGRESSION, "r+") as file:
        file.attrs["aligned"] = 1.5
    with pytest.raises(StoreError, match=r"expected a share from 0 to 1, received 1\.5"):
        read_regression(tmp_path / REGRESSION, process.landmarks, aligned.energies, scalers)
    with h5py.File(tmp_path / REGRESSION, "r+") as file:
        del file.attrs["aligned"]
    with pytest.raises(StoreError, match=r"expected finite numbers of shapes"):
        read_regression(tmp_path / REGRESSION, process.landmarks, aligned.energies, scalers)


def test_a_model_is_trained_with_shifts_and_shapes(small, tmp_path, monkeypatch):
    monkeypatch.setattr(kernel_flow, "N_STEPS", 4)
    settings = {"training__gaussian_process": True, "target__aligned": True, "split__validation": 0.2}
    model = train_on(small / FEATURES, tmp_path / "a.model", **settings)
    aligned, errors = model.regression.aligned, model.regression.errors
    assert 0 < aligned.share <= 1
    assert model.regression.coefficients.shape == (len(errors), aligned.n_columns)
    assert str(model.regression).endswith(f"{aligned.share:.2f} of it by shift and shape")
    again, digest = Model.open(tmp_path / "a.model"), model.digest
    assert again.digest == digest
    del again.__dict__["digest"]
    again.folder.__dict__["regression"] = replace(model.regression, aligned=replace(aligned, share=0.01))
    assert again.digest != digest


def test_edges_are_not_aligned_without_a_process(small, tmp_path):
    with pytest.raises(ConfigError, match=r"^target\.aligned: the Gaussian process learns "):
        train_on(small / FEATURES, tmp_path / "a.model", target__aligned=True)
    assert not (tmp_path / "a.model").exists()
