"""A model's spectra without dropout at many sites, also with some features taken from other sites."""

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import numpy.typing as npt

from xanes_hpc.analysis.feature_groups import Columns
from xanes_hpc.errors import ModelError
from xanes_hpc.models.gaussian_process import GaussianProcess
from xanes_hpc.models.model import Model
from xanes_hpc.models.scaling import Absorbers

Array = npt.NDArray[np.float64]
Order = npt.NDArray[np.int64]
ROWS_AT_ONCE = 1500
"""Number of rows that networks compute at a time: few enough for memory, and enough for fast matrix products."""


def check_features(model: Model) -> None:
    """Raise an error if a model's networks take graphs instead of features, which explanations change.

    Raises
    ------
    ModelError
        If so.
    """
    if model.graph is not None:
        raise ModelError(
            f"{model.path}: its networks take graphs, whose parts cannot be explained; train a model on features, such "
            "as residual, and explain that one"
        )


class MeanModel:
    """A model's spectra without dropout: each network combined with the Gaussian process by its share.

    Parameters
    ----------
    model
        The model.
    x : (n_sites, n_features)
        Features as stored.
    absorbers : (n_sites,)
        Absorber numbers from ``Model.absorbers``.

    Raises
    ------
    ModelError
        If its networks take graphs.
    """

    def __init__(self, model: Model, x: npt.NDArray[np.floating], absorbers: Absorbers) -> None:
        check_features(model)
        self._model, self.x, self.absorbers = model, x, absorbers
        self._terms = None if model.regression is None else _Terms(model.regression, x)

    @property
    def n_networks(self) -> int:
        """Number of networks of the model."""
        return len(self._model.members)

    def spectra(self) -> Array:
        """Return spectra, (n_networks, n_sites, n_energies)."""
        return self._spectra(self.x, None if self._terms is None else self._terms.plain, self.absorbers)

    def permuted(self, changes: Iterable[tuple[Columns, Order]]) -> Iterator[Array]:
        """Yield spectra, as from ``spectra``, for each change: columns, and the order of sites they are taken from.

        Changes are evaluated several at a time, as matrix products of few rows are slow.
        """
        n_sites, left = len(self.x), iter(changes)
        while some := list(islice(left, max(1, ROWS_AT_ONCE // n_sites))):
            x = np.concatenate([self.x] * len(some))
            for k, (columns, order) in enumerate(some):
                x[k * n_sites : (k + 1) * n_sites, columns] = self.x[order][:, columns]
            moved = None
            if self._terms is not None:
                moved = np.concatenate([self._terms.moved(*change) for change in some], axis=1)
            found = self._spectra(x, moved, np.tile(self.absorbers, len(some)))
            yield from found.reshape(len(found), len(some), n_sites, -1).swapaxes(0, 1)

    def _spectra(
        self, x: npt.NDArray[np.floating], terms: npt.NDArray[np.float32] | None, absorbers: Absorbers
    ) -> Array:
        found = np.array([member.mean_network(x, absorbers) for member in self._model.members])
        regression = self._model.regression
        if regression is None or terms is None:
            return found
        return np.asarray(regression.joined(found, terms, absorbers))


class _Terms:
    """Terms of the kernel between sites and landmarks; ``plain``, (n_terms, n_sites, n_landmarks), as they are."""

    def __init__(self, regression: GaussianProcess, x: npt.NDArray[np.floating]) -> None:
        self._regression, self._x = regression, x
        self.plain = regression.terms(x)
        self._last: tuple[Columns, npt.NDArray[np.float32]] | None = None

    def moved(self, columns: Columns, order: Order) -> npt.NDArray[np.float32]:
        """Return the terms with columns taken from the sites in another order; fast if the columns are repeated."""
        if self._last is None or self._last[0] is not columns:
            self._last = columns, self._regression.terms(self._x, columns)
        own = self._last[1]
        return np.asarray(self.plain + (own[:, order] - own))
