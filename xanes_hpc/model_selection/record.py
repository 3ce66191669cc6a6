"""Write the results of a search: a table of its trials, and the configuration of the best one."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xanes_hpc.config.files import to_toml
from xanes_hpc.config.sections import RunConfig
from xanes_hpc.data.datasets import TrainingData
from xanes_hpc.runtime import outputs
from xanes_hpc.training.plan import resolved_run

TRIALS, BEST = "trials.csv", "best.toml"
COMPLETE, PRUNED, FAILED, STOPPED = STATES = ("complete", "pruned", "failed", "stopped")
"""States of a trial; a stopped one is repeated when the search is resumed."""


@dataclass(frozen=True)
class Trial:
    """The record of a trial.

    Attributes
    ----------
    number
        Number of the trial, from 0.
    state
        One of ``STATES``.
    error
        Lowest validation error in %; None if unknown.
    epochs, seconds
        Length of its training.
    values
        Hyperparameters, by key of the configuration.
    reason
        Why the trial failed; empty otherwise.
    """

    number: int
    state: str
    error: float | None
    epochs: int
    seconds: float
    values: dict[str, Any]
    reason: str


def best_first(trials: Sequence[Trial]) -> list[Trial]:
    """Return the complete trials, lowest error first."""
    return sorted((t for t in trials if t.state == COMPLETE), key=lambda t: (t.error, t.number))


def write_trials(trials: Sequence[Trial], keys: Sequence[str], path: Path) -> None:
    """Write the trials as CSV, with a column for every key that was searched.

    Raises
    ------
    StoreError
        If the file cannot be written.
    """
    rows = [["number", "state", "validation_error_percent", "epochs", "seconds", *keys, "reason"]]
    for t in trials:
        values = [_as_text(t.values.get(key)) for key in keys]
        rows.append([str(t.number), t.state, _as_text(t.error), str(t.epochs), f"{t.seconds:.3f}", *values, t.reason])
    stream = io.StringIO()
    csv.writer(stream).writerows(rows)
    with outputs.whole_output(path, overwrite=True) as temporary:
        temporary.write_text(stream.getvalue(), encoding="utf-8", newline="")


def _as_text(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def write_best(trial: Trial, n_trials: int, run: RunConfig, data: TrainingData, path: Path) -> None:
    """Write the configuration of a trial, for ``train --config``.

    Parameters
    ----------
    trial, n_trials
        The best trial, and the number of trials.
    run
        Configuration of the trial.
    data
        Data that the trial was trained on.
    path
        File to write; paths in it are relative to its folder.

    Raises
    ------
    StoreError
        If the file cannot be written.
    """
    title = f"# xanes-hpc tune: trial {trial.number}, best of {n_trials}, validation error {trial.error:.3f} %\n"
    with outputs.whole_output(path, overwrite=True) as temporary:
        temporary.write_text(title + to_toml(resolved_run(run, data, path.parent)), encoding="utf-8")
