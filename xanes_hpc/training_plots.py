"""Figures of how training went."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import StoreError
from xanes_hpc.plots import PREDICTION, SECOND, figure_at
from xanes_hpc.site_plots import COLOURS

HISTORY = "history.csv"
Columns = dict[str, npt.NDArray[np.float64]]


def read_history(model: Path) -> dict[str, Columns]:
    """Columns of numbers of a model's ``history.csv``, by stage.

    Raises
    ------
    StoreError
        If it is missing or damaged.
    """
    path = model / HISTORY
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
        why = getattr(error, "strerror", None) or "not a history of epochs"
        raise StoreError(f"{path}: {why.lower()}") from None


def learning(models: Sequence[Path], path: Path) -> None:
    """Error % of the validation part and loss against epochs, of one model or several.

    Parameters
    ----------
    models
        Model folders.
    path
        PNG, SVG or PDF to write, by its ending.
    """
    histories = {model: read_history(model) for model in models}
    with figure_at(path, (8.0, 3.6)) as figure:
        left, right = figure.subplots(1, 2)
        for k, (model, stages) in enumerate(histories.items()):
            colour = COLOURS[k % len(COLOURS)] if len(models) > 1 else PREDICTION
            label = f"{model.name}: " if len(models) > 1 else ""
            for stage, columns in stages.items():
                errors = columns["validation_error_percent"]
                dashes = "-" if stage == "choose" else "--"
                if np.isfinite(errors).any():
                    left.plot(columns["epoch"], errors, color=colour, lw=1.0, ls=dashes, label=f"{label}{stage}")
                    best = int(np.nanargmin(errors))
                    left.plot(
                        columns["epoch"][best], errors[best], "o", ms=4, color=SECOND if len(models) == 1 else colour
                    )
                right.plot(columns["epoch"], columns["loss"], color=colour, lw=1.0, ls=dashes, label=f"{label}{stage}")
        left.set(xlabel="epoch", ylabel="error % of the validation part", ylim=(0, None))
        right.set(xlabel="epoch", ylabel="loss", yscale="log")
        for axis in (left, right):
            if axis.lines:
                axis.legend(frameon=False)
