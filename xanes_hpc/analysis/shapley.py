"""Shapley values of feature groups (Lundberg & Lee, arXiv:1705.07874), computed by the package shap."""

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from xanes_hpc.analysis.feature_groups import FeatureGroup
from xanes_hpc.runtime.optional import need

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.floating]


def shapley_values(
    function: Callable[[Rows], Array],
    x: Rows,
    background: Rows,
    groups: Sequence[FeatureGroup],
    rounds: int = 1,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Array, Array]:
    """Return how much each feature group moves each output from its mean over a background.

    A group's features are switched together from the background's values to the site's, in random orders and the
    reverse of each. A site's values add up to its output minus the background's mean, within rounding.

    Parameters
    ----------
    function
        Function from features (n_rows, n_features) to outputs (n_rows, n_outputs).
    x : (n_sites, n_features)
        Features of the sites to explain.
    background : (n_background, n_features)
        Features of representative sites.
    groups
        Groups that together hold every feature.
    rounds
        Number of random orders, each used with its reverse.
    seed
        Seed of the orders.

    Returns
    -------
    values : (n_sites, n_outputs, n_groups)
    base : (n_outputs,)
        Mean output over the background.

    Raises
    ------
    ConfigError
        If shap is not installed.
    """
    need("shap", "explain", "Shapley values")
    with warnings.catch_warnings():  # its plotting code warns on import
        warnings.simplefilter("ignore")
        from shap import PermutationExplainer
    explainer = PermutationExplainer(function, _Masker(background, groups), seed=seed)
    found = []
    for k, row in enumerate(x):
        progress(k, len(x))
        explanation = explainer(
            row[None], max_evals=rounds * (2 * len(groups) + 1), silent=True, batch_size=len(groups)
        )
        found.append(np.atleast_2d(explanation.values[0].T))
    progress(len(x), len(x))
    return np.array(found), np.atleast_1d(np.mean(function(background), axis=0))


class _Masker:
    """A masker for shap that replaces the features of some groups by those of each background site."""

    def __init__(self, background: Rows, groups: Sequence[FeatureGroup]) -> None:
        self._background, self._n_groups = background, len(groups)
        self._owner = np.empty(background.shape[1], np.int64)
        for k, group in enumerate(groups):
            self._owner[group.columns] = k

    def __call__(self, mask: npt.NDArray[np.bool_], row: Rows) -> tuple[Rows]:
        """Return the background's rows, with the site's own features for the groups in ``mask``."""
        return (np.where(mask[self._owner], row, self._background),)

    def shape(self, row: Rows) -> tuple[int, int]:
        """Return the number of rows for a mask, and the length of a mask."""
        return len(self._background), self._n_groups

    def mask_shapes(self, row: Rows) -> list[tuple[int, ...]]:
        """Return the shape of a site's values."""
        return [(self._n_groups,)]
