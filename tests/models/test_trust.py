"""The reasons why a prediction is out of domain."""

import json

import numpy as np
import pytest

from xanes_hpc.models.trust import describe_trust, elements_of, reasons


def test_elements_of_formulas():
    assert elements_of(["C10H10Fe", "C12CoN2", "", "H"]) == {"C", "H", "Fe", "Co", "N"}


def test_the_threshold_includes_99_of_100_sites():
    nearest = np.random.default_rng(8).permutation(1000) / 1000.0
    found = describe_trust(nearest, ["C2Fe", "FeO", ""])
    assert np.mean(nearest <= found["threshold"]) == pytest.approx(0.99, abs=0.002)
    assert found["elements"] == ["C", "Fe", "O"]
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_the_threshold_of_few_sites_is_the_largest_distance():
    assert describe_trust(np.array([0.1, 0.5, 0.3]), [])["threshold"] == 0.5


def test_without_held_out_sites_there_is_no_threshold():
    found = describe_trust(np.empty(0), ["FeO"])
    assert found["threshold"] is None
    assert reasons(found, np.array([1e9]), ["FeO"], [""]) == [""]


TRUST = {"threshold": 1.0, "quantile": 0.99, "elements": ["C", "Fe", "O"]}
UNLIKE, LIMIT = "unlike the training set: feature distance", "(99th percentile of the held-out sites)"


@pytest.mark.parametrize(
    ("nearest", "formula", "unseen", "expected"),
    [
        (0.4, "CFeO3", "", ""),
        (1.0, "FeO", "", ""),
        (1.5, "FeO", "", f"{UNLIKE} 1.5, limit 1 {LIMIT}"),
        (np.nan, "FeO", "", f"{UNLIKE} nan, limit 1 {LIMIT}"),
        (0.4, "Cl2FeN", "", "elements not seen in training: Cl, N"),
        (0.4, "", "", ""),
        (0.4, "", "Zn K", "absorber not seen in training: Zn K"),
        (
            9.0, "OZn", "Zn K",
            f"absorber not seen in training: Zn K; {UNLIKE} 9, limit 1 {LIMIT}; elements not seen in training: Zn",
        ),
    ],
)  # fmt: skip
def test_reasons(nearest, formula, unseen, expected):
    assert reasons(TRUST, np.array([nearest]), [formula], [unseen]) == [expected]


@pytest.mark.parametrize(
    ("n_sites", "basis"), [(4, "largest of 4 held-out sites"), (1204, "99th percentile of 1,204 held-out sites")]
)
def test_a_reason_names_the_sites_behind_its_limit(n_sites, basis):
    trust = describe_trust(np.linspace(0.5, 1.0, n_sites), ["FeO"])
    assert trust["n_sites"] == n_sites
    (reason,) = reasons(trust | {"threshold": 1.0}, np.array([1.5]), ["FeO"], [""])
    assert reason == f"{UNLIKE} 1.5, limit 1 ({basis})"


def test_a_model_without_limits_still_knows_its_absorbers():
    found = reasons({}, np.array([9.0, 9.0]), ["Cl2FeN", "OZn"], ["", "Zn K"])
    assert found == ["", "absorber not seen in training: Zn K"]


def test_a_model_trained_without_structures_gives_no_reason_about_elements():
    found = reasons(describe_trust(np.array([1.0]), ["", ""]), np.array([0.5]), ["Cl2FeN"], [""])
    assert found == [""]


def test_a_structure_without_an_element_that_all_others_contain_is_told():
    """A crystal structure without its hydrogen atoms is near to many training sites."""
    trained = ["C2FeH6", "FeH4O2", "CCl2FeH8"] * 100
    found = describe_trust(np.array([1.0]), trained)
    assert found["in_common"] == ["Fe", "H"]
    formulas = ["C2Fe", "CFeH4", "", "O"]
    assert reasons(found, np.full(4, 0.5), formulas, [""] * 4) == [
        "without H, which all structures of the training set contain",
        "",
        "",
        "without Fe and H, which all structures of the training set contain",
    ]
    for few_or_unknown in (trained[:299], [*trained, ""]):
        assert "in_common" not in describe_trust(np.array([1.0]), few_or_unknown)
