"""Permutation importance of features: how predictions change (Breiman, doi:10.1023/A:1010933404324)."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat

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

    def spectra(self) -> Array:
        """Return spectra, (n_networks, n_sites, n_energies)."""
        return self._spectra(self.x, self._differences)

    def permuted(self, columns: Columns, orders: Iterable[npt.NDArray[np.int64]]) -> Iterator[Array]:
        """Yield spectra, as from ``spectra``, with some columns taken from other sites, in each order of the sites."""
        own = None
        if self._regression is not None:
            landmarks, z = self._regression.landmarks, self._regression.scalers.features(self.x)
            own = mean_differences(*(np.ascontiguousarray(v[:, columns]) for v in (z, landmarks)))
            own *= np.float32(columns.size / self.x.shape[1])
        for order in orders:
            x = self.x.copy()
            x[:, columns] = self.x[order][:, columns]
            apart = None if own is None or self._differences is None else self._differences + (own[order] - own)
            yield self._spectra(x, apart)

    def _spectra(self, x: npt.NDArray[np.floating], differences: npt.NDArray[np.float32] | None) -> Array:
        found = np.array([member.mean_network(x, self.absorbers) for member in self._model.members])
        if self._regression is None or differences is None:
            return found
        share = self._regression.share
        return (1.0 - share) * found + share * self._regression.spectra_at(differences, self.absorbers)


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
    progress(0, len(groups) * repeats)
    plain = model.spectra()
    shape = (plain.shape[0], len(windows), len(groups))
    change, increase = np.zeros(shape), np.full(shape, np.nan)
    orders = [_permuted(model.absorbers, np.random.default_rng([seed, k])) for k in range(repeats)]
    compared = [(window, _known(references, window)) for window in windows]
    errors = [_errors(plain, references, *points) for points in compared]
    for k, group in enumerate(groups):
        permuted = model.permuted(group.columns, orders) if group.columns.size else repeat(plain, repeats)
        for n, other in enumerate(permuted):
            for w, (window, known) in enumerate(compared):
                change[:, w, k] += _percent(other[..., window] - plain[..., window], plain[..., window]) / repeats
                if known.any():
                    more = (_errors(other, references, window, known) - errors[w]) / repeats
                    increase[:, w, k] = more if n == 0 else increase[:, w, k] + more
            progress(k * repeats + n + 1, len(groups) * repeats)
    return Importance(change, increase)


def _errors(
    spectra: Array, references: Array | None, window: npt.NDArray[np.bool_], known: npt.NDArray[np.bool_]
) -> Array:
    """Return the error % of each network in a window, (n_networks,), over the sites with a reference."""
    if references is None or not known.any():
        return np.full(len(spectra), np.nan)
    own = references[known][:, window]
    return _percent(spectra[:, known][..., window] - own, own[None])


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
