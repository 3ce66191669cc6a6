"""The loop over epochs, with a trainer whose errors are given in advance: what it keeps, and when it ends."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from support.feeds import array_part

from xanes_hpc.config.sections import TrainingConfig
from xanes_hpc.data.datasets import CachedSites
from xanes_hpc.errors import ModelError
from xanes_hpc.training.epochs import PLATEAU_EPOCHS, EpochLog, Hooks, run_epochs, validation_error
from xanes_hpc.training.processes import Alone

N_BATCHES = 4


class Scripted:
    """A trainer whose error is ``errors[k - 1]`` percent after k epochs, when its only weight is k."""

    def __init__(self, errors, losses=None, on_step=lambda step: None):
        self.errors, self.losses, self.on_step = errors, losses, on_step
        self.n_steps, self.learning_rate, self.weight = 0, 1.0, None

    @property
    def epoch(self):
        return self.n_steps // N_BATCHES

    team = Alone()

    def batches(self, epochs):
        self.n_steps = epochs.start * N_BATCHES
        return epochs

    def steps(self, batches, n):
        first = self.n_steps
        self.n_steps += n
        for step in range(first, self.n_steps):
            self.on_step(step)
        return np.array([self.losses[i] if self.losses else 1.0 for i in range(first, self.n_steps)], np.float32)

    def lower_learning_rate(self):
        self.learning_rate /= 2

    def spectra(self, x, absorbers):
        return np.full((len(x), 3), 1.0 + self.errors[self.epoch - 1] / 100.0)

    def weights(self):
        return [[np.array([self.epoch])]]

    def set_weights(self, weights):
        self.weight = int(weights[0][0][0])

    def state(self):
        return [np.array(self.n_steps)]

    def restore(self, state):
        self.n_steps = int(state[0])


class Watcher:
    """Hooks that record the epochs and checkpoints of a run."""

    def __init__(self):
        self.interruption = SimpleNamespace(asked=False)
        self.epochs, self.checkpoints = [], []
        self.hooks = Hooks(self.interruption, self._epoch, self._checkpoint)

    def _epoch(self, progress, total):
        self.epochs.append((progress.epochs[-1].epoch, total))

    def _checkpoint(self, progress):
        self.checkpoints.append(json.loads(json.dumps(progress.as_values())))


def trained(trainer, n_epochs, watcher=None, validated=True, so_far=None, falls=(), **config):
    feed = SimpleNamespace(n_batches=N_BATCHES, forget=lambda: None, graphs=False)
    part = array_part(np.ones((5, 3), np.float32))
    part.chosen[:] = validated
    options = TrainingConfig(**({"checkpoint_minutes": 1e9, "schedule": "constant"} | config))
    return run_epochs(trainer, feed, part, options, "stage", n_epochs, (watcher or Watcher()).hooks, so_far, falls)


def test_the_best_weights_are_restored_at_the_end():
    trainer, watcher = Scripted([9, 5, 7, 4, 6]), Watcher()
    found = trained(trainer, 5, watcher)
    assert trainer.weight == found.best.epoch == 4
    assert [e.validation_error for e in found.epochs] == pytest.approx([9, 5, 7, 4, 6])
    assert (found.since_best, found.interrupted) == (1, False)
    assert watcher.epochs == [(k, 5) for k in range(1, 6)]


def test_without_validation_the_last_epoch_is_the_best():
    trainer = Scripted([])
    found = trained(trainer, 3, validated=False)
    assert found.best.epoch == 3
    assert found.best_weights is trainer.weight is None


def test_training_stops_when_patience_runs_out():
    found = trained(Scripted([9, 5, 7, 6, 8, 1, 1]), 7, patience=3)
    assert (len(found.epochs), found.best.epoch) == (5, 2)
    assert len(trained(Scripted([9, 5, 7, 6, 4, 8, 9]), 7, patience=3).epochs) == 7


def test_the_plateau_schedule_lowers_the_rate_repeatedly():
    errors = [9, 8] + [8.5] * (2 * PLATEAU_EPOCHS) + [7] + [8] * PLATEAU_EPOCHS
    trainer = Scripted(errors)
    found = trained(trainer, len(errors), schedule="plateau")
    falls = [2 + PLATEAU_EPOCHS, 2 + 2 * PLATEAU_EPOCHS, 3 + 3 * PLATEAU_EPOCHS]
    assert found.falls == falls
    rates = [e.learning_rate for e in found.epochs]
    assert [k + 1 for k in range(len(rates) - 1) if rates[k + 1] < rates[k]] == falls[:2]
    assert trainer.learning_rate == 1 / 8
    assert trained(Scripted(errors), len(errors), schedule="constant").falls == []


def test_the_rate_falls_where_another_stages_did():
    found = trained(Scripted([]), 6, validated=False, falls=[2, 5, 9], schedule="plateau")
    assert [e.learning_rate for e in found.epochs] == [1, 1, 0.5, 0.5, 0.5, 0.25]


@pytest.mark.parametrize("n_before", [1, 12, 13, 14])
def test_a_resumed_run_ends_as_an_unbroken_one(n_before):
    """After its log went through JSON: the same epochs, falls and best epoch."""
    errors = [9, 8] + [8.5] * 14
    options = {"schedule": "plateau", "patience": 13}
    whole = trained(Scripted(errors), 16, **options)
    assert len(whole.epochs) == 15
    watcher, trainer = Watcher(), Scripted(errors)
    stopped = trained(trainer, n_before, watcher, checkpoint_minutes=0.0, **options)
    so_far = EpochLog.from_values(watcher.checkpoints[-1])
    so_far.best_weights = stopped.best_weights
    trainer.weight = None
    again = trained(trainer, 16, so_far=so_far, **options)
    assert [(e.epoch, e.validation_error, e.learning_rate) for e in again.epochs] == [
        (e.epoch, e.validation_error, e.learning_rate) for e in whole.epochs
    ]
    assert (again.best.epoch, again.falls, again.since_best, trainer.weight) == (2, [12], 13, 2)


def test_checkpoints_are_written_when_they_are_due():
    often, seldom = Watcher(), Watcher()
    trained(Scripted([3, 2, 1]), 3, often, checkpoint_minutes=0.0)
    trained(Scripted([3, 2, 1]), 3, seldom, checkpoint_minutes=60.0)
    assert [len(c["epochs"]) for c in often.checkpoints] == [1, 2, 3]
    assert seldom.checkpoints == []


@pytest.mark.parametrize("step", [0, 5, 8])
def test_an_interruption_ends_training_between_steps_and_keeps_the_best(step, monkeypatch):
    """The checkpoint it leaves is that of the last complete epoch, or of the beginning."""
    monkeypatch.setattr("xanes_hpc.training.epochs.SECONDS_AT_ONCE", 0.0)
    watcher, taken = Watcher(), []

    def on_step(number):
        taken.append(number)
        watcher.interruption.asked = number >= step

    trainer, n_epochs = Scripted([9, 5, 7], on_step=on_step), step // N_BATCHES
    found = trained(trainer, 3, watcher)
    assert found.interrupted
    assert taken == list(range(step + 1))
    assert len(found.epochs) == n_epochs
    if step == 0:
        assert found.best is trainer.weight is None
    else:
        assert trainer.weight == found.best.epoch == n_epochs
        assert trainer.n_steps == n_epochs * N_BATCHES
    assert [len(c["epochs"]) for c in watcher.checkpoints] == [n_epochs]


def test_an_interrupted_search_writes_no_checkpoint():
    watcher = Watcher()
    trainer = Scripted([9, 5], on_step=lambda number: setattr(watcher.interruption, "asked", number >= N_BATCHES))
    assert trained(trainer, 2, watcher, checkpoint_minutes=float("inf")).interrupted
    assert not watcher.checkpoints


def test_a_loss_that_is_not_finite_names_batch_epoch_and_rate():
    losses = [1.0] * 6 + [np.inf] + [np.nan] * 9
    message = r"the loss is inf in batch 3 of epoch 2: training diverged; use a smaller learning rate than 1$"
    with pytest.raises(ModelError, match=message):
        trained(Scripted([9, 9, 9], losses), 3, learning_rate=1.0)


@pytest.mark.parametrize(
    ("errors", "losses", "message"),
    [
        ([9, np.nan], None, "the validation error is nan % after epoch 2"),  # after the last step of an epoch
        ([99, 1001, 5], None, "the validation error is 1001 % after epoch 2"),
        ([400, 120, 101], None, "the lowest validation error, 101 %, is no better than predicting zero"),
        ([9, 9, 9], [1.0] * 4 + [101.0] * 8, "the loss rose to 101 in epoch 2"),
        ([9, 9, 9], [1.0] + [200.0] * 11, "the loss rose to 150 in epoch 1"),
    ],
)
def test_divergence_is_an_error(errors, losses, message):
    with pytest.raises(ModelError, match=message + ": training diverged; use a smaller learning rate than 0.5"):
        trained(Scripted(errors, losses), 3, learning_rate=0.5)


def test_an_error_that_recovers_is_not_divergence():
    assert trained(Scripted([900, 300, 40], [1.0] * 4 + [99.0] * 8), 3).best.epoch == 3


def test_the_validation_error_is_the_mean_over_spectra():
    y = np.array([[1, 1, 1], [2, 2, 4], [0, 0, 0]], np.float32)
    trainer = SimpleNamespace(spectra=lambda x, absorbers: np.tile([1.5, 1.0, 1.0], (len(x), 1)))
    part = array_part(y)
    assert validation_error(trainer, CachedSites(part)) == pytest.approx(np.mean([100 * 0.5 / 3, 100 * 4.5 / 8]))
    part.chosen[:] = False
    assert np.isnan(validation_error(trainer, CachedSites(part)))
