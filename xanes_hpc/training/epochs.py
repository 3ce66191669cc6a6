"""The loop over epochs: losses, validation, early stopping, schedules, checkpoints, and the weights to keep."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.config.sections import PLATEAU_EPOCHS, TrainingConfig
from xanes_hpc.data.datasets import CachedSites, SiteSet
from xanes_hpc.data.feed import Feed
from xanes_hpc.data.sharded_feed import ShardedFeed
from xanes_hpc.errors import ModelError
from xanes_hpc.runtime.interruption import Interruption

if TYPE_CHECKING:
    from xanes_hpc.training.trainer import Trainer

SECONDS_AT_ONCE = 0.5
"""How long steps may run before interruptions are checked for."""
ZERO_ERROR = 100.0
"""Error % of predicting zero everywhere. Training that never gets below it has diverged."""
FAR_BEYOND = 1000.0
"""Error % above which training has diverged for certain."""
RISE = 100.0
"""Training has diverged if an epoch's mean loss is this many times the first epoch's, or first batch's."""
Weights = list[list[npt.NDArray[np.float32]]]


@dataclass(frozen=True)
class Epoch:
    """Figures of one pass over the training sites; ``validation_error`` is in percent, NaN without a validation set."""

    stage: str
    epoch: int
    loss: float
    validation_error: float
    learning_rate: float
    seconds: float


@dataclass
class EpochLog:
    """The epochs of a stage, the best of them, and whether Ctrl-C stopped the stage.

    ``best_weights`` are those of the best epoch; None without validation, where the last epoch counts as the best.
    ``since_best`` counts the epochs since the best; ``falls`` lists those after which the learning rate was lowered.
    """

    epochs: list[Epoch] = field(default_factory=list)
    best: Epoch | None = None
    best_weights: Weights | None = None
    since_best: int = 0
    falls: list[int] = field(default_factory=list)
    interrupted: bool = False

    def add(self, epoch: Epoch, weights: Callable[[], Weights]) -> None:
        """Add an epoch; without a validation error it becomes the best."""
        self.epochs.append(epoch)
        if self.best is None or not epoch.validation_error >= self.best.validation_error:
            self.best, self.since_best = epoch, 0
            self.best_weights = weights() if np.isfinite(epoch.validation_error) else None
        else:
            self.since_best += 1

    def as_values(self) -> dict[str, Any]:
        """Return the log as plain values, without the weights."""
        return {
            "epochs": [asdict(e) for e in self.epochs],
            "best": None if self.best is None else asdict(self.best),
            "since_best": self.since_best,
            "falls": self.falls,
        }

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> "EpochLog":
        """Return the log from what ``as_values`` returned."""
        best = values["best"] and Epoch(**values["best"])
        return cls([Epoch(**e) for e in values["epochs"]], best, None, values["since_best"], values["falls"])


@dataclass(frozen=True)
class Hooks:
    """Calls to make while epochs run, and the interruption to watch.

    ``epoch_done`` is called after every epoch, ``checkpoint`` when one is due, both with the log so far.
    """

    interruption: Interruption
    epoch_done: Callable[[EpochLog, int], None]
    checkpoint: Callable[[EpochLog], None]


def run_epochs(
    trainer: "Trainer",
    feed: Feed | ShardedFeed,
    validation: SiteSet,
    config: TrainingConfig,
    stage: str,
    n_epochs: int,
    hooks: Hooks,
    so_far: EpochLog | None = None,
    falls: Sequence[int] = (),
    starts_trained: bool = False,
) -> EpochLog:
    """Train for ``n_epochs``, or until patience runs out or the user interrupts, and restore the best weights.

    Parameters
    ----------
    trainer, feed, validation
        The networks, the batches, and the sites whose error decides which epoch is the best.
    config
        Schedule, patience, and how often to write checkpoints.
    stage
        Name of the stage in the history.
    n_epochs
        Maximum number of epochs.
    hooks
        Called after epochs and for checkpoints.
    so_far
        The log of a checkpoint to continue from; the trainer must already have the checkpoint's state.
    falls
        Epochs after which to lower the learning rate, as an earlier stage did.
    starts_trained
        Whether the networks start from trained ones; these count as epoch 0, which may be the best.

    Raises
    ------
    ModelError
        If training diverges: the loss is not finite, or predictions are no better than zero everywhere.
    KeyboardInterrupt
        If the run was interrupted a second time.
    """
    progress, held = so_far or EpochLog(), CachedSites(validation, feed.graphs)
    if starts_trained and not progress.epochs:
        error, rate = trainer.team.as_chief(lambda: validation_error(trainer, held)), trainer.learning_rate
        progress.add(Epoch(stage, 0, float("nan"), error, rate, 0.0), trainer.weights)
    first = progress.epochs[-1].epoch if progress.epochs else 0
    batches = trainer.batches(range(first, n_epochs))
    last_checkpoint = time.monotonic()
    keeps = np.isfinite(config.checkpoint_minutes)
    state = trainer.state() if keeps else None
    for number in range(first, n_epochs):
        if _is_over(progress, config):
            break
        started = time.monotonic()
        losses = _one_epoch(trainer, feed, batches, hooks.interruption)
        _check_losses(losses, number, config)
        if len(losses) < feed.n_batches:
            progress.interrupted = True
            if state is not None:  # a resumed run repeats the interrupted epoch
                trainer.restore(state)
                hooks.checkpoint(progress)
            break
        if losses.mean() > RISE * next((epoch.loss for epoch in progress.epochs if epoch.epoch), losses[0]):
            raise _diverged(f"the loss rose to {losses.mean():.3g} in epoch {number + 1}", config)
        error = trainer.team.as_chief(lambda: validation_error(trainer, held))
        if error > FAR_BEYOND or (validation.n_sites and np.isnan(error)):
            raise _diverged(f"the validation error is {error:.4g} % after epoch {number + 1}", config)
        seconds = time.monotonic() - started
        rate = trainer.learning_rate
        progress.add(Epoch(stage, number + 1, float(losses.mean()), error, rate, seconds), trainer.weights)
        waited = config.schedule == "plateau" and progress.since_best and progress.since_best % PLATEAU_EPOCHS == 0
        if waited or number + 1 in falls:
            trainer.lower_learning_rate()
            progress.falls.append(number + 1)
        hooks.epoch_done(progress, n_epochs)
        state = trainer.state() if keeps else None
        if time.monotonic() - last_checkpoint >= 60.0 * config.checkpoint_minutes:
            hooks.checkpoint(progress)
            last_checkpoint = time.monotonic()
    if progress.best is not None and progress.best.validation_error >= ZERO_ERROR and not progress.interrupted:
        lowest = progress.best.validation_error
        raise _diverged(f"the lowest validation error, {lowest:.4g} %, is no better than predicting zero", config)
    if progress.best_weights is not None:
        trainer.set_weights(progress.best_weights)
    feed.forget()
    return progress


def _is_over(progress: EpochLog, config: TrainingConfig) -> bool:
    return config.patience is not None and progress.since_best >= config.patience


def _one_epoch(
    trainer: "Trainer", feed: Feed | ShardedFeed, batches: Any, interruption: Interruption
) -> npt.NDArray[np.float32]:
    """Take an epoch's steps and return the loss of each; fewer if interrupted."""
    losses: list[npt.NDArray[np.float32]] = []
    done, at_once = 0, 1
    while done < feed.n_batches and not trainer.team.any_of(interruption.asked):
        n = min(at_once, feed.n_batches - done)
        started = time.monotonic()
        losses.append(trainer.steps(batches, n))
        done += n
        taken = time.monotonic() - started
        faster = trainer.team.as_chief(lambda taken=taken: min(4.0, SECONDS_AT_ONCE / max(1e-3, taken)))  # type: ignore[misc]
        at_once = max(1, int(n * faster))
    return np.concatenate(losses) if losses else np.empty(0, np.float32)


def _check_losses(losses: npt.NDArray[np.float32], epoch: int, config: TrainingConfig) -> None:
    wrong = np.flatnonzero(~np.isfinite(losses))
    if wrong.size:
        raise _diverged(f"the loss is {losses[wrong[0]]} in batch {wrong[0] + 1} of epoch {epoch + 1}", config)


def _diverged(what: str, config: TrainingConfig) -> ModelError:
    than = "" if config.learning_rate is None else f" than {config.learning_rate:.3g}"
    return ModelError(f"{what}: training diverged; use a smaller learning rate{than}")


def validation_error(trainer: "Trainer", sites: CachedSites) -> float:
    """Return the networks' mean error % on the sites' spectra; NaN without sites."""
    errors = [np.empty(0)]
    for x, absorbers, y in sites:
        difference, size = np.abs(trainer.spectra(x, absorbers) - y).sum(axis=1), np.abs(y).sum(axis=1)
        errors.append(100.0 * difference[size > 0] / size[size > 0])
    every = np.concatenate(errors)
    return float(every.mean()) if every.size else float("nan")
