"""The energy grid of a model, and resampling of spectra to it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import SpectrumError
from xanes_hpc.spectra.spectrum import PlacedSpectrum

FEWEST = 2
MOST = 100_000
TOLERANCE = 0.51
"""Fraction of a step by which a spectrum may fall short of the grid's ends, because files round energies."""


@dataclass(frozen=True)
class Grid:
    """Ascending energies in eV, (n_energies,), relative to the edge (``origin`` is ``e0``) or ``absolute``."""

    energies: npt.NDArray[np.float64]
    origin: str = "e0"

    @property
    def step(self) -> float:
        """The mean distance between neighbouring energies, eV."""
        return float((self.energies[-1] - self.energies[0]) / (self.energies.size - 1))

    def resample(self, placed: PlacedSpectrum) -> npt.NDArray[np.float64]:
        """Return the spectrum on this grid by linear interpolation, with NaN beyond its ends."""
        energies = scale(placed, self.origin)
        resampled = np.interp(self.energies, energies, placed.spectrum.intensities)
        slack = TOLERANCE * min(self.step, float(np.median(np.diff(energies))))
        outside = (self.energies < energies[0] - slack) | (self.energies > energies[-1] + slack)
        resampled[outside] = np.nan
        return resampled


def scale(placed: PlacedSpectrum, origin: str) -> npt.NDArray[np.float64]:
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


def shared_grid(
    starts: npt.NDArray[np.float64], stops: npt.NDArray[np.float64], steps: npt.NDArray[np.float64], origin: str
) -> Grid:
    """Return the grid that at least nine in ten spectra cover, with their median step.

    Parameters
    ----------
    starts, stops, steps
        First and last energy and mean step of each spectrum, (n_spectra,), eV.
    """
    start, stop = np.quantile(starts, 0.95, method="higher"), np.quantile(stops, 0.05, method="lower")
    return regular(round(float(start), 4), round(float(stop), 4), float(np.median(steps)), origin)
