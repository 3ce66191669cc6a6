"""Four replicas on one processor against one device, in a new process: devices are set before TensorFlow starts."""

import json
import subprocess

import numpy as np
import pytest
from support.places import WITH_TESTS, program
from support.trainings import FEATURES, copied, history, train_on

LOSSES = 1e-5
"""Relative tolerance of the losses over twenty epochs with dropout, noise and resampling; measured: 2e-7."""
STATE = 1e-4
"""Tolerance relative to the largest element of each array of weights and moments, after twenty epochs; measured: 4e-6.
"""


@pytest.fixture(scope="module")
def found(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("replicas")
    command = [*program("support.four_replicas"), copied(small, folder / "stores"), folder]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=WITH_TESTS)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_each_replica_reads_its_own_quarter_of_every_batch(found):
    assert len(found["rows"]) == found["n_batches"] > 3
    quarters = np.arange(16).reshape(4, 4).tolist()
    assert all(rows == quarters for rows in found["rows"])


def test_four_replicas_have_the_losses_of_one_device(found):
    one, four = (np.array(found[name]["losses"]) for name in ("one", "four"))
    np.testing.assert_allclose(four, one, rtol=LOSSES)
    assert len(one) == 20
    assert one[-5:].mean() < one[:5].mean()


def test_weights_and_moments_are_those_of_one_device(found):
    """Moments show whether gradients were summed over replicas exactly once."""
    one, four = (found[name]["state"] for name in ("one", "four"))
    assert any("velocity" in path for path, _ in one)
    for (path, a), (_, b) in zip(one, four, strict=True):
        np.testing.assert_allclose(b, a, atol=STATE * np.abs(a).max(), err_msg=path)


def test_a_model_trained_on_four_replicas_has_the_errors_of_one_device(found, small, tmp_path):
    alone = train_on(small / FEATURES, tmp_path / "m", training__refit=False)
    np.testing.assert_allclose(found["errors"], history(alone, "validation_error_percent"), rtol=1e-4)


def test_settings_that_the_devices_do_not_allow_are_refused(found):
    assert found["refusals"] == [
        "training.batch_size: expected a multiple of the 4 devices, received 30",
        "2 training sites are too few for 4 devices; use fewer devices",
        "`devices` cpu:5: TensorFlow has already started with 4 CPU devices in this process",
        "`devices` cpu:4: give either `devices` or `gpus`, not both",
    ]
    assert found["again"]
