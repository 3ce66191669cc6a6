"""Figures of the course of training."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xanes_hpc.models.history import read_history
from xanes_hpc.models.model import Model
from xanes_hpc.models.training_sites import SETS
from xanes_hpc.plotting.sites import COLOURS
from xanes_hpc.plotting.spectra import PREDICTION, SECOND, figure_at

STAGES = {"choose": "choosing the number of epochs", "refit": "retraining with the validation set"}


def learning(models: Sequence[Path], path: Path) -> None:
    """Draw validation error and loss against epochs, for one model or several.

    For models with different numbers of training sites, a third panel shows the lowest error against that number.

    Parameters
    ----------
    models
        Model folders.
    path
        Figure to write; its extension selects PNG, SVG or PDF.
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
                named = f"{label}{STAGES.get(stage, stage)}"
                errors = columns["validation_error_percent"]
                dashes = "-" if stage == "choose" else "--"
                if np.isfinite(errors).any():
                    left.plot(columns["epoch"], errors, color=colour, lw=1.0, ls=dashes, label=named)
                    best = int(np.nanargmin(errors))
                    left.plot(
                        columns["epoch"][best], errors[best], "o", ms=4, color=SECOND if len(models) == 1 else colour
                    )
                right.plot(columns["epoch"], columns["loss"], color=colour, lw=1.0, ls=dashes, label=named)
        left.set(xlabel="epoch", ylabel="validation error (%)", ylim=(0, None))
        right.set(xlabel="epoch", ylabel="loss", yscale="log")
        if grown:
            _against_sites(more[0], histories, sizes)
        for axis in (left, right):
            if axis.lines:
                axis.legend(frameon=False)


def _training_sites(model: Path) -> int:
    """Return the number of sites in a model's training set."""
    return int(np.isin(Model.open(model).training_sites.sets, [SETS.index("train")]).sum())


def _against_sites(axis: Any, histories: Mapping[Path, Any], sizes: Mapping[Path, int]) -> None:
    """Draw each model's lowest validation error against its number of training sites."""
    points = []
    for model, stages in histories.items():
        errors = np.concatenate([columns["validation_error_percent"] for columns in stages.values()])
        if np.isfinite(errors).any():
            points.append((sizes[model], float(np.nanmin(errors))))
    found = np.array(sorted(points)).reshape(-1, 2)
    axis.plot(found[:, 0], found[:, 1], color=PREDICTION, lw=1.0, marker="o", ms=4)
    axis.set(xlabel="training sites", ylabel="lowest validation error (%)", xscale="log", yscale="log")
