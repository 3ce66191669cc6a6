"""The distribution of errors, compared with SciPy's and with the integral that defines its score."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm, t

from xanes_hpc.spectra.distribution import GAUSSIAN, LEVELS, Distribution

DEGREES = (2.5, 5.0, 40.0)


def reference(degrees):
    """Return SciPy's distribution with a standard deviation of 1."""
    return norm if math.isinf(degrees) else t(degrees, scale=math.sqrt((degrees - 2) / degrees))


@pytest.mark.parametrize("degrees", [*DEGREES, math.inf])
def test_quantiles_and_probabilities_are_those_of_scipy(degrees):
    own, other = Distribution(degrees), reference(degrees)
    levels = np.array([0.001, 0.2, 0.5, 0.9, 0.9999])
    np.testing.assert_allclose(own.quantiles(levels), other.ppf(levels), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(own.below(other.ppf(levels)), levels, rtol=1e-9)
    for level in LEVELS:
        assert own.half_width(level) == pytest.approx(other.interval(level)[1])


@pytest.mark.parametrize("degrees", [*DEGREES, math.inf])
@pytest.mark.parametrize("z", [-2.5, 0.0, 0.7])
def test_the_score_is_the_integral_of_the_squared_difference_from_a_step(degrees, z):
    other = reference(degrees)
    below = quad(lambda x: other.cdf(x) ** 2, -np.inf, z, epsabs=1e-11)[0]
    above = quad(lambda x: other.sf(x) ** 2, z, np.inf, epsabs=1e-11)[0]
    assert float(Distribution(degrees).crps(np.array(z))) == pytest.approx(below + above, rel=1e-6)


def test_files_have_null_for_a_gaussian():
    assert (GAUSSIAN.value, GAUSSIAN.name) == (None, "gaussian")
    assert Distribution.of(None) == GAUSSIAN
    assert (Distribution.of(5).value, Distribution.of(5).name) == (5.0, "student-t")
