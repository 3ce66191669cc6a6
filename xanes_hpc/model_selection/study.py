"""The journal of a search: Optuna's study in a file, used by one process at a time.

The values of a trial depend only on the seed, its number and the trials before it. A search that was stopped or even
killed therefore draws the same values when it is resumed.
"""

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState

from xanes_hpc.config.sections import RunConfig
from xanes_hpc.errors import StoreError
from xanes_hpc.model_selection.record import COMPLETE, FAILED, PRUNED, STOPPED, Trial
from xanes_hpc.model_selection.space import Space
from xanes_hpc.runtime import locks
from xanes_hpc.training.plan import differences

DRAWN_AT_RANDOM = 10
"""Number of trials before the sampler uses the errors of earlier ones."""
ATTEMPTS = 20
"""Number of attempts to draw values that no earlier trial had."""
BEFORE_PRUNING = 5
"""Number of complete trials before any is pruned."""
WARM_UP = 1 / 3
"""Fraction of a trial's epochs before it can be pruned."""
ENOUGH_FOR_IMPORTANCE = 10
"""Number of complete trials needed to rank hyperparameters by importance."""
MOST_DEATHS = 2
"""Number of times a process may die in a trial before the trial counts as failed."""
DEATHS, REASON, EPOCHS, SECONDS = "deaths", "reason", "epochs", "seconds"
WORDS = {
    TrialState.COMPLETE: COMPLETE,
    TrialState.PRUNED: PRUNED,
    TrialState.FAIL: FAILED,
    TrialState.RUNNING: STOPPED,
    TrialState.WAITING: STOPPED,
}


class Journal:
    """A journal, locked by this process.

    Parameters
    ----------
    path
        File of the journal.
    plan
        Everything that the search depends on.
    space
        Space of the search.
    seed
        Seed of the sampler.
    n_epochs
        Largest number of epochs of a trial.

    Raises
    ------
    StoreError
        If the journal is missing, damaged, belongs to another search, or is in use by another process.
    """

    def __init__(self, path: Path, plan: Mapping[str, Any], space: Space, seed: int, n_epochs: int) -> None:
        self._path, self._space, self._seed = path, space, seed
        self._lock = locked(path)
        try:
            mend(path)
            with quiet():
                self._open(n_epochs)
            differs = differences(self._study.user_attrs[PLAN], json.loads(json.dumps(plan)))
            if differs:
                raise StoreError(
                    f"{path}: belongs to another search: {'; '.join(differs[:3])}; "
                    "use that search's settings, or start again with `overwrite`"
                )
            self._requeue()
        except BaseException:
            self.close()
            raise

    def _open(self, n_epochs: int) -> None:
        try:
            self._storage = storage(self._path)
            pruner = optuna.pruners.MedianPruner(BEFORE_PRUNING, n_warmup_steps=int(WARM_UP * n_epochs))
            self._study = optuna.load_study(study_name=STUDY, storage=self._storage, pruner=pruner)
            self._study.user_attrs[PLAN]
        except (KeyError, ValueError, TypeError, AttributeError, AssertionError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            reason = f"{reason} is missing" if isinstance(error, KeyError) else reason
            raise StoreError(f"{self._path}: damaged: {reason}; start again with `overwrite`") from None

    def _requeue(self) -> None:
        """Return trials of a killed process to the queue, except those that seem to have killed it."""
        for frozen in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            identity = self._identity(frozen.number)
            deaths = frozen.user_attrs.get(DEATHS, 0) + 1
            self._storage.set_trial_user_attr(identity, DEATHS, deaths)
            if deaths < MOST_DEATHS:
                self._storage.set_trial_state_values(identity, TrialState.WAITING)
            else:
                self._storage.set_trial_user_attr(identity, REASON, f"the process died {deaths} times in this trial")
                self._storage.set_trial_state_values(identity, TrialState.FAIL)

    def _identity(self, number: int) -> int:
        study = self._storage.get_study_id_from_name(STUDY)
        return self._storage.get_trial_id_from_study_id_trial_number(study, number)

    def close(self) -> None:
        """Release the journal for other processes."""
        os.close(self._lock)

    def ask(self, run: RunConfig) -> optuna.Trial:
        """Return the next trial: one that was stopped, or a new one.

        New values are drawn in a separate study and written all at once, so that a killed process never leaves half of
        them.
        """
        with quiet():
            if not self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
                self._study.enqueue_trial(self._drawn(run))
            return self._study.ask()

    def _drawn(self, run: RunConfig) -> dict[str, Any]:
        """Return the next values in Optuna's form, distinct from those of all earlier trials if possible."""
        trials = self._study.get_trials(deepcopy=False)
        drawn: dict[str, Any] = {}
        for attempt in range(ATTEMPTS):
            seed = int(np.random.SeedSequence([self._seed, len(trials), attempt]).generate_state(1)[0])
            sampler = optuna.samplers.TPESampler(n_startup_trials=DRAWN_AT_RANDOM, seed=seed)
            elsewhere = optuna.create_study(sampler=sampler, direction="minimize")
            elsewhere.add_trials(trials)
            trial = elsewhere.ask()
            self._space.ask(trial, run)
            drawn = trial.params
            if all(drawn != other.params for other in trials):
                break
        return drawn

    def report(self, trial: optuna.Trial, epoch: int, error: float) -> bool:
        """Record an epoch's validation error, and return whether to prune the trial.

        Epochs recorded before the trial was stopped are kept, and never lead to pruning.
        """
        if epoch <= max(self._frozen(trial).intermediate_values, default=0):
            return False
        with quiet():
            trial.report(error, epoch)
            return trial.should_prune()

    def _frozen(self, trial: optuna.Trial) -> FrozenTrial:
        return self._study.get_trials(deepcopy=False)[trial.number]

    def finish(
        self, trial: optuna.Trial, state: str, epochs: int, seconds: float, error: float | None = None, reason: str = ""
    ) -> None:
        """Record the end of a trial: ``complete``, ``pruned`` or ``failed``."""
        trial.set_user_attr(EPOCHS, epochs)
        trial.set_user_attr(SECONDS, seconds)
        if reason:
            trial.set_user_attr(REASON, reason)
        with quiet():
            self._study.tell(trial, error, next(s for s, word in WORDS.items() if word == state))

    def put_back(self, trial: optuna.Trial) -> None:
        """Return a stopped trial to the queue."""
        self._storage.set_trial_state_values(self._identity(trial.number), TrialState.WAITING)

    @property
    def trials(self) -> list[Trial]:
        """All trials that have values, by number."""
        return [self._record(t) for t in self._study.get_trials(deepcopy=False) if t.params]

    def _record(self, frozen: FrozenTrial) -> Trial:
        error = frozen.value if frozen.state == TrialState.COMPLETE else None
        seen = frozen.intermediate_values
        if frozen.state == TrialState.PRUNED:
            error = min(seen.values(), default=None)
        more = frozen.user_attrs
        return Trial(
            frozen.number, WORDS[frozen.state], error, more.get(EPOCHS, len(seen)), more.get(SECONDS, 0.0),
            self._space.values(frozen.params), more.get(REASON, ""),
        )  # fmt: skip

    def importance(self) -> dict[str, float]:
        """Return the fraction of the variance of errors due to each hyperparameter; empty with too few complete trials.

        The method is PED-ANOVA (Watanabe et al., arXiv:2304.10255).
        """
        complete = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if len(complete) < ENOUGH_FOR_IMPORTANCE or len({t.value for t in complete}) < 2:
            return {}
        with quiet():
            evaluator = optuna.importance.PedAnovaImportanceEvaluator()
            return dict(optuna.importance.get_param_importances(self._study, evaluator=evaluator))


STUDY, PLAN = "xanes-hpc", "plan"
"""Names of the study, and of the attribute with the plan, in Optuna."""


def create_journal(path: Path, plan: Mapping[str, Any], first: Mapping[str, Any] | None) -> None:
    """Create a journal.

    Parameters
    ----------
    path
        File to write.
    plan
        Everything that the search depends on, as plain values.
    first
        Values of the first trial in Optuna's form; None to draw them.
    """
    with quiet():
        study = optuna.create_study(storage=storage(path), study_name=STUDY, direction="minimize")
        study.set_user_attr(PLAN, dict(plan))
        if first is not None:
            study.enqueue_trial(dict(first))


def check_free(path: Path) -> None:
    """Raise an error if a journal is missing or in use.

    Raises
    ------
    StoreError
        If the journal is missing, or in use by another process.
    """
    os.close(locked(path))


def storage(path: Path) -> optuna.storages.JournalStorage:
    """Return Optuna's storage in the file, with a lock that also works on network file systems."""
    return optuna.storages.JournalStorage(JournalFileBackend(str(path), JournalFileOpenLock(str(path))))


def locked(path: Path) -> int:
    """Lock the journal and return its descriptor; closing it, or any end of the process, releases the lock.

    Raises
    ------
    StoreError
        If there is no journal, or another process has locked it.
    """
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError as error:
        why = "no such file" if isinstance(error, FileNotFoundError) else (error.strerror or "").lower()
        raise StoreError(f"{path}: {why}; there is no search to resume; start one without `resume`") from None
    if not locks.hold(descriptor):
        os.close(descriptor)
        raise StoreError(f"{path}: in use by another process; wait until it ends")
    return descriptor


def mend(path: Path) -> None:
    """Remove what a killed process left behind: half a line, and Optuna's own lock."""
    for stale in path.parent.glob(f"{path.name}.lock*"):
        stale.unlink(missing_ok=True)
    text = path.read_bytes()
    whole = text.rfind(b"\n") + 1
    if whole < len(text):
        os.truncate(path, whole)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Optuna's own messages."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
