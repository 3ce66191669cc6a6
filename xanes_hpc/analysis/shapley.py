"""Shapley values of groups of features (Lundberg & Lee, arXiv:1705.07874), by the package shap."""

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
    """How much each group of features moves each output from its mean over a background.

    Groups are told or left at the background's together, in random orders and the reverse of each; what a site's values
    add up to is its output less the background's mean, to rounding.

    Parameters
    ----------
    function
        Outputs (n_rows, n_outputs) of features (n_rows, n_features).
    x : (n_sites, n_features)
        Of the sites to explain.
    background : (n_background, n_features)
        Of sites that stand for all.
    groups
        With all features among them.
    rounds
        Orders, each with its reverse.
    seed
        Of the orders.

    Returns
    -------
    values : (n_sites, n_outputs, n_groups)
    base : (n_outputs,)
        Mean over the background.

    Raises
    ------
    ConfigError
        If shap is not installed.
    """
    need("shap", "explain", "Shapley values")
    with warnings.catch_warnings():  # of what its own plots do
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
    """Features of a site, of some groups as they are and of the others as in each site of a background."""

    def __init__(self, background: Rows, groups: Sequence[FeatureGroup]) -> None:
        self._background, self._n_groups = background, len(groups)
        self._owner = np.empty(background.shape[1], np.int64)
        for k, group in enumerate(groups):
            self._owner[group.columns] = k

    def __call__(self, told: npt.NDArray[np.bool_], row: Rows) -> tuple[Rows]:
        """All of the background, with the site's own features of the groups that are told."""
        return (np.where(told[self._owner], row, self._background),)

    def shape(self, row: Rows) -> tuple[int, int]:
        """Rows that a mask gives, and length of a mask."""
        return len(self._background), self._n_groups

    def mask_shapes(self, row: Rows) -> list[tuple[int, ...]]:
        """Of a site's values."""
        return [(self._n_groups,)]
