"""Spectra of a site when some groups of its features are replaced by those of other sites."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from xanes_hpc.analysis.feature_groups import FeatureGroup, owners
from xanes_hpc.analysis.mean_model import ROWS_AT_ONCE
from xanes_hpc.models.model import Model

Array = npt.NDArray[np.float64]
Features = npt.NDArray[np.floating]


class Switching:
    """A model whose features are switched by groups.

    Parameters
    ----------
    model
        The model.
    groups
        Groups that together hold every feature.
    """

    def __init__(self, model: Model, groups: Sequence[FeatureGroup]) -> None:
        self._model, self._columns = model, np.concatenate([group.columns for group in groups])
        self._starts = np.cumsum([0, *(group.columns.size for group in groups[:-1])])
        self._owner = owners(groups)

    def spectra(
        self, own: npt.NDArray[np.bool_], x: Features, background: Features, absorber: int, done: Callable[[int], None]
    ) -> Array:
        """Return the mean spectrum, (n_rows, n_energies), over networks and background sites.

        Parameters
        ----------
        own : (n_rows, n_groups)
            Groups of features taken from the site; the others are taken from each background site.
        x : (n_features,)
            Features of the site.
        background : (n_background, n_features)
            Features of the background sites.
        absorber
            Index of the site's element and edge, used for every row.
        done
            Called with the number of background sites of each step.
        """
        model, regression = self._model, self._model.regression
        total = np.zeros((len(own), model.grid[0].size))
        ours, theirs = own.astype(np.float32), (~own).astype(np.float32)
        mine = own[:, self._owner]
        fixed = ours @ self._terms(x)
        at_once = max(1, ROWS_AT_ONCE // len(own))
        for start in range(0, len(background), at_once):
            some = background[start : start + at_once]
            absorbers = np.full(len(some) * len(own), absorber)
            rows = np.concatenate([np.where(mine, x, other) for other in some])
            found = np.mean([member.mean_network(rows, absorbers) for member in model.members], axis=0)
            if regression is not None:
                terms = np.concatenate([fixed + theirs @ self._terms(other) for other in some], axis=1)
                found = regression.joined(found, terms, absorbers)
            total += found.reshape(len(some), len(own), -1).sum(axis=0)
            done(len(some))
        return total / len(background)

    def _terms(self, x: Features) -> npt.NDArray[np.float32]:
        """Return each group's part of the terms of the process's kernel, (n_terms, n_groups, n_landmarks)."""
        regression = self._model.regression
        if regression is None:
            return np.empty((1, self._starts.size, 0), np.float32)
        parts = regression.kernel.terms_by_feature(regression.scalers.features(x[None])[0], regression.landmarks)
        return np.add.reduceat(parts[..., self._columns], self._starts, axis=-1).swapaxes(1, 2)
