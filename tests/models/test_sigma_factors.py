"""Factors of sigma, on synthetic sites whose errors depend on them in a known way."""

import json

import numpy as np
import pytest

from xanes_hpc.models.calibration import NOMINAL, Calibration, calibrate
from xanes_hpc.models.description import is_calibration, read_calibration
from xanes_hpc.models.sigma_factors import FEWEST_FOR_FACTORS, OTHER_BOUNDS, Evidence, Factor, fit_factors

N_ENERGIES = 60
ENERGIES = np.linspace(-15.0, 60.0, N_ENERGIES)
TRUE = {"distance": 0.5, "steepness": 0.3, "local_error": 0.8, "intensity": 0.4}


def varying(generator, shape):
    return np.exp(0.7 * generator.normal(size=shape))


def sites(n, seed, exponents=TRUE, spread_exponent=1.0, degrees=None):
    """Return errors and evidence of n sites; sigma is spread^p times the other quantities to their ``exponents``."""
    generator = np.random.default_rng(seed)
    whole = (n, N_ENERGIES)
    known = {
        "spread": 0.02 * varying(generator, whole),
        "distance": 0.1 * varying(generator, n),
        "steepness": varying(generator, whole),
        "local_error": 0.3 * varying(generator, whole),
        "intensity": varying(generator, whole),
    }
    sigma = 2.0 * (1.0 + 0.3 * np.sin(ENERGIES / 9.0)) * (known["spread"] / 0.02) ** spread_exponent
    for name, exponent in exponents.items():
        u = known[name] / np.exp(np.log(known[name]).mean())
        sigma = sigma * (u if u.ndim == 2 else u[:, None]) ** exponent
    z = generator.normal(size=whole) if degrees is None else generator.standard_t(degrees, size=whole)
    return sigma * z, Evidence(**known)


def fitted(error, evidence):
    known = evidence.relative(np.ones(1))
    return fit_factors(np.abs(error), known["spread"], known)


@pytest.mark.parametrize("degrees", [None, 4])
def test_exponents_are_recovered(degrees):
    found = {name: factor.exponent for name, factor in fitted(*sites(300, 0, degrees=degrees)).items()}
    for name, exponent in TRUE.items():
        assert found[name] == pytest.approx(exponent, rel=0.1)
    assert abs(found.get("spread", 0.0)) < 0.05


def test_sigma_that_grows_with_the_square_root_of_the_spread():
    found = fitted(*sites(300, 1, spread_exponent=0.5))
    assert found["spread"].exponent == pytest.approx(-0.5, abs=0.05)


def test_an_uninformative_spread_is_ignored_but_never_inverted():
    """Even if errors decrease as the spread grows, sigma does not: that would be unphysical."""
    found = fitted(*sites(300, 2, spread_exponent=-0.5))
    assert found["spread"].exponent == -1.0


def test_a_quantity_with_which_errors_decrease_gets_no_factor():
    found = fitted(*sites(300, 3, exponents={"distance": -0.6, "local_error": 0.5}))
    assert "distance" not in found
    assert found["local_error"].exponent == pytest.approx(0.5, abs=0.05)


def test_fitted_exponents_stay_within_the_bounds_of_a_model():
    error, evidence = sites(100, 16, exponents={"intensity": 30.0})
    found = fitted(error, evidence)
    assert found["intensity"].exponent == OTHER_BOUNDS[1]
    calibration = Calibration(np.ones(2), np.zeros((1, 2)), factors=found)
    assert is_calibration(calibration.as_dict())


def test_few_sites_give_no_factors():
    assert fitted(*sites(FEWEST_FOR_FACTORS - 1, 4)) == {}
    assert fitted(*sites(FEWEST_FOR_FACTORS, 4))


@pytest.mark.parametrize("value", [0.0, 0.4])
def test_a_constant_quantity_gets_no_factor(value):
    error, evidence = sites(60, 5)
    known = {**evidence.relative(np.ones(1)), "steepness": np.full(error.shape, value)}
    assert "steepness" not in fit_factors(np.abs(error), known["spread"], known)


def test_quantities_that_are_zero_at_some_energies():
    """As for spectra that are flat below the edge, where neither slopes nor errors occur."""
    error, evidence = sites(200, 6)
    for values in (evidence.steepness, evidence.local_error, error):
        values[:, :9] = 0.0
    found = fitted(error, evidence)
    for name, exponent in TRUE.items():
        assert found[name].exponent == pytest.approx(exponent, abs=0.08)
        assert found[name].low > 0
    calibration = calibrate(error, np.zeros_like(error), evidence, ENERGIES)
    assert np.isfinite(calibration.sigma(evidence)).all()


@pytest.mark.parametrize("tail", [(1e-8, 1e-3), (1e-20, 1e-4), (1e-130, 1e-20)])
def test_energies_with_vanishing_quantities_do_not_affect_the_others(tail):
    """As below the edge of spectra that are kept positive, where values span many decades."""
    error, evidence = sites(200, 13)
    generator = np.random.default_rng(14)
    expected = fitted(error, evidence)
    nothing = 10.0 ** generator.uniform(*np.log10(tail), size=(200, 8))
    error[:, :8], evidence.steepness[:, :8], evidence.spread[:, :8] = nothing, nothing, 0.3 * nothing
    found = fitted(error, evidence)
    for name in TRUE:
        assert found[name].exponent == pytest.approx(expected[name].exponent, abs=0.12)
    steep = Evidence(evidence.spread[:1], evidence.distance[:1], np.ones((1, N_ENERGIES)), evidence.local_error[:1])
    calibration = calibrate(error, np.zeros_like(error), evidence, ENERGIES)
    assert calibration.sigma(steep).max() < 10.0 * np.abs(error).max()


def test_one_site_far_from_all_others():
    """Steps scaled by the information alone would oscillate forever here."""
    error, evidence = sites(40, 15, exponents={})
    evidence.distance[0] *= np.exp(12.0)
    exponent = fitted(error, evidence).get("distance", Factor(0.0, 1.0, 1.0, 1.0)).exponent
    error[0] *= 30.0
    assert exponent < 0.1 < fitted(error, evidence)["distance"].exponent < 2.0 * np.log(30.0) / 12.0


def test_factors_improve_the_coverage_of_new_sites():
    error, evidence = sites(300, 7)
    found = calibrate(error, np.zeros_like(error), evidence, ENERGIES)
    bare = calibrate(error, np.zeros_like(error), Evidence(evidence.spread), ENERGIES)
    assert bare.factors.keys() <= {"spread"}
    fresh, known = sites(3000, 8)

    def deviation(calibration):
        z = np.abs(fresh) / calibration.sigma(known)
        return np.abs([np.mean(z <= k) - n for k, n in zip((1, 2, 3), NOMINAL, strict=True)]).max()

    assert deviation(found) < 0.01
    assert deviation(bare) > 0.02


def test_a_factor_is_constant_outside_its_limits():
    factor = Factor(2.0, 1.0, 0.5, 3.0)
    np.testing.assert_allclose(factor.values(np.array([0.0, 0.1, 0.5, 2.0, 3.0, 1e9])), [0.25, 0.25, 0.25, 4, 9, 9])


def test_missing_evidence_counts_as_typical():
    calibration = Calibration(np.ones(3), np.zeros((1, 3)), factors={"distance": Factor(1.0, 0.1, 0.01, 1.0)})
    spread = np.full((2, 3), 0.2)
    np.testing.assert_array_equal(calibration.sigma(Evidence(spread)), spread)
    doubled = calibration.sigma(Evidence(spread, distance=np.array([0.1, 0.2])))
    np.testing.assert_allclose(doubled, [[0.2] * 3, [0.4] * 3])


def test_quantities_are_relative_to_the_size_of_each_elements_spectra():
    """For the same sites with spectra a hundredth as large, sigma is a hundredth."""
    error, evidence = sites(200, 9)
    sizes = np.array([1.0, 0.01])
    absorbers = np.repeat([0, 1], 200)
    both = Evidence.joined([evidence, evidence])
    unit = sizes[absorbers, None]
    both = Evidence(
        both.spread * unit,
        both.distance,
        both.steepness * unit,
        both.local_error * unit,
        both.intensity * unit,
        absorbers,
    )
    errors = np.concatenate([error, error]) * unit
    found = calibrate(errors, np.zeros_like(errors), both, ENERGIES, sizes)
    sigma = found.sigma(both)
    np.testing.assert_allclose(sigma[200:], 0.01 * sigma[:200], rtol=1e-6)
    z = np.abs(errors) / sigma
    np.testing.assert_allclose([np.mean(z <= k) for k in (1, 2, 3)], NOMINAL, atol=0.01)


def test_evidence_is_concatenated_by_site():
    _, first = sites(3, 10)
    _, second = sites(2, 11)
    joined = Evidence.joined([first, second])
    np.testing.assert_array_equal(joined.distance, [*first.distance, *second.distance])
    assert joined.steepness.shape == (5, N_ENERGIES)
    assert joined.absorbers is None
    assert Evidence.joined([Evidence(first.spread), second]).distance is None


def test_factors_survive_json():
    found = calibrate(*(lambda e, known: (e, np.zeros_like(e), known, ENERGIES))(*sites(60, 12)))
    value = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert is_calibration(value)
    again = read_calibration(value, N_ENERGIES)
    assert again.factors == found.factors != {}
    np.testing.assert_array_equal(again.sizes, found.sizes)


@pytest.mark.parametrize(
    "changed",
    [
        {"factors": []}, {"factors": {"colour": {"exponent": 1, "typical": 1, "low": 1, "high": 1}}},
        {"factors": {"spread": {"exponent": 1, "typical": 1, "low": 1}}},
        {"factors": {"spread": {"exponent": 1, "typical": 0, "low": 1, "high": 1}}},
        {"factors": {"spread": {"exponent": 1, "typical": 1, "low": 2, "high": 1}}},
        {"factors": {"spread": {"exponent": 1, "typical": 1, "low": 0, "high": 1}}},
        {"factors": {"spread": {"exponent": "a", "typical": 1, "low": 1, "high": 1}}},
        {"factors": {"spread": {"exponent": 0.5, "typical": 1, "low": 1, "high": 1}}},
        {"factors": {"distance": {"exponent": -0.5, "typical": 1, "low": 1, "high": 1}}},
        {"factors": {"distance": {"exponent": 99, "typical": 1, "low": 1, "high": 1}}},
        {"factors": {"distance": {"exponent": 1, "typical": 1, "low": 1e-60, "high": 1}}},
        {"distance": {"slope": 1, "typical": 1, "low": 2, "high": 1}}, {"distance": {"slope": 1}}, {"distance": 3},
        {"sizes": None}, {"sizes": []}, {"sizes": [0.0]}, {"sizes": "1"},
    ],
)  # fmt: skip
def test_wrong_factors_are_recognised(changed):
    value = {"scale": [1.0, 2.0], "floor": [0.0, 0.1], "conformal": [], "n_sites": 9, "sizes": [1.0], "factors": {}}
    assert is_calibration(value)
    assert not is_calibration(value | changed)


def test_factors_of_the_distance_in_schema_2():
    value = {"scale": [1.0, 2.0], "floor": [0.0, 0.1], "conformal": [], "n_sites": 9}
    distance = {"slope": 0.5, "typical": 0.1, "low": 0.01, "high": 1.0}
    found = read_calibration(value | {"distance": distance}, 2)
    assert found.factors == {"distance": Factor(0.5, 0.1, 0.01, 1.0)}
    none = {"slope": 0.0, "typical": 1.0, "low": 0.0, "high": 1.0}
    assert is_calibration(value | {"distance": none})
    assert read_calibration(value | {"distance": none}, 2).factors == {}
