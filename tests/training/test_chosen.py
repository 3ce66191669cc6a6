"""What a final model takes from the models of folds."""

from types import SimpleNamespace

import pytest

from xanes_hpc.errors import StoreError
from xanes_hpc.training.chosen import Chosen


def fold(epochs, share=0.5, aligned=0.5, falls=()):
    return Chosen(epochs, tuple(falls), share, aligned)


@pytest.mark.parametrize(
    ("epochs", "median"), [((7,), 7), ((60, 3, 20), 20), ((9, 1), 1), ((50, 10, 40, 30), 30), ((5, 5, 1, 9, 9), 5)]
)
def test_epochs_and_falls_are_those_of_the_median_fold(epochs, median):
    found = Chosen.from_folds([fold(n, falls=(n, n + 1)) for n in epochs])
    assert (found.epochs, found.falls) == (median, (median, median + 1))


@pytest.mark.parametrize(
    ("shares", "aligned", "expected"),
    [
        ((0.3, 0.6), (0.2, 0.4), (0.45, 0.3)),
        ((0.3, 0.35), (1.0, 1.0), (0.3, 1.0)),  # half-way between steps: the lower one
        ((0.95, 0.95), (None, None), (0.95, None)),
        ((0.0, 0.9), (None, 0.7), (0.45, 0.7)),  # a fold without a process has no say in its parts
        ((0.0, 0.0), (None, None), (0.0, None)),
        ((0.0, 0.0, 0.05), (None, None, 0.5), (0.0, None)),  # the mean is nearest to no process
    ],
)
def test_shares_are_means_rounded_to_those_tried(shares, aligned, expected):
    found = Chosen.from_folds([fold(9, *both) for both in zip(shares, aligned, strict=True)])
    assert found.share == pytest.approx(expected[0])
    assert found.aligned == (None if expected[1] is None else pytest.approx(expected[1]))


@pytest.mark.parametrize(
    "chosen", [None, {}, [], {"epochs": 3, "falls": [], "share": 0.5}, {"epochs": None, "falls": [], "share": 0.0}]
)
def test_a_model_that_does_not_record_its_choices(chosen):
    description = {"provenance": {} if chosen is None else {"chosen": chosen}}
    with pytest.raises(StoreError, match=r"fold-0\.model: expected the number of epochs .* with `overwrite`"):
        Chosen.of_model(SimpleNamespace(path="fold-0.model", description=description))
