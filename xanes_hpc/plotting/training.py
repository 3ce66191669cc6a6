"""Figures of how training went."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import StoreError
from xanes_hpc.models.model import Model
from xanes_hpc.models.training_sites import PARTS
from xanes_hpc.plotting.sites import COLOURS
from xanes_hpc.plotting.spectra import PREDICTION, SECOND, figure_at
from xanes_hpc.stores.hdf5 import nearest

HISTORY = "history.csv"
STAGES = {"choose": "choosing the number of epochs", "refit": "training again, with the validation part"}
Columns = dict[str, npt.NDArray[np.float64]]


def read_history(model: Path) -> dict[str, Columns]:
    """Columns of numbers of a model's ``history.csv``, by stage.

    Raises
    ------
    StoreError
        If it is missing or damaged.
    """
    path = model / HISTORY
    if not model.is_dir():
        raise StoreError(
            f"{model}: expected a model folder" + (", received a file" if model.exists() else nearest(model))
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
        why = getattr(error, "strerror", None) or "not a history of epochs"
        raise StoreError(f"{path}: {why.lower()}") from None


def learning(models: Sequence[Path], path: Path) -> None:
    """Error % of the validation part and loss against epochs, of one model or several.

    Of models with different numbers of training sites also the least error against that number.

    Parameters
    ----------
    models
        Model folders.
    path
        PNG, SVG or PDF to write, by its ending.
    """
    histories = {model: read_history(model) for model in models}
    sizes = {model: _training_sites(model) for model in models}
    grown = len(set(sizes.values())) > 1
    with figure_at(path, (12.0 if grown else 8.0, 3.6)) as figure:
        left, right, *more = figure.subplots(1, 3 if grown else 2)
        for k, (model, stages) in enumerate(histories.items()):
            colour = COLOURS[k % len(COLOURS)] if len(models) > 1 else PREDICTION
            label = f"{model.name}: " if len(models) > 1 else ""
            for stage, columns in stages.items():
                told = f"{label}{STAGES.get(stage, stage)}"
                errors = columns["validation_error_percent"]
                dashes = "-" if stage == "choose" else "--"
                if np.isfinite(errors).any():
                    left.plot(columns["epoch"], errors, color=colour, lw=1.0, ls=dashes, label=told)
                    best = int(np.nanargmin(errors))
                    left.plot(
                        columns["epoch"][best], errors[best], "o", ms=4, color=SECOND if len(models) == 1 else colour
                    )
                right.plot(columns["epoch"], columns["loss"], color=colour, lw=1.0, ls=dashes, label=told)
        left.set(xlabel="epoch", ylabel="error % of the validation part", ylim=(0, None))
        right.set(xlabel="epoch", ylabel="loss", yscale="log")
        if grown:
            _against_sites(more[0], histories, sizes)
        for axis in (left, right):
            if axis.lines:
                axis.legend(frameon=False)


def _training_sites(model: Path) -> int:
    """How many sites a model's weights have seen."""
    return int(np.isin(Model.open(model).training_sites.parts, [PARTS.index("train")]).sum())


def _against_sites(axis: Any, histories: Mapping[Path, Any], sizes: Mapping[Path, int]) -> None:
    """The least validation error of every model against its number of training sites."""
    points = []
    for model, stages in histories.items():
        errors = np.concatenate([columns["validation_error_percent"] for columns in stages.values()])
        if np.isfinite(errors).any():
            points.append((sizes[model], float(np.nanmin(errors))))
    found = np.array(sorted(points)).reshape(-1, 2)
    axis.plot(found[:, 0], found[:, 1], color=PREDICTION, lw=1.0, marker="o", ms=4)
    axis.set(xlabel="training sites", ylabel="least error % of the validation part", xscale="log", yscale="log")
