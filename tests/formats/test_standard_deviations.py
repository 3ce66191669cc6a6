"""Standard deviations in a column beside the spectrum."""

import numpy as np
import pytest
from support.scans import ENERGY, MU, N, holds, scan, told

from xanes_hpc.formats import read_spectrum

SIGMA = 0.01 + 1e-4 * np.arange(N)


@pytest.mark.parametrize(
    ("titles", "others"),
    [
        (("energy", "mu", "sigma"), ()),
        (("energy", "mu_std", "mu"), ()),
        (("energy", "xmu", "stddev"), ()),
        (("energy", "norm", "standard error"), ()),
        (("energy", "mu", "mu_err", "sigma"), (np.ones(N),)),
    ],
)
def test_standard_deviations_in_a_column_are_read_and_told(tmp_path, titles, others):
    own = {"mu_std": SIGMA, "mu_err": SIGMA, "mu": MU, "xmu": MU, "norm": MU, "energy": ENERGY}
    rows = [own.get(title, SIGMA) for title in titles[: len(titles) - len(others)]] + list(others)
    found = read_spectrum(scan(tmp_path / "a.csv", titles, np.array(rows).T, ","))
    assert holds(found)
    np.testing.assert_allclose(found.sigma, SIGMA)
    assert told(found)["standard deviations were read from a column"].startswith("a.csv: ")


@pytest.mark.parametrize(
    ("title", "values"), [("dmu", SIGMA), ("sigma", -SIGMA), ("sigma", 0 * SIGMA), ("err", 99 * MU)]
)
def test_a_column_that_cannot_be_standard_deviations_is_none(tmp_path, title, values):
    found = read_spectrum(scan(tmp_path / "a.csv", ("energy", "mu", title), np.array([ENERGY, MU, values]).T, ","))
    assert holds(found)
    assert found.sigma is None


def test_a_cross_section_sigma_is_not_its_own_standard_deviation(tmp_path):
    found = read_spectrum(scan(tmp_path / "a.dat", ("energy", "sigma"), np.array([ENERGY, MU]).T))
    assert holds(found)
    assert found.sigma is None


def test_standard_deviations_follow_the_order_and_averages_of_points(tmp_path):
    rows = np.array([ENERGY, MU, SIGMA]).T[::-1]
    rows = np.insert(rows, 5, rows[5], axis=0)
    found = read_spectrum(scan(tmp_path / "a.csv", ("energy", "mu", "sigma"), rows, ","))
    assert holds(found)
    expected = SIGMA.copy()
    expected[N - 6] /= np.sqrt(2)
    np.testing.assert_allclose(found.sigma, expected)
