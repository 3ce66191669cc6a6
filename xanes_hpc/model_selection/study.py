"""The journal of a search: Optuna's study in a file, which one process at a time goes on with.

What is drawn for a trial depends on the seed, the trial's number and the trials before it only: a search that was
stopped, even killed, draws what it would have drawn.
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
"""Trials before the sampler goes by the errors of earlier ones."""
ATTEMPTS = 20
"""Draws of a trial's values, of which the first that no trial has had is taken."""
BEFORE_PRUNING = 5
"""Complete trials before any is pruned."""
WARM_UP = 1 / 3
"""Share of a trial's epochs before it may be pruned."""
ENOUGH_FOR_IMPORTANCE = 10
"""Complete trials before it is told which parameters matter."""
MOST_DEATHS = 2
"""Ends of the process within a trial after which the trial has failed."""
DEATHS, REASON, EPOCHS, SECONDS = "deaths", "reason", "epochs", "seconds"
WORDS = {
    TrialState.COMPLETE: COMPLETE,
    TrialState.PRUNED: PRUNED,
    TrialState.FAIL: FAILED,
    TrialState.RUNNING: STOPPED,
    TrialState.WAITING: STOPPED,
}


class Journal:
    """A journal that this process goes on with.

    Parameters
    ----------
    path
        The file.
    plan
        All that the search depends on.
    space
        What is searched.
    seed
        Of what is drawn.
    n_epochs
        The most epochs of a trial.

    Raises
    ------
    StoreError
        If there is none, it is damaged, it is of another search, or another process goes on with it.
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
                    f"{path}: is of another search: {'; '.join(differs[:3])}; "
                    "give that search's settings, or --overwrite to search anew"
                )
            self._take_up()
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
            said = str(error).splitlines()[0] if str(error) else type(error).__name__
            said = f"it has no {said}" if isinstance(error, KeyError) else said
            raise StoreError(f"{self._path}: damaged: {said}; search anew with --overwrite") from None

    def _take_up(self) -> None:
        """Put trials that a killed process has left back into the queue, but for those that may have killed it."""
        for frozen in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            identity = self._identity(frozen.number)
            deaths = frozen.user_attrs.get(DEATHS, 0) + 1
            self._storage.set_trial_user_attr(identity, DEATHS, deaths)
            if deaths < MOST_DEATHS:
                self._storage.set_trial_state_values(identity, TrialState.WAITING)
            else:
                self._storage.set_trial_user_attr(identity, REASON, f"the process was killed {deaths} times within it")
                self._storage.set_trial_state_values(identity, TrialState.FAIL)

    def _identity(self, number: int) -> int:
        study = self._storage.get_study_id_from_name(STUDY)
        return self._storage.get_trial_id_from_study_id_trial_number(study, number)

    def close(self) -> None:
        """Let another process go on with it."""
        os.close(self._lock)

    def ask(self, run: RunConfig) -> optuna.Trial:
        """The next trial: one that was stopped, or a new one.

        Its values are drawn elsewhere, and written down all at once: a killed process leaves none half drawn.
        """
        with quiet():
            if not self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
                self._study.enqueue_trial(self._drawn(run))
            return self._study.ask()

    def _drawn(self, run: RunConfig) -> dict[str, Any]:
        """What Optuna knows the next values by; others than those of every trial before, if such are found."""
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
        """Write down an epoch's validation error; whether the trial is to be pruned.

        What was written down before the trial was stopped stands, and was not a reason to prune it.
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
        """Write down how a trial has ended: ``complete``, ``pruned`` or ``failed``."""
        trial.set_user_attr(EPOCHS, epochs)
        trial.set_user_attr(SECONDS, seconds)
        if reason:
            trial.set_user_attr(REASON, reason)
        with quiet():
            self._study.tell(trial, error, next(s for s, word in WORDS.items() if word == state))

    def put_back(self, trial: optuna.Trial) -> None:
        """Put a trial that is stopped back into the queue."""
        self._storage.set_trial_state_values(self._identity(trial.number), TrialState.WAITING)

    @property
    def trials(self) -> list[Trial]:
        """All trials that values were drawn for, by number."""
        return [self._told(t) for t in self._study.get_trials(deepcopy=False) if t.params]

    def _told(self, frozen: FrozenTrial) -> Trial:
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
        """The share of every parameter in the spread of errors; empty while too few trials are complete.

        By PED-ANOVA (Watanabe et al., arXiv:2304.10255).
        """
        complete = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if len(complete) < ENOUGH_FOR_IMPORTANCE or len({t.value for t in complete}) < 2:
            return {}
        with quiet():
            evaluator = optuna.importance.PedAnovaImportanceEvaluator()
            return dict(optuna.importance.get_param_importances(self._study, evaluator=evaluator))


STUDY, PLAN = "xanes-hpc", "plan"
"""Optuna's name of the study, and of what the search depends on in it."""


def create_journal(path: Path, plan: Mapping[str, Any], first: Mapping[str, Any] | None) -> None:
    """Begin a journal.

    Parameters
    ----------
    path
        Where it is made.
    plan
        All that the search depends on, as plain values.
    first
        What Optuna knows the first trial's values by, where they are not drawn.
    """
    with quiet():
        study = optuna.create_study(storage=storage(path), study_name=STUDY, direction="minimize")
        study.set_user_attr(PLAN, dict(plan))
        if first is not None:
            study.enqueue_trial(dict(first))


def check_free(path: Path) -> None:
    """Refuse a journal that is not there, or that another process goes on with.

    Raises
    ------
    StoreError
        Saying which.
    """
    os.close(locked(path))


def storage(path: Path) -> optuna.storages.JournalStorage:
    """Optuna's view of the file; its own lock works on network file systems too."""
    return optuna.storages.JournalStorage(JournalFileBackend(str(path), JournalFileOpenLock(str(path))))


def locked(path: Path) -> int:
    """A descriptor of the journal that is locked until it is closed, however the process ends.

    Raises
    ------
    StoreError
        If there is no journal, or another process has locked it.
    """
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError as error:
        why = "no such file" if isinstance(error, FileNotFoundError) else (error.strerror or "").lower()
        raise StoreError(f"{path}: {why}: there is no search to resume; search without --resume") from None
    if not locks.hold(descriptor):
        os.close(descriptor)
        raise StoreError(f"{path}: another process goes on with this search; wait for its end")
    return descriptor


def mend(path: Path) -> None:
    """Remove what a killed process has left: the half of a line, and Optuna's own lock."""
    for stale in path.parent.glob(f"{path.name}.lock*"):
        stale.unlink(missing_ok=True)
    text = path.read_bytes()
    whole = text.rfind(b"\n") + 1
    if whole < len(text):
        os.truncate(path, whole)


@contextmanager
def quiet() -> Iterator[None]:
    """Optuna says nothing of its own."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
