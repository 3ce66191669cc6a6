"""Errors of a Gaussian process at its own sites, each predicted without its group."""

from dataclasses import replace

import numpy as np
import pytest
from support.trainings import FEATURES, gathered, run_of, train_on

from xanes_hpc.data.datasets import iterate, statistics
from xanes_hpc.models.aligned import Aligned
from xanes_hpc.models.kernels import Matern
from xanes_hpc.models.training_sites import LEFT_OUT, SETS
from xanes_hpc.training import gaussian_process_choice
from xanes_hpc.training import leave_group_out as module
from xanes_hpc.training.gaussian_process_choice import kernel_left_out
from xanes_hpc.training.gaussian_process_fit import Observations, solve
from xanes_hpc.training.leave_group_out import leave_group_out


@pytest.fixture
def known(small, tmp_path):
    """The data, the scalers, and a process fitted to all sites but the test set."""
    with gathered([small / FEATURES], run_of(tmp_path, split__calibration=0.2)) as data:
        sites = data.sites_in(*SETS[:3])
        scalers = statistics(sites, "sqrt").scalers("global")
        n, random = data.first.features.n_features, np.random.default_rng(0)
        scales, linear = random.lognormal(-1.0, 1.0, (2, n)) / n
        kernel = Matern(np.array([0.9]), scales[None], linear)
        aligned = Aligned(data.first.targets.grid.energies, scalers, 0.4)
        seen = Observations(sites, scalers, 0, aligned, data.together)
        yield data, scalers, solve(seen, kernel).process(0.7, aligned)


def without(process, kept):
    """Return a process with some of its landmarks, which is only good for its errors and distances."""
    return replace(
        process, landmarks=process.landmarks[kept], absorbers=process.absorbers[kept], errors=process.errors[kept]
    )


def test_errors_and_evidence_are_those_without_the_group(known):
    data, scalers, process = known
    found = leave_group_out(process, data, SETS[:3], seed=0)
    sites = data.sites_in(*SETS[:3])
    rows = np.flatnonzero(sites.chosen)
    labels, energies = data.together[sites.chosen], data.first.targets.grid.energies
    assert len(found.errors) == rows.size
    np.testing.assert_array_equal(found.calibrated, data.sets[rows] == SETS.index("calibration"))
    x, absorbers, y = (np.concatenate(c) for c in zip(*iterate(sites), strict=True))
    for site in (0, 17, 60):
        same = labels == labels[site]
        others = replace(data, sets=data.sets.copy())
        others.sets[rows[same]] = LEFT_OUT
        rest = Observations.of(others, SETS[:3], scalers, 0, 0.4)
        refitted = solve(rest, process.kernel).process(0.7, process.aligned)
        here = slice(site, site + 1)
        predicted = replace(refitted, scalers=replace(scalers, softness=None)).spectra(x[here], absorbers[here])
        expected = np.abs(y[here] - predicted)[0]
        np.testing.assert_allclose(found.errors[site], expected, atol=0.02 * expected.max())
        rest = without(process, ~same)
        remote = rest.kernel.remoteness(rest.terms(x[here]))
        local = rest.local_errors(remote, absorbers[here], energies)[0]
        np.testing.assert_allclose(found.evidence.local_error[site], local, rtol=1e-3)
        assert found.evidence.distance[site] == pytest.approx(rest.nearest(x[here], remote)[0], rel=1e-3)
        assert found.evidence.distance[site] > 0.0
    units = found.evidence.relative(np.sqrt(np.mean(np.square(scalers.target_scale), axis=1)))
    np.testing.assert_allclose(units["spread"], 1.0, rtol=1e-6)


def test_of_many_sites_a_sample_with_the_whole_calibration_set_is_used(known, monkeypatch):
    data, _, process = known
    monkeypatch.setattr(module, "MOST_SITES", 40)
    found = leave_group_out(process, data, SETS[:3], seed=0)
    assert len(found.errors) == 40
    assert found.calibrated.sum() == data.sites_in("calibration").n_sites
    assert leave_group_out(replace(process, residuals=None), data, SETS[:3], seed=0) is None
    one_compound = replace(data, formulas=["FeO"] * len(data.formulas))
    assert leave_group_out(process, one_compound, SETS[:3], seed=0) is None


def test_kernels_are_learned_without_the_sites_that_they_predict(known, monkeypatch):
    data, scalers, process = known
    learned = []

    def learn_kernel(_, seen):
        learned.append(seen.sites.chosen)
        return replace(process.kernel, scales=process.kernel.scales * (1.0 + len(learned)))

    monkeypatch.setattr(gaussian_process_choice, "learn_kernel", learn_kernel)
    found = kernel_left_out(process, data, SETS[:3], scalers, seed=0)
    sites = data.sites_in(*SETS[:3])
    assert len(learned) == gaussian_process_choice.N_PARTS
    unseen = [sites.chosen & ~chosen for chosen in learned]
    np.testing.assert_array_equal(np.sum(unseen, axis=0), sites.chosen)  # each site is in one part
    for number, part in enumerate(unseen, 1):
        kernel = replace(process.kernel, scales=process.kernel.scales * (1.0 + number))
        expected = solve(Observations.of(data, SETS[:3], scalers, 0, 0.4), kernel).of_spectra(process.aligned)
        own = part[sites.chosen]
        np.testing.assert_array_equal(found.residuals[own], expected[own])
        assert not set(data.together[part]) & set(data.together[learned[number - 1]])
    np.testing.assert_array_equal(found.coefficients, process.coefficients)


def test_a_model_without_a_calibration_set_is_calibrated_all_the_same(small, tmp_path, capsys):
    model = train_on(
        small / FEATURES, tmp_path / "m", training__gaussian_process=True, split__calibration=0.0, split__test=0.4
    )
    n_fitted = sum(model.training_sites.count(name) for name in SETS[:3])
    assert model.training_sites.count("calibration") == 0
    assert model.calibration.n_sites == n_fitted
    assert model.calibration.factors["spread"].exponent == -1.0
    assert model.trust["threshold"] > 0
    with gathered([small / FEATURES], run_of(tmp_path, split__calibration=0.0, split__test=0.4)) as data:
        x, absorbers, y = (np.concatenate(c) for c in zip(*iterate(data.sites_in("test")), strict=True))
    drawn, evidence = model.sample(x, absorbers, 20, 0)
    z = np.abs(drawn.mean - y) / model.calibration.sigma(evidence)
    half = model.calibration.distribution.half_width(0.6827)
    assert 0.55 < np.mean(z < half) < 0.85
    assert 0.95 < np.mean(z < model.calibration.distribution.half_width(0.9973)) <= 1.0
