"""What a search writes down: a table of its trials, and the configuration of the best."""

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
"""States of a trial; one that was stopped is taken up again when the search goes on."""


@dataclass(frozen=True)
class Trial:
    """A trial as it stands.

    Attributes
    ----------
    number
        From 0.
    state
        One of ``STATES``.
    error
        The least validation error in percent, if there is one.
    epochs, seconds
        How long it was trained.
    values
        By key of the configuration.
    reason
        Why it failed.
    """

    number: int
    state: str
    error: float | None
    epochs: int
    seconds: float
    values: dict[str, Any]
    reason: str


def best_first(trials: Sequence[Trial]) -> list[Trial]:
    """The complete trials, the least error first."""
    return sorted((t for t in trials if t.state == COMPLETE), key=lambda t: (t.error, t.number))


def write_trials(trials: Sequence[Trial], keys: Sequence[str], path: Path) -> None:
    """Write the trials as CSV, with a column for every key that was searched.

    Raises
    ------
    StoreError
        If it cannot be written.
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
        The best trial, and of how many.
    run
        Its run.
    data
        What it was trained on.
    path
        The file; paths within count from its folder.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    title = f"# Trial {trial.number}, the best of {n_trials} of xanes-hpc tune: validation error {trial.error:.3f} %\n"
    with outputs.whole_output(path, overwrite=True) as temporary:
        temporary.write_text(title + to_toml(resolved_run(run, data, path.parent)), encoding="utf-8")
