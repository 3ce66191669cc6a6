"""Run the trials of a search, one after another."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xanes_hpc.config.sections import RunConfig
from xanes_hpc.data.datasets import TrainingData
from xanes_hpc.errors import ModelError
from xanes_hpc.model_selection.record import (
    BEST,
    COMPLETE,
    FAILED,
    PRUNED,
    STOPPED,
    TRIALS,
    best_first,
    write_best,
    write_trials,
)
from xanes_hpc.model_selection.space import Space, applied
from xanes_hpc.runtime.interruption import Interruption
from xanes_hpc.training import tensorflow_setup
from xanes_hpc.training.check import Prepared, resolved
from xanes_hpc.training.epochs import Epoch
from xanes_hpc.training.processes import Alone
from xanes_hpc.training.stages import Observer, Training

if TYPE_CHECKING:
    import optuna

    from xanes_hpc.model_selection.study import Journal


@dataclass(frozen=True)
class Limits:
    """Limits of a search: a total number of trials, counting those before a resume, and a number of minutes.

    A trial that has started is finished.
    """

    trials: int = 30
    minutes: float | None = None


class Pruned(Exception):
    """Raised to end a trial that is clearly worse than others."""


class Trials:
    """Runs the trials of a search and records their results.

    Parameters
    ----------
    run, space
        The configuration, and the space of the search.
    data, devices
        Data and devices for all trials.
    journal
        Journal that supplies trials and records them.
    output
        Folder of the search.
    interruption
        The interruption to watch; it ends the search.
    progress
        Called with the number of finished trials, the total, and a note.
    """

    def __init__(
        self, run: RunConfig, space: Space, data: TrainingData, devices: Sequence[str], journal: "Journal",
        output: Path, interruption: Interruption, progress: Callable[[int, int, str], None],
    ) -> None:  # fmt: skip
        self._run, self._space, self._data, self._devices = run, space, data, devices
        self._journal, self._output, self._interruption, self._progress = journal, output, interruption, progress

    def run(self, limits: Limits) -> None:
        """Run trials up to the limits, or until the user ends the search.

        Raises
        ------
        XanesHpcError
            If the data cannot be read, or a result cannot be written.
        """
        begin = time.monotonic()
        while not self._interruption.asked:
            trials = self._journal.trials
            done = sum(t.state != STOPPED for t in trials)
            late = limits.minutes is not None and time.monotonic() - begin >= 60.0 * limits.minutes
            if done >= limits.trials or (late and done):
                break
            best = "".join(f"; best {t.error:.2f} %" for t in best_first(trials)[:1])

            def report(note: str, done: int = done, best: str = best) -> None:
                self._progress(done, limits.trials, note + best)

            with tensorflow_setup.networks_forgotten():
                self._one(self._journal.ask(self._run), report)
            self._write()

    def _one(self, trial: "optuna.Trial", report: Callable[[str], None]) -> None:
        begin, epochs = time.monotonic(), list[Epoch]()
        run = applied(self._run, self._space.ask(trial, self._run))

        def epoch_done(epoch: Epoch) -> None:
            epochs.append(epoch)
            error = epoch.validation_error
            so_far = f"epoch {epoch.epoch} of {run.training.most_epochs}, validation error {error:.2f} %"
            report(f"trial {trial.number}: {so_far}")
            if self._journal.report(trial, epoch.epoch, error):
                raise Pruned

        state, error, reason = COMPLETE, None, ""
        try:
            error = self._lowest_error(run, epoch_done)
        except KeyboardInterrupt:
            self._interruption.asked = True
            self._journal.put_back(trial)
            return
        except Pruned:
            state = PRUNED
        except ModelError as problem:
            state, reason = FAILED, str(problem)
        except Exception as problem:
            if not tensorflow_setup.is_out_of_memory(problem):
                raise
            state, reason = FAILED, "out of memory"
        self._journal.finish(trial, state, len(epochs), time.monotonic() - begin, error, reason)

    def _lowest_error(self, run: RunConfig, epoch_done: Callable[[Epoch], None]) -> float:
        """Train one network and return its lowest validation error in %."""
        run = self._resolved(run)
        run = replace(run, training=replace(run.training, checkpoint_minutes=float("inf")))
        no_plan, no_checkpoint = dict[str, Any](), self._output
        prepared = Prepared(run, list(self._devices), Alone())
        observer = Observer(epoch=epoch_done)
        log = Training(prepared, self._data, no_plan, no_checkpoint, self._interruption, observer).choose()
        if log.interrupted or log.best is None:
            raise KeyboardInterrupt
        return log.best.validation_error

    def _resolved(self, run: RunConfig) -> RunConfig:
        return resolved(run, self._data.first.features.n_features)

    def _write(self) -> None:
        trials = self._journal.trials
        write_trials(trials, list(self._space.entries), self._output / TRIALS)
        for best in best_first(trials)[:1]:
            run = self._resolved(applied(self._run, best.values))
            write_best(best, len(trials), run, self._data, self._output / BEST)
