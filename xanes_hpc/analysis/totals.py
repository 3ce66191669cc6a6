"""Figures of merit that are sums over points, of spectra that arrive in blocks: memory does not grow with the sites.

Arrays of a block are (n_sites, n_energies); points whose reference is NaN are ignored.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.analysis.peaks import Mean, PeakTotals
from xanes_hpc.spectra.distribution import LEVELS, Distribution

Array = npt.NDArray[np.float64]

QUANTILES = np.linspace(0.05, 0.95, 19)
DRAWN = (0.6827, 0.9545, 0.9973)
"""Levels of the intervals whose coverage is given at each energy."""
SMALLEST = 1e-12
"""Smallest sigma, so that a sigma of zero does not divide."""


class Differences:
    """Differences of predictions from references, and from the mean of all references."""

    def __init__(self) -> None:
        self._absolute, self._squared = Mean(), Mean()
        self._centre: float | None = None
        self._sums = np.zeros(3)

    def add(self, reference: Array, mean: Array) -> None:
        """Add spectra."""
        difference = reference - mean
        self._absolute.add(np.abs(difference))
        self._squared.add(difference**2)
        known = reference[np.isfinite(reference)]
        if self._centre is None and known.size:
            self._centre = float(known.mean())
        apart = known - (self._centre or 0.0)
        self._sums += apart.size, apart.sum(), (apart**2).sum()

    @property
    def n_points(self) -> int:
        """Number of points with a reference."""
        return int(self._sums[0])

    def figures(self) -> dict[str, float | None]:
        """Return mean absolute and squared error, and the coefficient of determination R²."""
        n, total, squares = self._sums
        spread = max(0.0, squares - total**2 / n) / n if n else 0.0
        mse = self._squared.value
        r2 = None if mse is None or spread <= 0.0 else 1.0 - mse / spread
        return {"mae": self._absolute.value, "mse": mse, "r2": r2}


class DerivativeTotals:
    """Errors of the spectra's derivatives, which measure line shape.

    Parameters
    ----------
    energies : (n_energies,)
        Energies, eV.
    """

    def __init__(self, energies: Array) -> None:
        self._energies, self._first, self._second = energies, Mean(), Mean()

    def add(self, reference: Array, mean: Array) -> None:
        """Add spectra."""
        first = np.gradient(mean - reference, self._energies, axis=1)
        self._first.add(np.abs(first))
        self._second.add(np.abs(np.gradient(first, self._energies, axis=1)))

    def figures(self) -> dict[str, float | None]:
        """Return mean absolute errors of the first (per eV) and second (per eV²) derivatives."""
        return {"first_mae": self._first.value, "second_mae": self._second.value}


class UncertaintyTotals:
    """Coverage and width of intervals, calibration error and continuous ranked probability score (CRPS).

    Parameters
    ----------
    distribution
        Distribution of errors in sigmas.
    conformal
        Level and score (in sigmas) of each conformal interval.
    has_draws
        Whether draws are added. If so, calibration error and CRPS are theirs, not those of ``distribution``.
    """

    def __init__(self, distribution: Distribution, conformal: Sequence[dict[str, float]], has_draws: bool) -> None:
        self._distribution, self._has_draws = distribution, has_draws
        self._intervals = [(level, distribution.half_width(level)) for level in LEVELS]
        self._conformal = [(one["level"], one["score"]) for one in conformal]
        self._half_widths = np.array([1.0, 2.0, 3.0, *(width for _, width in (*self._intervals, *self._conformal))])
        self._within, self._reached = np.zeros(self._half_widths.size), np.zeros(QUANTILES.size)
        self._limits = distribution.quantiles(QUANTILES)
        self._n, self._sigmas, self._scores = 0, 0.0, 0.0

    def add(self, reference: Array, mean: Array, std: Array, draws: Iterable[Array] | None = None) -> None:
        """Add spectra with calibrated sigma, and one array (n_draws, n_energies) of calibrated draws for each."""
        there = np.isfinite(reference)
        sigma = np.maximum(std[there], SMALLEST)
        z = (reference[there] - mean[there]) / sigma
        self._n += z.size
        self._sigmas += float(sigma.sum())
        self._within += [np.count_nonzero(np.abs(z) <= width) for width in self._half_widths]
        if draws is None:
            self._scores += float((sigma * self._distribution.crps(z)).sum())
            self._reached += [np.count_nonzero(z <= limit) for limit in self._limits]
            return
        for y, known, drawn in zip(reference, there, draws, strict=True):
            own = drawn[:, known]
            self._scores += float(crps_draws(y[known], own).sum())
            self._reached += (y[known] <= np.quantile(own, QUANTILES, axis=0)).sum(axis=1)

    def figures(self) -> dict[str, Any]:
        """Return the figures, over all points."""
        n = max(1, self._n)
        within, reached, sigma = self._within / n, self._reached / n, self._sigmas / n
        every = zip((*self._intervals, *self._conformal), within[3:], strict=True)
        intervals = [
            {"level": level, "coverage": float(covered), "mean_width": 2.0 * width * sigma}
            for (level, width), covered in every
        ]
        return {
            "coverage": {f"{k}sigma": float(covered) for k, covered in zip((1, 2, 3), within[:3], strict=True)},
            "intervals": intervals[: len(self._intervals)],
            "conformal": intervals[len(self._intervals) :],
            "calibration_error": float(np.mean(np.abs(reached - QUANTILES))),
            "crps": self._scores / n,
            "distribution": "draws" if self._has_draws else self._distribution.name,
            "degrees": self._distribution.value,
            "sharpness": {f"{k}sigma": 2.0 * k * sigma for k in (1, 2, 3)},
            "reliability": {"quantile": QUANTILES.tolist(), "reached": reached.tolist()},
        }


class CoverageByEnergy:
    """The fraction of sites in intervals at each energy.

    Parameters
    ----------
    distribution
        Distribution of errors in sigmas.
    energies : (n_energies,)
        Energies, eV.
    """

    def __init__(self, distribution: Distribution, energies: Array) -> None:
        self._energies, self._n_sites = energies, np.zeros(energies.size)
        self._half_widths = {f"{level:g}": distribution.half_width(level) for level in DRAWN}
        self._covered = {name: np.zeros(energies.size) for name in self._half_widths}

    def add(self, reference: Array, mean: Array, std: Array) -> None:
        """Add spectra."""
        z = np.abs(reference - mean) / np.maximum(std, SMALLEST)
        self._n_sites += np.isfinite(reference).sum(axis=0)
        for name, width in self._half_widths.items():
            self._covered[name] += (z <= width).sum(axis=0)

    def figures(self) -> dict[str, list[float | None]]:
        """Return the fraction of sites in the intervals of ``DRAWN``; None where no site has a reference."""
        there = self._n_sites > 0
        curves = {name: curve(n[there] / self._n_sites[there], there) for name, n in self._covered.items()}
        return {"energy_ev": self._energies.tolist(), **curves}


class Totals:
    """All of these figures, and those of peaks.

    Parameters
    ----------
    energies, distribution, conformal, has_draws
        As for ``UncertaintyTotals`` and ``CoverageByEnergy``.
    """

    def __init__(
        self, energies: Array, distribution: Distribution, conformal: Sequence[dict[str, float]], has_draws: bool
    ) -> None:  # fmt: skip
        self._differences, self._derivatives = Differences(), DerivativeTotals(energies)
        self._peaks = PeakTotals(energies)
        self._uncertainty = UncertaintyTotals(distribution, conformal, has_draws)
        self._coverage = CoverageByEnergy(distribution, energies)

    @property
    def n_points(self) -> int:
        """Number of points with a reference."""
        return self._differences.n_points

    def add(self, reference: Array, mean: Array, std: Array, draws: Iterable[Array] | None = None) -> None:
        """Add spectra with calibrated sigma, and calibrated draws."""
        self._differences.add(reference, mean)
        self._derivatives.add(reference, mean)
        self._peaks.add(reference, mean)
        self._uncertainty.add(reference, mean, std, draws)
        self._coverage.add(reference, mean, std)

    def figures(self) -> dict[str, Any]:
        """Return the figures as nested plain values."""
        return {
            **self._differences.figures(),
            "peaks": self._peaks.figures(),
            "derivatives": self._derivatives.figures(),
            **self._uncertainty.figures(),
            "coverage_by_energy": self._coverage.figures(),
        }


def crps_draws(reference: Array, draws: Array) -> Array:
    """Return the unbiased CRPS of one spectrum's draws (n_draws, n_energies): E|X - y| - E|X - X'| / 2."""
    n = len(draws)
    ordered = np.sort(draws, axis=0)
    ranks = 2.0 * np.arange(1, n + 1)[:, None] - n - 1.0
    spread = (ranks * ordered).sum(axis=0) / (n * (n - 1))
    return np.asarray(np.abs(draws - reference).mean(axis=0) - spread)


def curve(values: Array, there: npt.NDArray[np.bool_]) -> list[float | None]:
    """Return the values as a list, with None at energies that have no value."""
    found = iter(values.tolist())
    return [next(found) if known else None for known in there]
