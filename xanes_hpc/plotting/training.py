"""Figures of the course of training."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xanes_hpc.models.history import read_history
from xanes_hpc.models.model import Model
from xanes_hpc.models.training_sites import SETS
from xanes_hpc.plotting.figures import COLOURS, PREDICTION, SECOND, figure_at
from xanes_hpc.plotting.words import absorbers_in_words, caption, count_of_sites, legend_below, title

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
    opened = {model: Model.open(model) for model in models}
    sizes = {model: _training_sites(own) for model, own in opened.items()}
    grown = len(set(sizes.values())) > 1
    with figure_at(path, (12.0 if grown else 8.0, 4.4)) as figure:
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
                    dot = "lowest error" if len(models) == 1 else None
                    left.plot(
                        columns["epoch"][best], errors[best], "o", ms=4, color=SECOND if len(models) == 1 else colour,
                        label=dot,
                    )  # fmt: skip
                right.plot(columns["epoch"], columns["loss"], color=colour, lw=1.0, ls=dashes, label=named)
        left.set(xlabel="epoch", ylabel="error of the validation set (%)", ylim=(0, None))
        right.set(xlabel="epoch", ylabel="loss of the training set", yscale="log")
        _plain_numbers(right.yaxis)
        if grown:
            _against_sites(more[0], histories, sizes)
        for axis in (left, right):
            if axis.lines:
                legend_below(axis)
        caption(
            figure,
            "Loss: what training minimises, a mean distance of scaled spectra without unit. An epoch goes through the "
            "training set once.",
        )
        kinds = absorbers_in_words(kind for own in opened.values() for kind in own.seen)
        names = [f"{model.resolve().name} ({count_of_sites(sizes[model])} for training)" for model in models]
        title(figure, "Course of training", f"{kinds}: {', '.join(names)}")


def _plain_numbers(axis: Any) -> None:
    """Number a logarithmic axis with plain numbers, also between powers of ten."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(lambda value, _: f"{value:,g}")
    axis.set_minor_formatter(NullFormatter())


def _training_sites(model: Model) -> int:
    """Return the number of sites in a model's training set."""
    return int((model.training_sites.sets == SETS.index("train")).sum())


def _against_sites(axis: Any, histories: Mapping[Path, Any], sizes: Mapping[Path, int]) -> None:
    """Draw each model's lowest validation error against its number of training sites."""
    points = []
    for model, stages in histories.items():
        errors = np.concatenate([columns["validation_error_percent"] for columns in stages.values()])
        if np.isfinite(errors).any():
            points.append((sizes[model], float(np.nanmin(errors))))
    found = np.array(sorted(points)).reshape(-1, 2)
    axis.plot(found[:, 0], found[:, 1], color=PREDICTION, lw=1.0, marker="o", ms=4)
    axis.set(xlabel="training sites", ylabel="lowest error of the validation set (%)", xscale="log", yscale="log")
    axis.set_xticks(sorted(set(sizes.values())), [f"{n:,}" for n in sorted(set(sizes.values()))], rotation=30)
    axis.minorticks_off()
    _plain_numbers(axis.yaxis)
