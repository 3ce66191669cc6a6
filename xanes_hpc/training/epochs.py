"""Epoch after epoch: losses, validation, early stopping, schedules, checkpoints, and an end that keeps the best."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.config.sections import PLATEAU_EPOCHS, TrainingConfig
from xanes_hpc.data.datasets import Held, Part
from xanes_hpc.data.feed import Feed
from xanes_hpc.data.sharded_feed import ShardedFeed
from xanes_hpc.errors import ModelError
from xanes_hpc.runtime.interruption import Interruption

if TYPE_CHECKING:
    from xanes_hpc.training.trainer import Trainer

SECONDS_AT_ONCE = 0.5
"""How long steps may run until the next look at an interruption."""
NOTHING, FAR_BEYOND = 100.0, 1000.0
"""Error % of spectra that are zero everywhere: none of a whole fit below it, or one far beyond it, and it diverged."""
RISE = 100.0
"""By what factor the loss rises above the first batch's where it diverges."""
Weights = list[list[npt.NDArray[np.float32]]]


@dataclass(frozen=True)
class Epoch:
    """Figures of one pass over the training sites; ``validation_error`` in percent, NaN without a validation part."""

    stage: str
    epoch: int
    loss: float
    validation_error: float
    learning_rate: float
    seconds: float


@dataclass
class EpochLog:
    """The epochs of a stage, the best of them, and whether Ctrl-C stopped it.

    ``best_weights`` are those of the best epoch; None without validation, where the last epoch counts as the best.
    ``since_best`` counts the epochs after it; ``falls`` lists the epochs after which the schedule lowered the rate.
    """

    epochs: list[Epoch] = field(default_factory=list)
    best: Epoch | None = None
    best_weights: Weights | None = None
    since_best: int = 0
    falls: list[int] = field(default_factory=list)
    interrupted: bool = False

    def add(self, epoch: Epoch, weights: Callable[[], Weights]) -> None:
        """Add an epoch; without a validation error the last is the best."""
        self.epochs.append(epoch)
        if self.best is None or not epoch.validation_error >= self.best.validation_error:
            self.best, self.since_best = epoch, 0
            self.best_weights = weights() if np.isfinite(epoch.validation_error) else None
        else:
            self.since_best += 1

    def as_values(self) -> dict[str, Any]:
        """Return plain values, without the weights."""
        return {
            "epochs": [asdict(e) for e in self.epochs],
            "best": None if self.best is None else asdict(self.best),
            "since_best": self.since_best,
            "falls": self.falls,
        }

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> "EpochLog":
        """Return the log that ``as_values`` described."""
        best = values["best"] and Epoch(**values["best"])
        return cls([Epoch(**e) for e in values["epochs"]], best, None, values["since_best"], values["falls"])


@dataclass(frozen=True)
class Hooks:
    """What is called while epochs run.

    ``epoch_done`` is called after every epoch, ``checkpoint`` when one is due, both with the log so far.
    """

    interruption: Interruption
    epoch_done: Callable[[EpochLog, int], None]
    checkpoint: Callable[[EpochLog], None]


def run_epochs(
    trainer: "Trainer",
    feed: Feed | ShardedFeed,
    validation: Part,
    config: TrainingConfig,
    stage: str,
    n_epochs: int,
    hooks: Hooks,
    so_far: EpochLog | None = None,
    falls: Sequence[int] = (),
) -> EpochLog:
    """Train for ``n_epochs``, or until patience or the user ends it, and put the best weights in place.

    Parameters
    ----------
    trainer, feed, validation
        The networks, the batches, and the sites whose error decides which epoch is the best.
    config
        Schedule, patience, and how often checkpoints are written.
    stage
        Name of the stage in the history.
    n_epochs
        The most epochs.
    hooks
        What is called as it goes on.
    so_far
        The log in a checkpoint; the trainer has its state already.
    falls
        Epochs after which to lower the rate, as an earlier stage did.

    Raises
    ------
    ModelError
        If training diverges: the loss is not finite, or spectra are worse than zero everywhere.
    KeyboardInterrupt
        If the run was interrupted a second time.
    """
    progress, held = so_far or EpochLog(), Held(validation)
    first = len(progress.epochs)
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
            if state is not None:  # an epoch that was begun is gone through anew
                trainer.restore(state)
                hooks.checkpoint(progress)
            break
        if losses.mean() > RISE * (progress.epochs[0].loss if progress.epochs else losses[0]):
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
    if progress.best is not None and progress.best.validation_error >= NOTHING and not progress.interrupted:
        least = progress.best.validation_error
        raise _diverged(f"the least validation error, {least:.4g} %, is that of no spectra at all", config)
    if progress.best_weights is not None:
        trainer.set_weights(progress.best_weights)
    feed.forget()
    return progress


def _is_over(progress: EpochLog, config: TrainingConfig) -> bool:
    return config.patience is not None and progress.since_best >= config.patience


def _one_epoch(
    trainer: "Trainer", feed: Feed | ShardedFeed, batches: Any, interruption: Interruption
) -> npt.NDArray[np.float32]:
    """The loss of every step of an epoch; of fewer if it was interrupted."""
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


def validation_error(trainer: "Trainer", sites: Held) -> float:
    """Mean error % of the sites' spectra as the networks stand; NaN without sites."""
    errors = [np.empty(0)]
    for x, absorbers, y in sites:
        difference, size = np.abs(trainer.spectra(x, absorbers) - y).sum(axis=1), np.abs(y).sum(axis=1)
        errors.append(100.0 * difference[size > 0] / size[size > 0])
    every = np.concatenate(errors)
    return float(every.mean()) if every.size else float("nan")
