"""Compare many predicted spectra with a measured one: chi-square, factor and shift of each.

For a prediction p with standard deviation s, noise f (a fraction of the prediction's largest value) and the measured
spectrum y with standard deviation d at the energies E + shift, all in the prediction's units,

    chi2 = sum over E of (c y - p)² / v,  v = s² + f² + |p|²/|y|² d²

where c >= 0 is the factor that minimises chi2, or 1. Every shift within `max_shift` is tried and the best is kept. The
likelihood criterion adds sum ln(v / c²), so that a wide sigma does not improve the score. In v, the ratio of the norms
(1 if c is) stands for c, and d is that at no shift, so that the best c has a closed form.
"""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import ConfigError, SpectrumError
from xanes_hpc.experiment.match_options import LINE, WITH_FACTOR, MatchOptions
from xanes_hpc.experiment.measured import from_edge
from xanes_hpc.experiment.noise import Noise
from xanes_hpc.spectra import edges
from xanes_hpc.spectra.distribution import GAUSSIAN, Distribution
from xanes_hpc.spectra.spectrum import Spectrum

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

ROWS_AT_ONCE = 8192
FEWEST = 10
"""Smallest number of energies in a comparison."""
E0_DIGITS = 3


class Library(Protocol):
    """Spectra on one grid, with or without standard deviations."""

    energies: Array
    origin: str
    names: list[str]
    e0: Array

    @property
    def distribution(self) -> Distribution:
        """The distribution of errors in standard deviations."""
        return GAUSSIAN

    def references(self, rows: Rows, most: int) -> tuple[Rows, Array]:
        """Return at most ``most`` of the rows that no network was trained on, and their reference spectra.

        Both are empty in a library without such references.
        """
        return rows[:0], np.empty((0, self.energies.size))

    def read(self, rows: Rows) -> tuple[Array, Array | None]:
        """Return mean and standard deviation at ascending rows, each (n_rows, n_energies)."""
        ...


def chunks(rows: Rows) -> Iterator[tuple[int, Rows]]:
    """Yield the rows in chunks, each with the number of rows before it."""
    for start in range(0, rows.size, ROWS_AT_ONCE):
        yield start, rows[start : start + ROWS_AT_ONCE]


class Measured:
    """A measured spectrum on the library's grid, for every edge energy and shift, and its comparison with predictions.

    Attributes
    ----------
    library, options
        The spectra to compare with, and how to compare them.
    energies, shifts
        Energies compared, (n_energies,), and shifts tried, (n_shifts,), in eV.
    noise
        Noise of the measured spectrum.
    """

    def __init__(self, experiment: Spectrum, library: Library, options: MatchOptions, rows: Rows) -> None:
        self._experiment, self.library, self.options = experiment, library, options
        grid = library.energies
        if options.max_shift > grid[-1] - grid[0]:
            raise ConfigError(
                f"`max_shift`: expected at most {grid[-1] - grid[0]:g} eV, the span of the spectra, received "
                f"{options.max_shift:g}"
            )
        step = float(np.median(np.diff(grid)))
        n_shifts = int(options.max_shift / step + 1e-9)
        if options.max_shift and not n_shifts:
            raise ConfigError(
                f"`max_shift`: expected 0 or at least the grid's step of {step:.3g} eV, received {options.max_shift:g}"
            )
        self.shifts = step * np.arange(-n_shifts, n_shifts + 1)
        self._known: dict[float, Array] = {}
        e0 = library.e0[rows]
        known = e0[np.isfinite(e0)]
        if not known.size:
            raise SpectrumError(
                "no site has a known edge energy, so the measured spectrum cannot be placed: expected a finite e0"
            )
        self._typical = round(float(np.median(known)), E0_DIGITS)
        relative = [self._energies(e) for e in (known.min(), known.max())]
        low = max(r[0] for r in relative) - self.shifts[0]
        high = min(r[-1] for r in relative) - self.shifts[-1]
        low = low if options.start is None else max(low, options.start)
        high = high if options.stop is None else min(high, options.stop)
        self._inside = (grid >= low - 1e-9) & (grid <= high + 1e-9)
        if self._inside.sum() < FEWEST:
            raise SpectrumError(
                f"{experiment.source}: overlaps {self._inside.sum()} of the grid's energies in the range compared, "
                f"expected {FEWEST} or more (measured {relative[0][0]:g} to {relative[0][-1]:g} eV, grid "
                f"{grid[0]:g} to {grid[-1]:g} eV ({library.origin}), shifts up to {self.shifts[-1]:g} eV)"
            )
        self.energies = grid[self._inside]
        line = np.stack([np.ones_like(self.energies), self.energies - self.energies.mean()], axis=1)
        self._line: Array = line / np.linalg.norm(line, axis=0)
        self.noise = self._noise()

    def _noise(self) -> Noise:
        """Return the noise at no shift, scaled as the measured spectrum is."""
        at, own, options = self._energies(self._typical), self._experiment, self.options
        y = np.interp(self.energies, at, own.intensities)[None]
        sigma = None if own.sigma is None else np.interp(self.energies, at, own.sigma)[None]
        y, sigma = self.scaled(y, sigma)
        return Noise(y[0], None if sigma is None else sigma[0], options.noise, options.scale in WITH_FACTOR)

    def _energies(self, e0: float) -> Array:
        """Return the measured energies on the grid's energy axis, for a site with this e0."""
        relative = from_edge(self._experiment, e0)
        return relative if self.library.origin == "e0" else relative + e0

    def _e0(self, rows: Rows) -> Array:
        """Return the edge energies of rows, with the median where one is unknown."""
        e0 = self.library.e0[rows]
        return np.asarray(np.round(np.where(np.isfinite(e0), e0, self._typical), E0_DIGITS))

    def at(self, e0: float | None = None) -> Array:
        """Return the measured spectrum at each shift, (n_shifts, n_energies), for a site with this or the median e0."""
        key = self._typical if e0 is None else e0
        if key not in self._known:
            moved = self.energies[None, :] + self.shifts[:, None]
            values = np.interp(moved, self._energies(key), self._experiment.intensities)
            self._known[key] = self.scaled(values)[0]
        return self._known[key]

    def places(self, shift: float) -> Array:
        """Return the measured energies that are compared at a shift, (n_energies,), for a site with the median e0."""
        moved = self.energies + shift
        if not edges.is_absolute(self._experiment, self._typical):
            return np.asarray(moved if self.library.origin == "e0" else moved - self._typical)
        return np.asarray(moved + self._typical if self.library.origin == "e0" else moved)

    def groups(self, rows: Rows) -> Iterator[tuple[npt.NDArray[np.bool_], Array]]:
        """Yield a mask of its rows and the measured spectrum placed for it, for each edge energy among the rows."""
        e0 = self._e0(rows)
        for value in np.unique(e0):
            yield e0 == value, self.at(float(value))

    def beside(self, row: int, shift: float) -> Array:
        """Return the measured spectrum that is compared with a row at a shift, (n_energies,)."""
        at = int(np.argmin(np.abs(self.shifts - shift)))
        return np.asarray(self.at(float(self._e0(np.array([row]))[0]))[at])

    def read(self, rows: Rows) -> tuple[Array, Array | None]:
        """Return predictions at the energies compared, scaled according to the options."""
        return self.taken(*self.library.read(rows))

    def read_on_one_axis(self, rows: Rows) -> tuple[Array, Array | None]:
        """Return predictions as `read` does, on one axis from the median e0 so that they can be summed.

        Beyond a spectrum's end its last value is repeated.
        """
        mean, std = self.library.read(rows)
        if self.library.origin == "e0":
            grid, e0 = self.library.energies, self._e0(rows)
            for i in np.flatnonzero(e0 != self._typical):
                for values in (mean,) if std is None else (mean, std):
                    values[i] = np.interp(grid + self._typical - e0[i], grid, values[i])
        return self.taken(mean, std)

    def taken(self, mean: Array, std: Array | None) -> tuple[Array, Array | None]:
        """Return spectra that the library read at the energies compared, scaled according to the options."""
        return self.scaled(mean[:, self._inside], None if std is None else std[:, self._inside])

    def scaled(self, values: Array, std: Array | None = None) -> tuple[Array, Array | None]:
        """Return spectra (n_rows, n_energies), and their standard deviations, scaled according to the options.

        Each is divided by its own area or range, or its own line is subtracted.
        """
        scale = self.options.scale
        if scale == LINE:
            return values - (values @ self._line) @ self._line.T, std
        if scale in ("factor", "none"):
            return values, std
        if scale == "min-max":
            base, size = values.min(axis=1, keepdims=True), np.ptp(values, axis=1, keepdims=True)
        else:
            base, size = np.zeros((1, 1)), np.abs(values.mean(axis=1, keepdims=True))
        size = np.where(size > 0, size, 1.0)
        return (values - base) / size, None if std is None else std / size

    def variance(self, mean: Array, std: Array | None) -> Array:
        """Return the variance v of the difference of spectra and the measured one, (…, n_energies)."""
        return self.noise.variance(mean, std)

    def compare(self, rows: Rows, mean: Array, std: Array | None) -> tuple[Array, Array, Array, Array]:
        """Return score, summed chi2, factor and shift of each row at its best shift.

        The score is infinite where no positive factor fits.
        """
        variance = self.variance(mean, std)
        chi2, factor, shift = np.empty(rows.size), np.ones(rows.size), np.empty(rows.size)
        for chosen, y in self.groups(rows):
            found = self.agreement(mean[chosen], variance[chosen], y[None])
            chi2[chosen], factor[chosen], shift[chosen] = found[0][:, 0], found[1][:, 0], self.shifts[found[2][:, 0]]
        return self.score(chi2, variance, factor), chi2, factor, shift

    def agreement(self, mean: Array, variance: Array, y: Array) -> tuple[Array, Array, Rows]:
        """Return summed chi2, factor and index of the best shift of each prediction with each of several spectra.

        Parameters
        ----------
        mean, variance
            Predictions and what `variance` returns for them, (n_rows, n_energies).
        y
            Spectra at each shift, (n_spectra, n_shifts, n_energies).

        Returns
        -------
        tuple
            Arrays (n_rows, n_spectra).
        """
        flat, weights = y.reshape(-1, y.shape[-1]), 1.0 / variance
        both, size = (weights * mean) @ flat.T, weights @ np.square(flat).T
        c = np.ones_like(both)
        if self.options.scale in WITH_FACTOR:
            c = np.maximum(both / np.where(size > 0, size, 1.0), 0.0)
        own = np.einsum("ij,ij,ij->i", weights, mean, mean)
        every = (own[:, None] - 2.0 * c * both + np.square(c) * size).reshape(len(mean), len(y), -1)
        at = np.argmin(every, axis=2)
        chi2, factor = (np.take_along_axis(one.reshape(every.shape), at[..., None], 2)[..., 0] for one in (every, c))
        return np.maximum(chi2, 0.0), factor, at

    def score(self, chi2: Array, variance: Array, factor: Array) -> Array:
        """Return the score that ranks rows, lowest first; infinite where a row cannot be ranked."""
        there = np.isfinite(chi2) & (factor > 0)
        if self.options.by == "likelihood":
            n_energies = variance.shape[-1]
            chi2 = chi2 + np.log(variance).sum(axis=-1) - 2.0 * n_energies * np.log(np.where(there, factor, 1.0))
        return np.where(there, chi2, np.inf)


class Best:
    """The rows with the lowest finite scores so far."""

    def __init__(self, n: int) -> None:
        self._n = n
        self._columns: list[npt.NDArray[Any]] = []

    def add(self, *columns: npt.NDArray[Any]) -> None:
        """Add rows, their scores, and any further columns."""
        joined = (
            [np.concatenate(pair) for pair in zip(self._columns, columns, strict=True)] if self._columns else columns
        )
        order = np.argsort(joined[1], kind="stable")[: self._n]
        order = order[np.isfinite(joined[1][order])]
        self._columns = [column[order] for column in joined]

    def found(self) -> list[tuple[Any, ...]]:
        """Return the kept rows with their columns, best first."""
        return list(zip(*(column.tolist() for column in self._columns), strict=True))


def error_between(y: Array, mean: Array) -> float:
    """Return the error of a prediction in % of the measured spectrum, sum |y - mean| / sum |y|."""
    size = float(np.abs(y).sum())
    return 100.0 * float(np.abs(y - mean).sum()) / size if size else float("nan")
