"""Student's t fitted to errors: the maximum of likelihood and prior that SciPy computes."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import t

from xanes_hpc.models.tails import MOST_VALUES, SPREAD, USUAL, fit_tails, n_independent
from xanes_hpc.spectra.distribution import GAUSSIAN


@pytest.mark.parametrize("degrees", [3.0, 5.0, 10.0])
@pytest.mark.parametrize("shape", [(4000, 1), (200, 20)])
def test_the_fit_has_the_largest_product_of_likelihood_and_prior(degrees, shape):
    z = 0.7 * np.random.default_rng(0).standard_t(degrees, shape)

    def loss(logs):
        prior = (np.exp(-logs[0]) - USUAL) ** 2 / (2.0 * SPREAD**2)
        return prior - n_independent(z) * t.logpdf(z, np.exp(logs[0]), scale=np.exp(logs[1])).mean()

    precise = {"xatol": 1e-6, "fatol": 1e-10}
    expected = np.exp(minimize(loss, np.log([degrees, 0.7]), method="Nelder-Mead", options=precise).x)
    distribution, factor = fit_tails(np.abs(z))
    assert distribution.degrees == pytest.approx(expected[0], rel=2e-3)
    assert factor == pytest.approx(expected[1] * np.sqrt(expected[0] / (expected[0] - 2.0)), rel=2e-3)


def test_errors_of_a_site_count_as_one_if_they_are_equal_and_as_all_if_they_are_independent():
    generator = np.random.default_rng(3)
    of_sites = np.abs(generator.standard_t(5.0, (500, 1)))
    assert n_independent(np.tile(of_sites, 50)) == pytest.approx(500, rel=0.01)
    assert n_independent(np.abs(generator.standard_t(5.0, (500, 50)))) == pytest.approx(25_000, rel=0.15)


def test_few_sites_with_some_large_errors_do_not_decide_the_tails():
    z = np.abs(np.random.default_rng(4).standard_t(2.2, (30, 1)))
    few = fit_tails(np.tile(z, 50))[0].degrees
    many = fit_tails(np.tile(z, (50, 1)))[0].degrees
    assert 3.0 < few < 6.0
    assert many < 0.8 * few


def test_gaussian_errors_give_a_gaussian():
    distribution, factor = fit_tails(np.abs(np.random.default_rng(1).normal(0.0, 2.0, (5_000, 10))))
    assert distribution == GAUSSIAN or distribution.degrees > 50
    assert factor == pytest.approx(2.0, rel=0.02)


def test_equal_errors_give_a_gaussian_of_their_size():
    distribution, factor = fit_tails(np.full((100, 4), 0.3))
    assert distribution == GAUSSIAN
    assert factor == pytest.approx(0.3)


def test_many_errors_are_represented_by_quantiles():
    z = np.abs(np.random.default_rng(2).standard_t(4.0, (40, 2 * MOST_VALUES // 10)))
    every, factor = fit_tails(z)
    few, other = fit_tails(z[:10])
    assert [every.degrees, factor] == pytest.approx([4.0, np.sqrt(2.0)], rel=0.05)
    assert [few.degrees, other] == pytest.approx([every.degrees, factor], rel=0.15)
