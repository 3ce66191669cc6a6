"""The course of a model's training, in ``history.csv`` of its folder."""

import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import StoreError
from xanes_hpc.runtime.nearest import did_you_mean_path

HISTORY = "history.csv"
Columns = dict[str, npt.NDArray[np.float64]]


def read_history(model: Path) -> dict[str, Columns]:
    """Read the columns of a model's ``history.csv``, by stage.

    Raises
    ------
    StoreError
        If the file is missing or damaged.
    """
    path = model / HISTORY
    if not model.is_dir():
        raise StoreError(
            f"{model}: expected a model folder" + (", received a file" if model.exists() else did_you_mean_path(model))
        )
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        names = [name for name in rows[0] if name != "stage"]
        stages = list(dict.fromkeys(row["stage"] for row in rows))
        return {
            stage: {name: np.array([float(row[name]) for row in rows if row["stage"] == stage]) for name in names}
            for stage in stages
        }
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        why = getattr(error, "strerror", None) or "expected a table of epochs"
        raise StoreError(f"{path}: {why.lower()}") from None
