"""Permutation importance of features: how predictions change (Breiman, doi:10.1023/A:1010933404324)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xanes_hpc.analysis.feature_groups import FeatureGroup
from xanes_hpc.analysis.mean_model import MeanModel
from xanes_hpc.models.scaling import Absorbers

Array = npt.NDArray[np.float64]
Windows = Sequence[npt.NDArray[np.bool_]]


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
