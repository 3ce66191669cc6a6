"""A kernel learned on a thread of its own."""

import numpy as np
import pytest
from support.trainings import FEATURES, gathered, run_of

from xanes_hpc.data.datasets import statistics
from xanes_hpc.training import kernel_flow
from xanes_hpc.training.gaussian_process_choice import learn_kernel
from xanes_hpc.training.gaussian_process_fit import Observations
from xanes_hpc.training.learning_beside import LearningBeside


@pytest.fixture
def known(small, tmp_path):
    with gathered([small / FEATURES], run_of(tmp_path)) as data:
        scalers = statistics(data.sites_in("train"), "sqrt").scalers("global")
        yield data, Observations.of(data, ("train",), scalers, 0, None)


def test_the_kernel_is_the_same(known, monkeypatch):
    monkeypatch.setattr(kernel_flow, "N_STEPS", 5)
    with LearningBeside() as beside:
        assert beside.kernel is None
        beside.begin(*known)
        found = beside.kernel
    np.testing.assert_array_equal(found.parameters(), learn_kernel(*known).parameters())


def begun(known):
    beside = LearningBeside()
    beside.begin(*known)
    return beside


def test_leaving_the_block_ends_learning_early(known, monkeypatch):
    monkeypatch.setattr(kernel_flow, "N_STEPS", 1_000_000)
    beside = begun(known)
    with beside:
        pass
    np.testing.assert_array_equal(beside.kernel.amplitudes, [0.5, 0.5])  # the first kernel


def test_an_error_of_learning_is_raised_where_the_kernel_is_needed(known, monkeypatch):
    monkeypatch.setattr(kernel_flow, "error_and_gradient", lambda *_: 1 / 0)
    with begun(known) as beside, pytest.raises(ZeroDivisionError):
        beside.kernel  # noqa: B018
