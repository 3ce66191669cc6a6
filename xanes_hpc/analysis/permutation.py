"""Permutation importance of features: how predictions change (Breiman, doi:10.1023/A:1010933404324)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xanes_hpc.analysis.feature_groups import Columns, FeatureGroup
from xanes_hpc.models.feature_distance import mean_differences
from xanes_hpc.models.kernel_ridge import KernelRidge
from xanes_hpc.models.model import Model
from xanes_hpc.models.scaling import Absorbers

Array = npt.NDArray[np.float64]
Windows = Sequence[npt.NDArray[np.bool_]]


class MeanModel:
    """A model's spectra without dropout: each network combined with the kernel ridge regression by its share.

    Parameters
    ----------
    model
        The model.
    x : (n_sites, n_features)
        Features as stored.
    absorbers : (n_sites,)
        Absorber numbers from ``Model.absorbers``.
    """

    def __init__(self, model: Model, x: npt.NDArray[np.floating], absorbers: Absorbers) -> None:
        self._model, self.x, self.absorbers = model, x, absorbers
        self._regression: KernelRidge | None = model.regression
        self._differences: npt.NDArray[np.float32] | None = None
        if self._regression is not None:
            own = self._regression.scalers.features(x)
            self._differences = mean_differences(own, self._regression.landmarks)

    @property
    def n_networks(self) -> int:
        """Number of networks of the model."""
        return len(self._model.members)

    def spectra(self, columns: Columns | None = None, values: npt.NDArray[np.floating] | None = None) -> Array:
        """Return spectra, (n_networks, n_sites, n_energies), with ``values`` in place of some columns."""
        x = self.x
        if columns is not None and values is not None:
            x = x.copy()
            x[:, columns] = values
        found = np.array([member.mean_network(x, self.absorbers) for member in self._model.members])
        if self._regression is None or self._differences is None:
            return found
        differences = self._differences
        if columns is not None:
            differences = differences + self._moved(x, columns)
        share = self._regression.share
        return (1.0 - share) * found + share * self._regression.spectra_at(differences, self.absorbers)

    def _moved(self, x: npt.NDArray[np.floating], columns: Columns) -> npt.NDArray[np.float32]:
        """Return the change of the distances to landmarks when some columns change, computed from those only."""
        assert self._regression is not None
        landmarks = np.ascontiguousarray(self._regression.landmarks[:, columns])
        after, before = (
            mean_differences(np.ascontiguousarray(self._regression.scalers.features(v)[:, columns]), landmarks)
            for v in (x, self.x)
        )
        return np.asarray((after - before) * np.float32(columns.size / self.x.shape[1]), np.float32)


@dataclass(frozen=True)
class Importance:
    """Effects of permuting features, each (n_networks, n_windows, n_groups).

    Attributes
    ----------
    change
        Mean absolute change of the spectrum in a window, in % of its mean absolute intensity there.
    error_increase
        Increase of the error in the window, in percentage points; NaN without references.
    """

    change: Array
    error_increase: Array


def permutation_importance(
    model: MeanModel,
    groups: Sequence[FeatureGroup],
    windows: Windows,
    references: Array | None = None,
    repeats: int = 5,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Importance:
    """Permute the features of each group together among sites of the same element and edge.

    Parameters
    ----------
    model
        The model at the sites.
    groups
        Groups of features to permute together.
    windows
        Masks over the model's energies.
    references : (n_sites, n_energies)
        Reference spectra for errors; NaN for sites without one.
    repeats, seed
        Number of permutations, and their seed.
    """
    plain = model.spectra()
    shape = (plain.shape[0], len(windows), len(groups))
    change, increase = np.zeros(shape), np.zeros(shape)
    for k, group in enumerate(groups):
        for repeat in range(repeats):
            progress(k * repeats + repeat, len(groups) * repeats)
            order = _permuted(model.absorbers, np.random.default_rng([seed, repeat]))
            other = model.spectra(group.columns, model.x[order][:, group.columns]) if group.columns.size else plain
            for w, window in enumerate(windows):
                change[:, w, k] += _percent(other[..., window] - plain[..., window], plain[..., window]) / repeats
                known = _known(references, window)
                if references is not None and known.any():
                    own = references[known][:, window]
                    errors = [_percent(y[:, known][..., window] - own, own[None]) for y in (other, plain)]
                    increase[:, w, k] += (errors[0] - errors[1]) / repeats
                else:
                    increase[:, w, k] = np.nan
    progress(len(groups) * repeats, len(groups) * repeats)
    return Importance(change, increase)


def _known(references: Array | None, window: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return which sites have a reference that covers a window."""
    return np.asarray([] if references is None else np.isfinite(references[:, window]).all(axis=1), np.bool_)


def _percent(difference: Array, of: Array) -> Array:
    """Return sum |difference| / sum |of| over sites and energies in %, for each network."""
    size = np.abs(of).sum(axis=(-2, -1))
    return np.asarray(100.0 * np.abs(difference).sum(axis=(-2, -1)) / np.where(size > 0, size, 1.0))


def _permuted(absorbers: Absorbers, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return a random order of rows that permutes rows only within each absorber."""
    order = np.arange(len(absorbers))
    for one in np.unique(absorbers):
        rows = np.flatnonzero(absorbers == one)
        order[rows] = generator.permutation(rows)
    return order
