"""What a validation set has chosen: the number of epochs, and the shares of the Gaussian process."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import StoreError
from xanes_hpc.models.model import Model
from xanes_hpc.training.gaussian_process_choice import ALIGNED_SHARES, SHARES


@dataclass(frozen=True)
class Chosen:
    """The choices that a training takes from others, in place of a validation set.

    Attributes
    ----------
    epochs
        Number of epochs.
    falls
        Epochs after which the learning rate is lowered.
    share
        Share of the Gaussian process in the mean with the networks; 0 for no process.
    aligned
        Share of shift and shape in the process; None if it has plain spectra alone, or there is no process.
    """

    epochs: int
    falls: tuple[int, ...]
    share: float
    aligned: float | None

    @classmethod
    def of_model(cls, model: Model) -> "Chosen":
        """Return what the validation set of a model has chosen.

        Raises
        ------
        StoreError
            If the model does not record it.
        """
        found: Any = model.description["provenance"].get("chosen")
        try:
            aligned = found["aligned"]
            return cls(
                int(found["epochs"]), tuple(map(int, found["falls"])), float(found["share"]),
                None if aligned is None else float(aligned),
            )  # fmt: skip
        except (KeyError, TypeError, ValueError):
            raise StoreError(
                f"{model.path}: expected the number of epochs and the shares that its validation set chose "
                f"(provenance.chosen), received {found!r}; train the folds again with `overwrite`"
            ) from None

    @classmethod
    def from_folds(cls, folds: Sequence["Chosen"]) -> "Chosen":
        """Return the epochs and falls of the fold with the median number of epochs, and the means of the shares.

        Means are rounded to the shares that a validation set chooses from. Of an even number of folds, the one below
        the middle counts.
        """
        median = sorted(folds, key=lambda fold: fold.epochs)[(len(folds) - 1) // 2]
        aligned = [fold.aligned for fold in folds if fold.aligned is not None]
        share = _nearest(SHARES, [fold.share for fold in folds])
        return cls(median.epochs, median.falls, share, _nearest(ALIGNED_SHARES, aligned) if share and aligned else None)


def _nearest(choices: npt.NDArray[np.float64], values: Sequence[float]) -> float:
    """Return the choice nearest to the mean of some values."""
    return round(float(choices[np.argmin(np.abs(choices - np.mean(values)))]), 6)
