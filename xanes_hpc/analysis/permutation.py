"""Permutation importance of features: how predictions change (Breiman, doi:10.1023/A:1010933404324)."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from xanes_hpc.analysis.feature_groups import Columns, FeatureGroup
from xanes_hpc.models.feature_distance import mean_differences
from xanes_hpc.models.kernel_ridge import KernelRidge
from xanes_hpc.models.model import Model
from xanes_hpc.models.scaling import Absorbers

Array = npt.NDArray[np.float64]
Order = npt.NDArray[np.int64]
Windows = Sequence[npt.NDArray[np.bool_]]
ROWS_AT_ONCE = 1500
"""Number of rows that networks compute at a time: few enough for memory, and enough for fast matrix products."""


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
        self._distances = None if model.regression is None else _Distances(model.regression, x)

    @property
    def n_networks(self) -> int:
        """Number of networks of the model."""
        return len(self._model.members)

    def spectra(self) -> Array:
        """Return spectra, (n_networks, n_sites, n_energies)."""
        return self._spectra(self.x, None if self._distances is None else self._distances.plain, self.absorbers)

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
            if self._distances is not None:
                moved = np.concatenate([self._distances.moved(*change) for change in some])
            found = self._spectra(x, moved, np.tile(self.absorbers, len(some)))
            yield from found.reshape(len(found), len(some), n_sites, -1).swapaxes(0, 1)

    def _spectra(
        self, x: npt.NDArray[np.floating], differences: npt.NDArray[np.float32] | None, absorbers: Absorbers
    ) -> Array:
        found = np.array([member.mean_network(x, absorbers) for member in self._model.members])
        regression = self._model.regression
        if regression is None or differences is None:
            return found
        return (1.0 - regression.share) * found + regression.share * regression.spectra_at(differences, absorbers)


class _Distances:
    """Distances between sites and the landmarks of a regression; ``plain``, (n_sites, n_landmarks), as they are."""

    def __init__(self, regression: KernelRidge, x: npt.NDArray[np.floating]) -> None:
        self._z, self._landmarks = regression.scalers.features(x), regression.landmarks
        self.plain = mean_differences(self._z, self._landmarks)
        self._last: tuple[Columns, npt.NDArray[np.float32]] | None = None

    def moved(self, columns: Columns, order: Order) -> npt.NDArray[np.float32]:
        """Return the distances with columns taken from the sites in another order; fast if the columns are repeated."""
        if self._last is None or self._last[0] is not columns:
            own = mean_differences(*(np.ascontiguousarray(values[:, columns]) for values in (self._z, self._landmarks)))
            self._last = columns, own * np.float32(columns.size / self._z.shape[1])
        own = self._last[1]
        return np.asarray(self.plain + (own[order] - own))


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
    steps = [(k, order) for k, group in enumerate(groups) for order in orders if group.columns.size]
    spectra = model.permuted((groups[k].columns, order) for k, order in steps)
    increase[:, [w for w, (_, known) in enumerate(compared) if known.any()]] = 0.0
    for n, ((k, _), other) in enumerate(zip(steps, spectra, strict=True), 1):
        for w, (window, known) in enumerate(compared):
            change[:, w, k] += _percent(other[..., window] - plain[..., window], plain[..., window]) / repeats
            increase[:, w, k] += (_errors(other, references, window, known) - errors[w]) / repeats
        progress(n, len(steps))
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
