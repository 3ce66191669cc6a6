"""Splitting sites into sets."""

import numpy as np
import pytest

from xanes_hpc.config.sections import SplitConfig
from xanes_hpc.data.splits import split
from xanes_hpc.errors import ConfigError
from xanes_hpc.models.training_sites import LEFT_OUT, SETS, code

GROUPS = [f"g{i // 3}" for i in range(600)]


def fractions(parts):
    return np.bincount(parts, minlength=LEFT_OUT + 1) / len(parts)


def test_groups_stay_together_and_fractions_are_as_configured():
    parts = split(GROUPS, np.ones(600, bool), SplitConfig(test=0.1), seed=0)
    for group in set(GROUPS):
        assert len({int(p) for p, g in zip(parts, GROUPS, strict=True) if g == group}) == 1
    np.testing.assert_allclose(fractions(parts), [0.8, 0.05, 0.05, 0.1, 0.0], atol=0.01)


def test_the_split_depends_on_the_seed_not_on_the_order_of_sites():
    usable = np.ones(600, bool)
    first = split(GROUPS, usable, SplitConfig(), seed=0)
    assert np.array_equal(first, split(GROUPS, usable, SplitConfig(), seed=0))
    assert np.array_equal(first, split(GROUPS[::-1], usable, SplitConfig(), seed=0)[::-1])
    assert not np.array_equal(first, split(GROUPS, usable, SplitConfig(), seed=1))


def test_sites_without_a_target_are_left_out():
    usable = np.ones(600, bool)
    usable[::5] = False
    parts = split(GROUPS, usable, SplitConfig(), seed=0)
    assert (parts[~usable] == LEFT_OUT).all()
    assert (parts[usable] != LEFT_OUT).all()


def test_a_set_with_fraction_zero_is_empty():
    parts = split(GROUPS, np.ones(600, bool), SplitConfig(test=0.0, calibration=0.0), seed=0)
    assert set(parts) == {SETS.index("train"), SETS.index("validation")}


def test_one_group_cannot_be_split():
    with pytest.raises(ConfigError, match="50 sites in 1 groups leave none for the training set"):
        split(["same"] * 50, np.ones(50, bool), SplitConfig(), seed=0)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ABAXIK_C11H21FeIN3O2(1+)", "ABAXIK"),
        ("WELROW", "WELROW"),
        ("WELROW01", "WELROW"),
        ("WELROW01_C2#3", "WELROW"),
        ("mol@3#0", "mol"),
        ("mol#12", "mol"),
        ("site_0001", "site_0001"),
        ("dsgdb9nsd_000001#4", "dsgdb9nsd_000001"),
        ("STRUCTURE_1", "STRUCTURE_1"),
    ],
)
def test_the_code_of_a_name(name, expected):
    assert code(name) == expected


@pytest.mark.parametrize("n_folds", [2, 5, 10])
def test_every_group_is_in_the_test_set_of_exactly_one_fold(n_folds):
    usable = np.arange(600) % 11 != 0
    tested = np.zeros(600, int)
    for fold in range(n_folds):
        parts = split(GROUPS, usable, SplitConfig(folds=n_folds, fold=fold), seed=0)
        assert (parts[~usable] == LEFT_OUT).all()
        for group in set(GROUPS):
            assert len({int(p) for p, g in zip(parts, GROUPS, strict=True) if g == group} - {LEFT_OUT}) <= 1
        np.testing.assert_allclose(fractions(parts)[1:3] / usable.mean(), 0.05, atol=0.01)
        tested += parts == SETS.index("test")
    np.testing.assert_array_equal(tested, usable)


def test_folds_depend_on_the_seed_not_on_the_order_of_sites():
    usable, config = np.ones(600, bool), SplitConfig(folds=5, fold=2)
    first = split(GROUPS, usable, config, seed=0)
    assert np.array_equal(first, split(GROUPS[::-1], usable, config, seed=0)[::-1])
    assert not np.array_equal(first, split(GROUPS, usable, config, seed=1))


def test_folds_without_validation_and_calibration_sets():
    config = SplitConfig(folds=3, validation=0.0, calibration=0.0)
    assert set(split(GROUPS, np.ones(600, bool), config, seed=0)) == {SETS.index("train"), SETS.index("test")}


def test_more_folds_than_groups():
    with pytest.raises(ConfigError, match="split: 4 groups are too few for 5 folds"):
        split(["a", "b", "c", "d"] * 9, np.ones(36, bool), SplitConfig(folds=5), seed=0)
