"""A Gaussian process updated with sites whose spectra are of another kind, against one fit to everything."""

from dataclasses import replace

import numpy as np
import pytest
from support import kernels as slow
from support.trainings import FEATURES, gathered, run_of

from xanes_hpc.data.datasets import SiteSet, statistics
from xanes_hpc.models.aligned import Aligned
from xanes_hpc.models.gaussian_process import GaussianProcess
from xanes_hpc.models.kernels import Matern
from xanes_hpc.training.gaussian_process_choice import choose
from xanes_hpc.training.gaussian_process_fit import NOISE, Observations, solve
from xanes_hpc.training.gaussian_process_update import DISCREPANCIES, Earlier, kernel_of_update, update

DISCREPANCY = 0.1


@pytest.fixture
def known(small, tmp_path):
    """The data, its scalers, two disjoint sets of sites, and the process of the first as an earlier one."""
    with gathered([small / FEATURES], run_of(tmp_path, target__aligned=False)) as data:
        first, second = (SiteSet(data.sources, np.arange(120) % 3 == part, data.absorbers) for part in (0, 1))
        scalers = statistics(first, "sqrt").scalers("global")
        n, random = data.first.features.n_features, np.random.default_rng(0)
        scales, linear = random.lognormal(-1.0, 1.0, (2, n)) / n
        kernel = Matern(np.array([0.9]), scales[None], linear)
        process = solve(Observations(first, scalers, together=data.together), kernel).process(0.7, None)
        yield data, scalers, first, second, process


def factors_of(process, discrepancy=0.0):
    """Return the coupling: 1 between sites of one element, earlier or new, and more between new ones."""
    n = len(process.scalers.target_mean)
    factors = np.tile(np.eye(n), (2, 2))
    factors[:n, :n] *= 1.0 + discrepancy
    return factors


def earlier_of(process, aligned=None):
    """Return a process as that of an earlier model on the same elements, with the same spectra."""
    coupled = replace(process.kernel, coupling=factors_of(process))
    absorbers = process.absorbers + len(process.scalers.target_mean)
    return Earlier(
        process.landmarks, absorbers, process.coefficients, process.errors, coupled, process.share, aligned
    )  # fmt: skip


def updated(seen, earlier):
    return update(seen, earlier, earlier.discrepant(DISCREPANCY)).process(0.5, seen.aligned)


def columns(sites, scalers):
    x, absorbers, y = (np.concatenate(c) for c in zip(*(sites.read(chunk) for chunk in sites.chunks), strict=True))
    return scalers.features(x), absorbers, scalers.targets(y, absorbers).astype(np.float64)


def jointly(process, scalers, first, second, left_out=()):
    """Return coefficients of one process of both sets: targets of the first are its own, with noise; slow kernel."""
    function = slow.function_of(process.kernel)
    (x, absorbers, _), (z, own, targets) = columns(first, scalers), columns(second, scalers)
    kept = ~np.isin(np.arange(len(z)), left_out)
    z, own, targets = z[kept], own[kept], targets[kept]
    rows, kinds = np.concatenate([x, z]), np.concatenate([absorbers + len(scalers.target_mean), own])
    matrix = slow.matrix(function, rows, rows, kinds, kinds, factors_of(process, DISCREPANCY)) + NOISE * np.eye(
        len(rows)
    )
    pseudo = matrix[: len(x), : len(x)] @ process.coefficients.astype(np.float64)
    return np.linalg.solve(matrix, np.concatenate([pseudo, targets]))


def test_an_update_equals_one_process_of_all_sites(known):
    _, scalers, first, second, process = known
    earlier = earlier_of(process)
    found = updated(Observations(second, scalers), earlier)
    expected = jointly(process, scalers, first, second)
    np.testing.assert_allclose(found.coefficients, expected, atol=2e-3 * np.abs(expected).max())
    assert found.errors is None
    assert found.share == 0.5


def test_errors_of_an_update_leave_the_group_out(known):
    data, scalers, first, second, process = known
    earlier = earlier_of(process)
    found = updated(Observations(second, scalers, together=data.together), earlier)
    n = first.n_sites
    np.testing.assert_array_equal(found.errors[:n], process.errors)
    labels = data.together[second.chosen]
    z, own, targets = columns(second, scalers)
    for site in (0, 9):
        group = np.flatnonzero(labels == labels[site])
        coefficients = jointly(process, scalers, first, second, group)
        kept = np.setdiff1d(np.arange(len(z)), group)
        rows = np.concatenate([columns(first, scalers)[0], z[kept]])
        kinds = np.concatenate([earlier.absorbers, own[kept]])
        function, factors = slow.function_of(process.kernel), factors_of(process, DISCREPANCY)
        between = slow.matrix(function, z[site : site + 1], rows, own[site : site + 1], kinds, factors)
        expected = np.abs(targets[site] - (between @ coefficients)[0])
        np.testing.assert_allclose(found.errors[n + site], expected, atol=0.01 * expected.max())


def test_an_update_without_new_information_changes_nothing(known):
    """New sites whose spectra are those that the earlier process predicts."""
    _, scalers, _, second, process = known
    earlier, scalers = earlier_of(process), replace(scalers, softness=None)
    x, absorbers, _ = (np.concatenate(c) for c in zip(*(second.read(chunk) for chunk in second.chunks), strict=True))
    predicted = GaussianProcess(
        process.landmarks, process.absorbers, process.coefficients, process.kernel, 1.0, scalers
    ).spectra(x, absorbers)
    agreeing = Given(second, x, absorbers, predicted)
    found = updated(Observations(agreeing, scalers), earlier)
    np.testing.assert_allclose(found.spectra(x, absorbers), predicted, atol=1e-4 * np.ptp(predicted))


class Given:
    """A set with other spectra."""

    def __init__(self, part, x, absorbers, y):
        self.n_sites, self.chosen, self.chunks, self._values = part.n_sites, part.chosen, [None], (x, absorbers, y)

    def sample(self, most, seed):
        return self

    def read(self, chunk):
        return self._values


def test_spectra_of_the_same_kind_have_a_small_discrepancy_and_others_a_large_one(known):
    data, scalers, _, second, process = known
    seen = Observations(second, scalers, together=data.together)
    earlier = earlier_of(process)
    n = len(scalers.target_mean)
    same = kernel_of_update(seen, earlier)
    misleading = replace(earlier, coefficients=earlier.coefficients[::-1])
    other = kernel_of_update(seen, misleading)
    assert same.coupling[0, 0] < other.coupling[0, 0] <= 1.0 + max(DISCREPANCIES)
    assert same.coupling[0, n] == same.coupling[n, n] == 1.0


def test_shares_without_a_validation_set_are_those_of_the_earlier_model(known):
    data, scalers, _, second, process = known
    data = replace(data, sets=np.where(second.chosen, 0, 4).astype(np.uint8))
    choice = choose(data, ["train"], scalers, False, 0, earlier=earlier_of(process))
    assert (choice.share, choice.aligned, choice.updates) == (0.7, None, True)
    found = choice.fit(data, ["train"], scalers, 0, earlier_of(process))
    assert len(found.landmarks) == len(process.landmarks) + second.n_sites


def test_shifts_and_shapes_are_updated_too(known):
    data, scalers, first, second, process = known
    aligned = Aligned(data.first.targets.grid.energies, scalers, 0.5)
    first_seen, seen = (Observations(s, scalers, 0, aligned, data.together) for s in (first, second))
    process = solve(first_seen, process.kernel).process(0.7, aligned)
    earlier = earlier_of(process, 0.5)
    found = updated(seen, earlier)
    assert found.coefficients.shape == (first.n_sites + second.n_sites, aligned.n_columns)
    x, absorbers, y = (np.concatenate(c) for c in zip(*(second.read(chunk) for chunk in second.chunks), strict=True))
    before = np.abs(process.spectra(x, absorbers) - y).mean()
    assert np.abs(found.spectra(x, absorbers) - y).mean() < 0.5 * before
