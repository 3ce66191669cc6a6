"""The file of a search's journal: making it, locking it, and mending what a killed process has left."""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from xanes_hpc import locks
from xanes_hpc.errors import StoreError

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
