"""Calibration on synthetic sites with known errors: its coverage must hold for new sites."""

import json
from fractions import Fraction
from math import erf, sqrt

import numpy as np
import pytest

from xanes_hpc.models import calibration as uncertainty
from xanes_hpc.models.calibration import (
    NOMINAL,
    Calibration,
    calibrate,
    calibrate_without_spread,
    conformal_scores,
    not_calibrated,
    typical_of_all,
)
from xanes_hpc.models.description import is_calibration, read_calibration
from xanes_hpc.models.sigma_factors import Evidence
from xanes_hpc.spectra.distribution import GAUSSIAN, LEVELS, Distribution

ENERGIES = np.linspace(-15.0, 60.0, 76)
TRUE_SCALE = 3.0 * np.exp(0.5 * np.sin(ENERGIES / 12.0))
"""Ratio of sigma to the spread of the draws, varying slowly with energy."""


def sites(n, seed, errors=None, scale=TRUE_SCALE):
    """Return errors and spreads of n sites, (n, n_energies); sigma of the errors is the spread times ``scale``."""
    generator = np.random.default_rng(seed)
    spread = 0.02 * np.exp(0.4 * generator.normal(size=(n, ENERGIES.size)))
    z = errors(generator, spread.shape) if errors else generator.normal(size=spread.shape)
    return scale * spread * z, spread


def calibrated(error, spread):
    return calibrate(error, np.zeros_like(error), Evidence(spread), ENERGIES)


def coverage(calibration, error, spread):
    """Return the fraction of points within 1, 2 and 3 sigma."""
    z = np.abs(error) / calibration.sigma(Evidence(spread))
    return np.array([np.mean(z <= k) for k in (1, 2, 3)])


def interval_coverage(calibration, error, spread):
    """Return the fraction of points within each interval of the fitted distribution."""
    z = np.abs(error) / calibration.sigma(Evidence(spread))
    return np.array([np.mean(z <= calibration.distribution.half_width(level)) for level in LEVELS])


def conformal_coverage(calibration, error, spread):
    """Return the fraction of points within each conformal interval."""
    z = np.abs(error) / calibration.sigma(Evidence(spread))
    return np.array([np.mean(z <= score) for _, score in calibration.conformal])


def students_t(generator, shape):
    return generator.standard_t(3, shape)


def test_nominal_fractions_are_those_of_a_gaussian():
    np.testing.assert_allclose(NOMINAL, [erf(k / sqrt(2)) for k in (1, 2, 3)])
    np.testing.assert_allclose(NOMINAL, [0.6827, 0.9545, 0.9973], atol=1e-4)


@pytest.mark.parametrize("n_sites", [50, 300])
def test_coverage_of_gaussian_errors_of_new_sites_is_nominal(n_sites):
    found = calibrated(*sites(n_sites, seed=0))
    n_points = n_sites * ENERGIES.size
    sampling = np.sqrt(NOMINAL * (1.0 - NOMINAL) / n_points)
    reached = coverage(found, *sites(2000, seed=1))
    np.testing.assert_allclose(reached, NOMINAL, atol=0.003 + 5.0 * sampling.max())
    np.testing.assert_allclose(conformal_coverage(found, *sites(2000, seed=1)), LEVELS, atol=0.003 + 5 * sampling.max())
    assert found.n_sites == n_sites


def test_coverage_of_all_intervals_is_nominal_for_heavy_tails():
    """With 3 degrees of freedom, sigma is √3 times the scale, so far more than 68 % of the points are within it."""
    found = calibrated(*sites(300, 2, students_t))
    fresh = sites(2000, 3, students_t)
    assert found.distribution.degrees == pytest.approx(3.0, rel=0.1)
    np.testing.assert_allclose(interval_coverage(found, *fresh), LEVELS, atol=0.01)
    np.testing.assert_allclose(conformal_coverage(found, *fresh), LEVELS, atol=0.01)
    assert coverage(found, *fresh)[0] == pytest.approx(Distribution(3.0).below(1.0) * 2 - 1, abs=0.01)


def test_few_sites_are_taken_to_have_gaussian_errors():
    assert calibrated(*sites(20, 2, students_t)).distribution == GAUSSIAN


def test_a_single_site_with_errors_is_no_reason_to_fail():
    error, spread = sites(40, 45)
    error[1:] = 0.0
    found = calibrated(error, spread)
    assert found.distribution == GAUSSIAN
    assert np.isfinite(found.sigma(Evidence(spread))).all()


def test_spectra_that_are_hard_to_predict_make_heavy_tails():
    """Errors are Gaussian at each site; their size differs between sites, which the spread does not show."""

    def between_sites(generator, shape):
        return generator.normal(size=shape) * np.exp(0.4 * generator.normal(size=(shape[0], 1)))

    found = calibrated(*sites(1000, 40, between_sites))
    assert 3.0 < found.distribution.degrees < 12.0
    np.testing.assert_allclose(interval_coverage(found, *sites(4000, 41, between_sites)), LEVELS, atol=0.02)


def test_sigma_is_not_too_small_though_it_was_fitted_to_the_same_sites():
    """Useless quantities that the factors overfit on few sites."""
    generator = np.random.default_rng(42)
    error, spread = sites(40, 43)
    found = calibrate(
        error, np.zeros_like(error), Evidence(spread, local_error=generator.lognormal(0, 1, error.shape)), ENERGIES
    )
    fresh = sites(2000, 44)
    evidence = Evidence(fresh[1], local_error=generator.lognormal(0, 1, fresh[1].shape))
    within = np.mean(np.abs(fresh[0]) <= found.sigma(evidence) * found.distribution.half_width(0.6827))
    assert within == pytest.approx(0.6827, abs=0.02)


def test_the_scale_at_every_energy_is_recovered():
    found = calibrated(*sites(400, seed=4))
    fresh_spread = sites(2000, seed=5)[1]
    sigma = np.sqrt(np.mean(found.sigma(Evidence(fresh_spread)) ** 2, axis=0))
    expected = np.sqrt(np.mean((TRUE_SCALE * fresh_spread) ** 2, axis=0))
    np.testing.assert_allclose(sigma, expected, rtol=0.12)  # smoothing over energies lowers the crests this much


def test_coverage_is_nominal_at_every_energy():
    found = calibrated(*sites(400, seed=6))
    error, spread = sites(2000, seed=7)
    within = np.mean(np.abs(error) <= found.sigma(Evidence(spread)), axis=0)
    np.testing.assert_allclose(within, NOMINAL[0], atol=0.05)
    one_scale = Calibration(np.full(ENERGIES.size, 3.0), np.zeros((1, ENERGIES.size)))
    assert np.abs(np.mean(np.abs(error) <= one_scale.sigma(Evidence(spread)), axis=0) - NOMINAL[0]).max() > 0.15


def test_an_uninformative_spread_gets_a_floor():
    """If errors are unrelated to the spread, sigma must not be small where the spread happens to be."""
    generator = np.random.default_rng(8)

    def unrelated(n):
        spread = 0.02 * np.exp(1.5 * generator.normal(size=(n, ENERGIES.size)))
        return 0.06 * generator.normal(size=spread.shape), spread

    found = calibrated(*unrelated(300))
    assert (found.floor > 0).all()
    fresh = unrelated(2000)
    assert np.abs(coverage(found, *fresh) - NOMINAL).max() < 0.1
    bare = Calibration(np.full(ENERGIES.size, 3.0), np.zeros((1, ENERGIES.size)))
    assert np.abs(coverage(bare, *fresh) - NOMINAL).max() > 0.15


@pytest.mark.parametrize("n_sites", [2, 5])
@pytest.mark.parametrize("seed", range(3))
def test_a_few_sites_are_better_than_none(n_sites, seed):
    error, spread = sites(n_sites, 10 + seed)
    found, fresh = calibrated(error, spread), sites(1000, seed=20)
    assert np.isfinite(found.scale).all()
    assert (found.scale > 0).all()
    assert np.abs(coverage(found, *fresh) - NOMINAL).max() < 0.15
    assert np.abs(coverage(not_calibrated(ENERGIES.size), *fresh) - NOMINAL).max() > 0.3


@pytest.mark.parametrize("n_sites", [0, 1])
def test_with_too_few_sites_sigma_is_the_spread(n_sites):
    found = calibrated(*sites(n_sites, seed=30))
    assert (found.n_sites, found.conformal) == (0, ())
    np.testing.assert_array_equal(found.sigma(Evidence(np.full((2, ENERGIES.size), 0.3))), 0.3)


def test_without_errors_sigma_is_the_spread():
    _, spread = sites(9, seed=31)
    assert calibrated(np.zeros_like(spread), spread).n_sites == 0


def test_without_spread_sigma_comes_from_the_errors_alone():
    """Such as for networks without dropout: one sigma at each energy, and intervals with nominal coverage."""
    error, spread = sites(300, seed=32)
    found = calibrated(error, np.zeros_like(spread))
    fresh = sites(2000, seed=33)[0]
    np.testing.assert_allclose(interval_coverage(found, fresh, np.zeros_like(fresh)), LEVELS, atol=0.01)
    np.testing.assert_allclose(conformal_coverage(found, fresh, np.zeros_like(fresh)), LEVELS, atol=0.01)


def test_one_spread_for_all_sites_and_energies():
    error = np.random.default_rng(34).normal(size=(300, ENERGIES.size))
    found = calibrated(error, np.full_like(error, 0.1))
    np.testing.assert_allclose(found.sigma(Evidence(np.full((1, ENERGIES.size), 0.1))), 1.0, rtol=0.15)


@pytest.mark.parametrize("quiet", [slice(0, 1), slice(0, 30), slice(40, 41)])
def test_energies_without_errors_do_not_affect_the_others(quiet):
    """Below the edge, spectra may be zero, and zero in every draw."""
    error, spread = sites(200, seed=35)
    whole = calibrated(error, spread)
    error[:, quiet] = spread[:, quiet] = 0.0
    found = calibrated(error, spread)
    others = np.setdiff1d(np.arange(ENERGIES.size), np.arange(ENERGIES.size)[quiet])
    fresh, fresh_spread = sites(1000, seed=36)
    fresh[:, quiet] = fresh_spread[:, quiet] = 0.0
    sigma, expected = (c.sigma(Evidence(fresh_spread))[:, others].mean(axis=0) for c in (found, whole))
    np.testing.assert_allclose(sigma, expected, rtol=0.25)
    assert np.isfinite(found.sigma(Evidence(fresh_spread))).all()
    assert (found.sigma(Evidence(fresh_spread))[:, others] > 0).all()


def test_a_vanishing_spread_at_some_energies():
    """Networks with a positive output return values near zero below the edge, of very different magnitudes."""
    generator = np.random.default_rng(39)

    def ensemble(n):
        error, spread = sites(n, int(generator.integers(1000)))
        spread[:, :10] = 10.0 ** generator.uniform(-130.0, -20.0, size=(n, 10))
        error[:, :10] = 1e-4 * generator.normal(size=(n, 10))
        return error, spread

    found = calibrated(*ensemble(200))
    error, spread = ensemble(1000)
    sigma = found.sigma(Evidence(spread))
    assert np.isfinite(sigma).all()
    assert sigma.max() < 10 * np.abs(error).max()
    assert np.abs(coverage(found, error, spread) - NOMINAL).max() < 0.05


def test_one_perfect_site_among_others():
    error, spread = sites(5, seed=37)
    error[2] = spread[2] = 0.0
    found = calibrated(error, spread)
    assert np.isfinite(found.sigma(Evidence(spread))).all()
    assert (found.scale > 0).all()


def test_spectra_of_elements_may_have_different_units():
    """Coverage is nominal for each element; a common floor would be far too wide for the smaller spectra."""
    error, spread = sites(400, seed=40, scale=3.0)
    unit = np.array([1.0, 0.02])
    absorbers = np.arange(400) % 2

    def of_both(error, spread):
        rows = np.arange(len(error)) % 2
        return error * unit[rows, None], spread * unit[rows, None], rows

    error, spread, absorbers = of_both(error, spread)
    found = calibrate(error, np.zeros_like(error), Evidence(spread, absorbers=absorbers), ENERGIES, unit)
    assert found.floor.shape == (2, ENERGIES.size)
    fresh, fresh_spread, rows = of_both(*sites(2000, seed=41, scale=3.0))
    z = np.abs(fresh) / found.sigma(Evidence(fresh_spread, absorbers=rows))
    for absorber in (0, 1):
        reached = [np.mean(z[rows == absorber] <= k) for k in (1, 2, 3)]
        np.testing.assert_allclose(reached, NOMINAL, atol=0.03)
    mixed = calibrate(error, np.zeros_like(error), Evidence(spread), ENERGIES)
    small = np.abs(fresh[rows == 1]) / mixed.sigma(Evidence(fresh_spread[rows == 1]))
    assert np.mean(small <= 1.0) > 0.9


def test_units_do_not_matter():
    error, spread = sites(20, seed=38)
    plain, small = calibrated(error, spread), calibrated(1e-9 * error, 1e-9 * spread)
    np.testing.assert_allclose(small.sigma(Evidence(1e-9 * spread)), 1e-9 * plain.sigma(Evidence(spread)), rtol=1e-6)
    np.testing.assert_allclose(small.conformal, plain.conformal, rtol=1e-6)


def slow_score(z, level):
    """Return the smallest score that is not below ceil((n + 1) level) of the n scores, or None if n is too small."""
    wanted = (z.size + 1) * Fraction(str(level))
    reaching = [score for score in z.ravel() if (z <= score).sum() >= wanted]
    return min(reaching, default=None)


@pytest.mark.parametrize("n", [1, 2, 3, 8, 9, 10, 18, 19, 20, 21, 99, 100, 369, 370, 400])
def test_conformal_scores_are_the_finite_sample_quantiles(n):
    z = np.abs(np.random.default_rng(n).normal(size=n))
    expected = [(level, slow_score(z, level)) for level in LEVELS]
    assert conformal_scores(z) == tuple((level, score) for level, score in expected if score is not None)


def test_conformal_scores_cover_at_least_their_level_on_average():
    """Vovk's guarantee for a new point that is exchangeable with the n others, over many sets."""
    generator = np.random.default_rng(40)
    n, hits = 30, {level: [] for level in LEVELS}
    for _ in range(4000):
        z = np.abs(generator.standard_t(3, n + 1))
        for level, score in conformal_scores(z[:n]):
            hits[level].append(z[n] <= score)
    assert not hits[0.9973]
    for level in (0.6827, 0.9, 0.9545):
        assert level - 0.015 < np.mean(hits[level]) < level + 1.0 / (n + 1) + 0.015


def test_few_points_give_no_interval_of_a_high_level():
    error, spread = sites(4, seed=41)
    assert [level for level, _ in calibrated(error, spread).conformal] == list(LEVELS[:3])
    error, spread = sites(5, seed=41)
    assert [level for level, _ in calibrated(error, spread).conformal] == list(LEVELS)


def test_the_scale_of_few_scores_is_the_middle_of_equally_good_ones():
    found = uncertainty._scale(np.array([1.0, 4.0]))
    assert 2.0 < found < 4.0


def test_a_calibration_survives_json():
    found = calibrated(*sites(6, seed=42))
    value = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert is_calibration(value)
    again = read_calibration(value, ENERGIES.size)
    np.testing.assert_array_equal(again.scale, found.scale)
    np.testing.assert_array_equal(again.floor, found.floor)
    assert (again.conformal, again.n_sites) == (found.conformal, found.n_sites)


def test_calibrations_of_schema_1_are_read():
    value = {"sigma_scale": 2, "conformal": [{"level": 0.9, "score": 1.7}], "n_sites": 3}
    found = read_calibration(value, 4)
    np.testing.assert_array_equal(found.sigma(Evidence(np.array([[1.0, 2.0, 0.0, 4.0]]))), [[2.0, 4.0, 0.0, 8.0]])
    assert (found.conformal, found.n_sites) == (((0.9, 1.7),), 3)


@pytest.mark.parametrize(
    "changed",
    [
        {"scale": [1.0, 0.0]}, {"scale": []}, {"scale": [1.0]}, {"floor": [0.1, -0.1]}, {"floor": [0.1]},
        {"floor": None}, {"floor": []}, {"floor": [[0.0, 0.1], [0.1]]}, {"floor": [[0.0, "a"]]},
        {"conformal": None}, {"conformal": [{"level": 0.9}]}, {"n_sites": "many"},
        {"sigma_scale": 0},
    ],
)  # fmt: skip
def test_wrong_values_of_a_calibration_are_recognised(changed):
    value = {"scale": [1.0, 2.0], "floor": [0.0, 0.1], "conformal": [], "n_sites": 9}
    assert is_calibration(value)
    assert not is_calibration(value | changed)
    assert is_calibration(value | {"floor": [[0.0, 0.1], [0.2, 0.3]]})


def of_two_kinds(n, seed):
    """Return errors of easy sites, then of difficult ones, whose evidence does not tell them apart."""
    random = np.random.default_rng(seed)
    size = np.repeat([0.05, 0.15], n)[:, None]
    return np.abs(random.normal(0.0, size, (2 * n, ENERGIES.size))), np.repeat([True, False], n)


def test_a_calibration_from_easy_sites_is_corrected_by_the_errors_of_all():
    error, easy = of_two_kinds(200, 0)
    evidence = Evidence(np.full_like(error, 0.1))
    from_easy = calibrate(error[easy], np.zeros_like(error[easy]), Evidence(evidence.spread[easy]), ENERGIES)
    from_all = calibrate(error, np.zeros_like(error), evidence, ENERGIES)
    other, _ = of_two_kinds(200, 1)  # of another model, with the same sites easy, and twice the errors
    found = typical_of_all(from_easy, 2.0 * other, evidence, easy)
    before, after = (np.mean(error < own.sigma(evidence)) for own in (from_easy, found))
    assert before < 0.55
    assert after == pytest.approx(NOMINAL[0], abs=0.06)
    assert after == pytest.approx(np.mean(error < from_all.sigma(evidence)), abs=0.1)
    same = typical_of_all(from_easy, error, evidence, np.ones(len(error), bool))
    np.testing.assert_allclose(same.scale, from_easy.scale)


def test_without_draws_sigma_depends_on_the_rest_alone():
    random = np.random.default_rng(0)
    distance = random.uniform(0.5, 2.0, 400)
    error = np.abs(random.normal(0.0, 0.1 * distance[:, None], (400, ENERGIES.size)))
    sizes = np.array([0.5])
    evidence = Evidence(np.full_like(error, 0.5), distance)
    found = calibrate_without_spread(error, evidence, ENERGIES, sizes)
    for spread in (1e-4, 0.3):
        sigma = found.sigma(Evidence(np.full_like(error, spread), distance))
        within = np.mean(error < sigma * found.distribution.half_width(0.6827))
        assert within == pytest.approx(0.6827, abs=0.03)
    few = (3.0 * error[:20], Evidence(np.full_like(error, 0.2)[:20], distance[:20]))
    corrected = calibrate_without_spread(error, evidence, ENERGIES, sizes, few)
    np.testing.assert_allclose(corrected.scale, found.scale * 3.0**0.5, rtol=0.1)
