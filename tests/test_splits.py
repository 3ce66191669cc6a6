"""Sharing sites out."""

import numpy as np
import pytest

from xanes_hpc.config import SplitConfig
from xanes_hpc.errors import ConfigError
from xanes_hpc.splits import LEFT_OUT, PARTS, code, split

GROUPS = [f"g{i // 3}" for i in range(600)]


def shares(parts):
    return np.bincount(parts, minlength=LEFT_OUT + 1) / len(parts)


def test_groups_stay_together_and_fractions_are_met():
    parts = split(GROUPS, np.ones(600, bool), SplitConfig(), seed=0)
    for group in set(GROUPS):
        assert len({int(p) for p, g in zip(parts, GROUPS, strict=True) if g == group}) == 1
    np.testing.assert_allclose(shares(parts), [0.8, 0.05, 0.05, 0.1, 0.0], atol=0.01)


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


def test_a_part_of_fraction_zero_is_empty():
    parts = split(GROUPS, np.ones(600, bool), SplitConfig(test=0.0, calibration=0.0), seed=0)
    assert set(parts) == {PARTS.index("train"), PARTS.index("validation")}


def test_one_group_cannot_be_split():
    with pytest.raises(ConfigError, match="leave none for"):
        split(["same"] * 50, np.ones(50, bool), SplitConfig(), seed=0)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("ABAXIK_C11H21FeIN3O2(1+)", "ABAXIK"), ("WELROW", "WELROW"), ("mol@3#0", "mol"), ("mol#12", "mol")],
)
def test_the_code_of_a_name(name, expected):
    assert code(name) == expected
