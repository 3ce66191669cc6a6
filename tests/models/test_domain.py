"""The domain of a model: the spacing of neighbours, and features beyond the training range."""

import json

import numpy as np
import pytest

from xanes_hpc.models.domain import LEAST_EXCESS, Domain, Scores, limits, profile_columns
from xanes_hpc.models.trust import describe_trust, reasons

LABELS = ["G1", *(f"G2 Z mu={mu} eta=4" for mu in (1.2, 1.6, 2.5, 4.4)), "G2 C mu=2 eta=4", "G4 Z mu=2 eta=4"]


def test_scores_agree_with_the_obvious_formulas():
    generator = np.random.default_rng(1)
    training, sites = (generator.normal(size=(n, len(LABELS))).astype(np.float32) for n in (50, 20))
    columns = profile_columns(LABELS)
    assert columns == [2, 3, 4]
    found = Domain(training, columns).scores(sites)
    for k, site in enumerate(sites):
        apart = [np.mean(np.abs(site[columns] - other[columns])) for other in training]
        assert found.profile[k] == pytest.approx(min(apart), rel=1e-6)
        low, high = training.min(axis=0), training.max(axis=0)
        beyond = np.mean(np.maximum(low - site, 0) + np.maximum(site - high, 0))
        assert found.excess[k] == pytest.approx(beyond, abs=1e-6)


@pytest.mark.parametrize("labels", [["RDC R=1", "RDC R=2"], ["foreign[0]"], []])
def test_descriptors_without_radial_functions_have_no_profile(labels):
    assert profile_columns(labels) == []
    domain = Domain(np.zeros((3, 2), np.float32), [])
    scores = domain.scores(np.array([[0.0, 0.0], [1.0, 2.0]], np.float32))
    assert scores.profile is None
    np.testing.assert_array_equal(scores.excess, [0.0, 1.5])
    assert set(limits(scores, [])) == {"excess"}


def test_one_odd_site_of_many_does_not_set_the_limit_of_the_excess():
    """Pooled over folds, the largest excess of 4,079 sites was 10¹³."""
    excess = np.append(np.linspace(0.0, 0.05, 999), 1e13)
    many, few = (limits(Scores(None, some), [])["excess"]["limit"] for some in (excess, excess[-250:]))
    assert many == np.sort(excess)[996]
    assert few == 1e13


def test_99_of_100_calibration_sites_are_within_the_limits():
    generator = np.random.default_rng(2)
    scores = Scores(generator.gamma(2.0, size=1000), generator.gamma(0.5, size=1000))
    found = limits(scores, [1])
    for score, limit, expected in ((scores.profile, found["profile"], 0.99), (scores.excess, found["excess"], 0.996)):
        assert np.mean(score <= limit["limit"]) == pytest.approx(expected, abs=0.0015)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_few_or_no_calibration_sites():
    assert limits(Scores(np.empty(0), np.empty(0)), [1]) == {}
    found = limits(Scores(np.array([0.3, 0.2]), np.zeros(2)), [1])
    assert found == {"profile": {"columns": [1], "limit": 0.3}, "excess": {"limit": LEAST_EXCESS}}


def test_reasons_say_what_is_unlike():
    trust = describe_trust(
        np.array([0.1]),
        ["FeO"],
        {"profile": {"columns": [1], "limit": 0.3}, "excess": {"limit": 0.01}},
        np.array([4, 14]),
    )
    scores = Scores(np.array([0.2, 0.5, 0.2]), np.array([0.0, 0.0, 0.2]))
    counts = [6, 2, 30]
    found = reasons(trust, np.array([9.0, 9.0, 9.0]), ["FeO"] * 3, [""] * 3, scores, counts.__getitem__)
    assert found == [
        "",
        "unlike the training set: 2 neighbours within 3 Å, training sites have 4 to 14, neighbours spaced otherwise "
        "(radial distance 0.5, limit 0.3 from 1 calibration site)",
        "unlike the training set: 30 neighbours within 3 Å, training sites have 4 to 14, features beyond the training "
        "range (excess 0.2, limit 0.01 from 1 calibration site)",
    ]
