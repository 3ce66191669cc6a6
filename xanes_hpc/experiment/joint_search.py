"""Find the few sites of a library whose mixtures explain a whole series of spectra, at one shift.

A pass through the library keeps the sites that lie nearest to the space of the series' components (target test), that
explain most of the series alone, and that best match its first and its last spectrum, each at its best shift. From
this shortlist sets are grown site by site at every shift: all pairs are tried, and each of the best sets with every
other site. Long series are searched after neighbouring spectra were averaged.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from xanes_hpc.errors import SpectrumError
from xanes_hpc.experiment.compare import Array, Measured, Rows, chunks
from xanes_hpc.experiment.nonnegative import gains_with
from xanes_hpc.experiment.principal_components import neighbours_averaged

NEAREST, ALONE, AT_ENDS = 200, 60, 40
"""Numbers of sites on the shortlist for each reason."""
BEAM = 30
"""Number of sets that are kept to grow."""
TYPICAL = 2048
"""Number of sites whose standard deviations weight the energies in the search."""


@dataclass(frozen=True)
class SiteSet:
    """Sites that explain a series together, at a shift; ``left`` is the weighted squared residual in the search."""

    rows: tuple[int, ...]
    shift: float
    left: float


class JointSearch:
    """The search for sets of sites.

    Parameters
    ----------
    measured
        Places spectra on the library's grid; its options set the shifts and energies.
    spectra
        The series on the grid, for every shift, (n_shifts, n_spectra, n_energies).
    noise
        Standard deviation of its points, (n_energies,).
    project
        Removes what a background explains from weighted spectra (…, n_energies); called with the roots of the weights.
    rows
        Rows of the library to search.
    """

    def __init__(
        self,
        measured: Measured,
        spectra: Array,
        noise: Array,
        project: Callable[[Array, Array | float], Array],
        rows: Rows,
    ) -> None:
        self._measured, self._rows, self._project = measured, rows, project
        some = rows[np.linspace(0, rows.size - 1, min(rows.size, TYPICAL)).astype(np.int64)]
        mean, std = measured.read_on_one_axis(some)
        largest = float(np.median(np.abs(spectra).max(axis=-1)))
        relative = _relative_variance(mean, measured.variance(mean, std))
        self._roots = 1.0 / np.sqrt(noise**2 + largest**2 * relative)
        self._y = self._weighted(neighbours_averaged(spectra))

    def _weighted(self, spectra: Array) -> Array:
        return self._project(self._roots * spectra, self._roots)

    def found(self, n_sites: int, n_components: int, progress: Callable[[int], None]) -> list[SiteSet]:
        """Return the best sets of ``n_sites`` sites, best first.

        Raises
        ------
        SpectrumError
            If no site has a usable spectrum.
        """
        listed, mean = self._shortlist(n_components, progress)
        if not listed.size:
            raise SpectrumError(
                f"none of {self._rows.size:,} spectra can be compared with the series; are they finite?"
            )
        n_sites = min(n_sites, listed.size)
        size = np.square(mean).sum(axis=1)
        whole = np.square(self._y).sum(axis=(1, 2))
        best: list[SiteSet] = []
        for s, y in enumerate(self._y):
            along = mean @ y.T
            sets: list[tuple[float, tuple[int, ...]]]
            sets = [(float(whole[s] - gain), (k,)) for k, gain in enumerate(_alone(along, size))]
            every = mean @ mean.T
            for n in range(2, n_sites + 1):
                sets.sort()
                grown: dict[tuple[int, ...], float] = {}
                for _, own in sets if n == 2 else sets[:BEAM]:
                    k = list(own)
                    gains = gains_with(every[np.ix_(k, k)], along[k], every[:, k], size, along)
                    gains[k] = -np.inf
                    for j in np.argsort(-gains)[:BEAM].tolist():
                        grown[tuple(sorted((*own, j)))] = float(whole[s] - gains[j])
                sets = [(left, own) for own, left in grown.items() if np.isfinite(left)]
            sets.sort()
            best += [
                SiteSet(tuple(int(listed[k]) for k in own), float(self._measured.shifts[s]), left)
                for left, own in sets[:BEAM]
            ]
        best.sort(key=lambda own: own.left)
        first: dict[tuple[int, ...], SiteSet] = {}
        for one in best:
            first.setdefault(tuple(sorted(one.rows)), one)
        return list(first.values())[:BEAM]

    def _shortlist(self, n_components: int, progress: Callable[[int], None]) -> tuple[Rows, Array]:
        """Return the rows of the shortlist and their weighted spectra."""
        spaces = [np.linalg.svd(y, full_matrices=False)[2][:n_components] for y in self._y]
        kept: list[tuple[Rows, Array]] = [(np.empty(0, np.int64), np.empty(0)) for _ in range(4)]
        for done, here in chunks(self._rows):
            progress(done)
            mean = self._weighted(self._measured.read_on_one_axis(here)[0])
            size = np.square(mean).sum(axis=1)
            usable = np.isfinite(size) & (size > 0)
            here, mean, size = here[usable], mean[usable], size[usable]
            scores = np.full((4, here.size), np.inf)
            for y, space in zip(self._y, spaces, strict=True):
                whole = np.square(y).sum(axis=1)
                along = mean @ y.T
                near = 1.0 - np.square(mean @ space.T).sum(axis=1) / size
                one = np.where(along > 0, np.square(along) / size[:, None], 0.0)
                every = (
                    near,
                    1.0 - one.sum(axis=1) / whole.sum(),
                    1.0 - one[:, 0] / whole[0],
                    1.0 - one[:, -1] / whole[-1],
                )
                scores = np.minimum(scores, np.stack(every))
            for k, most in enumerate((NEAREST, ALONE, AT_ENDS, AT_ENDS)):
                rows, before = np.append(kept[k][0], here), np.append(kept[k][1], scores[k])
                order = np.argsort(before, kind="stable")[:most]
                kept[k] = rows[order], before[order]
        listed = np.unique(np.concatenate([rows for rows, _ in kept]))
        return listed, self._weighted(self._measured.read_on_one_axis(listed)[0])


def _alone(along: Array, size: Array) -> Array:
    return np.asarray(np.where(along > 0, np.square(along) / size[:, None], 0.0).sum(axis=1))


def _relative_variance(mean: Array, variance: Array) -> Array:
    """Return the median variance at each energy, relative to the square of each spectrum's largest value."""
    largest = np.square(mean).max(axis=1, keepdims=True)
    return np.asarray(np.nanmedian(variance / np.where(largest > 0, largest, 1.0), axis=0))
