"""The energy grid of a model, and resampling of spectra to it."""

from dataclasses import dataclass
from math import ceil

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import SpectrumError
from xanes_hpc.spectra.spectrum import PlacedSpectrum

Array = npt.NDArray[np.float64]

FEWEST = 2
MOST = 100_000
TOLERANCE = 0.51
"""Fraction of a step by which a spectrum may fall short of the grid's ends, because files round energies."""
FIRST_VALUE, LAST_VALUE = "first value", "last value"
"""Padding below a spectrum's first energy, and above its last."""
OUTLIERS = 0.05
"""Fraction of spectra that the default grid may leave out at each end."""
NEAR = 10.0
"""Distance in eV from e0 within which the steps of spectra set the default grid's step."""
FEWEST_NEAR = 5
FINER = 0.9
"""Steps near the edge count if their mean is below this fraction of the mean step; other differences are rounding."""
MOST_REFINED = 2000
"""Largest number of steps to which finer steps near the edge may extend over a whole spectrum."""


@dataclass(frozen=True)
class Grid:
    """Ascending energies in eV, (n_energies,), relative to the edge (``origin`` is ``e0``) or ``absolute``.

    Spectra that begin above the first energy or end below the last have NaN there, unless ``below`` is
    ``first value`` or ``above`` is ``last value``: then they continue with that value.
    """

    energies: Array
    origin: str = "e0"
    below: str | None = None
    above: str | None = None

    @property
    def step(self) -> float:
        """The mean distance between neighbouring energies, eV."""
        return float((self.energies[-1] - self.energies[0]) / (self.energies.size - 1))

    def resample(self, placed: PlacedSpectrum) -> Array:
        """Return the spectrum on this grid by linear interpolation, padded or with NaN beyond its ends."""
        energies = scale(placed, self.origin)
        first, last = energies[0], energies[-1]
        resampled = np.interp(self.energies, energies, placed.spectrum.intensities)
        slack = self._slack(first, last, energies.size)
        apart = last < self.energies[0] or first > self.energies[-1]
        for outside, padded in (
            (self.energies < first - slack, self.below is not None),
            (self.energies > last + slack, self.above is not None),
        ):
            if not padded or apart:
                resampled[outside] = np.nan
        return resampled

    def shortfalls(self, first: Array, last: Array, n_points: npt.NDArray[np.int64]) -> tuple[Array, Array]:
        """Return how far spectra begin above the grid's first energy, and end below its last; eV, 0 if they do not.

        Parameters
        ----------
        first, last, n_points
            First and last energy on the grid's scale (eV), and number of points of each spectrum, (n_spectra,).
        """
        slack = self._slack(first, last, n_points)
        below, above = first - self.energies[0], self.energies[-1] - last
        return np.where(below > slack, below, 0.0), np.where(above > slack, above, 0.0)

    def _slack(self, first: float | Array, last: float | Array, n_points: int | npt.NDArray[np.int64]) -> Array:
        return np.asarray(TOLERANCE * np.minimum(self.step, (last - first) / (n_points - 1)))


def scale(placed: PlacedSpectrum, origin: str) -> Array:
    """Return a spectrum's energies in eV, relative to e0 or absolute."""
    return placed.relative if origin == "e0" else placed.relative + placed.e0


def regular(start: float, stop: float, step: float, origin: str) -> Grid:
    """Return the grid from ``start`` to ``stop`` whose step is closest to ``step``.

    Raises
    ------
    SpectrumError
        If the grid has too few or too many energies.
    """
    n = round((stop - start) / step) + 1 if stop > start else 0
    if not FEWEST <= n <= MOST:
        raise SpectrumError(
            f"grid from {start:g} to {stop:g} eV in steps of {step:g} eV: expected {FEWEST} to {MOST} energies, "
            f"received {n}"
        )
    return Grid(np.linspace(start, stop, n), origin)


def shared_grid(starts: Array, stops: Array, steps: Array, origin: str) -> Grid:
    """Return the grid over the range that nearly all spectra cover, with their median step.

    Parameters
    ----------
    starts, stops
        First and last energy of each spectrum, (n_spectra,), eV.
    steps
        Steps of the spectra, or of a sample of them, eV.

    Raises
    ------
    SpectrumError
        If the grid has too few or too many energies.
    """
    return regular(*shared_range(starts, stops), float(np.median(steps)), origin)


def shared_range(starts: Array, stops: Array) -> tuple[float, float]:
    """Return the range of energies, eV, that nearly all spectra cover.

    At each end, at most one spectrum in twenty is left out, and only if the range gains more than is lost: the number
    of spectra times the range is largest.

    Parameters
    ----------
    starts, stops
        First and last energy of each spectrum, (n_spectra,), eV.

    Examples
    --------
    >>> starts, stops = np.zeros(40), np.full(40, 60.0)
    >>> starts[0], starts[1] = 0.5, 30.0
    >>> shared_range(starts, stops)
    (0.5, 60.0)
    """
    start, stop = _latest(starts, float(np.median(stops))), -_latest(-stops, -float(np.median(starts)))
    return round(start, 4), round(stop, 4)


def _latest(starts: Array, stop: float) -> float:
    """Return the start at which the number of spectra times the range up to ``stop`` is largest."""
    latest = np.sort(starts)[ceil((1.0 - OUTLIERS) * (starts.size - 1)) :]
    n_covering = starts.size - np.arange(latest.size)[::-1]
    return float(latest[np.argmax(n_covering * (stop - latest))])


def spanned_range(starts: Array, stops: Array) -> tuple[float, float]:
    """Return the range of energies, eV, that spectra span together, without the few that reach farthest."""
    start, stop = np.quantile(starts, OUTLIERS, method="lower"), np.quantile(stops, 1.0 - OUTLIERS, method="higher")
    return round(float(start), 4), round(float(stop), 4)


def step_near_edge(energies: Array) -> float:
    """Return a spectrum's median step within ``NEAR`` of e0, eV, or its mean step if it is evenly spaced.

    Parameters
    ----------
    energies
        The spectrum's energies relative to e0, eV. If e0 lies outside them, the end nearest to it counts instead.

    Examples
    --------
    >>> step_near_edge(np.array([-30.0, -20.0, -10.0, -1.0, -0.5, 0.0, 0.5, 1.0, 11.0, 21.0]))
    0.5
    >>> step_near_edge(np.linspace(-15.0, 60.0, 226))
    0.3333333333333333
    """
    width = float(energies[-1] - energies[0])
    overall = width / (energies.size - 1)
    near = energies[np.abs(energies - np.clip(0.0, energies[0], energies[-1])) <= NEAR]
    if near.size < FEWEST_NEAR or near[-1] - near[0] > FINER * overall * (near.size - 1):
        return overall
    return min(overall, max(float(np.median(np.diff(near))), width / MOST_REFINED))
