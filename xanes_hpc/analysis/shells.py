"""Radial distribution of the neighbours of sites, and the shells it shows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.neighbours import NeighbourSearch

Array = npt.NDArray[np.float64]

STEP = 0.05
"""Bin width of the histogram, Å."""
SMOOTH, ENOUGH = 0.1, 100
"""Standard deviation (Å) of the Gaussian that smooths a histogram of ``ENOUGH`` or more sites before minima are sought.

For fewer sites it widens as the inverse fifth root of their number (Scott's rule), so chance gaps do not end shells.
"""
PROMINENT = 0.02
"""Smallest depth of a minimum, as a fraction of the largest value."""
MOST = 4
"""Largest number of named shells."""
ORDINALS = ("1st shell", "2nd shell", "3rd shell", "4th shell")


@dataclass(frozen=True)
class Shell:
    """A range of distances from ``start`` to ``stop``, in Å."""

    name: str
    start: float
    stop: float


@dataclass(frozen=True)
class RadialHistogram:
    """Mean number of neighbours per Å at ``distances``, (n_bins,), and the sum of their atomic numbers per Å."""

    distances: Array
    atoms: Array
    weighted: Array
    n_sites: int = ENOUGH


def radial_histogram(store: StructureStore, rows: npt.NDArray[np.int64], cutoff: float) -> RadialHistogram:
    """Return the histogram of distances from the sites at ``rows``, up to a cutoff (Å).

    Raises
    ------
    StoreError
        If the store is damaged.
    """
    edges = np.arange(0.0, cutoff + 0.5 * STEP, STEP)
    atoms, weighted = np.zeros(edges.size - 1), np.zeros(edges.size - 1)
    for row in rows.tolist():
        batch = store.batch(row, row + 1)
        search = NeighbourSearch(batch, cutoff)
        pairs = search.pairs(0, 1, search.counts(0, 1))
        atoms += np.histogram(pairs.distances, edges)[0]
        weighted += np.histogram(pairs.distances, edges, weights=pairs.numbers.astype(float))[0]
    size = max(1, rows.size) * STEP
    return RadialHistogram(0.5 * (edges[1:] + edges[:-1]), atoms / size, weighted / size, max(1, rows.size))


def find_shells(histogram: RadialHistogram, given: Sequence[float] = ()) -> list[Shell]:
    """Return the shells between given distances, or between minima of the smoothed histogram of atomic numbers.

    At most four shells are named; distances past the last form the shell ``beyond``.
    """
    ends = list(given)
    if not ends:
        width = SMOOTH * max(1.0, (ENOUGH / histogram.n_sites) ** 0.2)
        smooth = gaussian_filter1d(histogram.weighted, width / STEP)
        minima, _ = find_peaks(-smooth, prominence=PROMINENT * smooth.max(initial=0.0))
        ends = histogram.distances[minima[:MOST]].tolist()
    starts = [0.0, *ends[:-1]]
    named = [Shell(name, a, b) for name, a, b in zip(ORDINALS, starts, ends, strict=False)]
    last = named[-1].stop if named else 0.0
    return [*named, Shell("beyond" if named else "all", last, float(histogram.distances[-1] + 0.5 * STEP))]
