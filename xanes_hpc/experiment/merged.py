"""How to merge scans, and what comes of it."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import ConfigError
from xanes_hpc.experiment.calibration import Calibration
from xanes_hpc.experiment.energy import NONE, EnergyOptions
from xanes_hpc.experiment.measured_files import LeftOut
from xanes_hpc.experiment.normalised import NormaliseOptions
from xanes_hpc.experiment.scans import ALIGNMENTS, BEST
from xanes_hpc.spectra.alignment import LARGEST
from xanes_hpc.spectra.spectrum import Choices, Spectrum

Array = npt.NDArray[np.float64]
EQUAL, NOISE = WEIGHTS = ("equal", "noise")


@dataclass(frozen=True)
class MergeOptions:
    """How to merge scans.

    Attributes
    ----------
    energy
        Calibration and glitches.
    align
        ``reference``, ``sample``, ``none``, or ``best``, as for ``scans.aligned``.
    max_shift
        Largest shift of a scan, eV.
    rebin
        Whether to average onto the field's three regions of energies; by default those of the first scan.
    step
        Step of even energies to average onto, eV.
    weights
        ``equal``, or ``noise``: by each scan's own noise.
    normalisation
        How to normalise each scan before the average.
    """

    energy: EnergyOptions = field(default_factory=EnergyOptions)
    align: str = BEST
    max_shift: float = LARGEST
    rebin: bool = False
    step: float | None = None
    weights: str = EQUAL
    normalisation: NormaliseOptions = field(default_factory=lambda: NormaliseOptions(NONE))

    def check(self) -> None:
        """Check the values.

        Raises
        ------
        ConfigError
            If one is not possible.
        """
        self.energy.check()
        self.normalisation.check()
        for name, value, known in (("align", self.align, ALIGNMENTS), ("weights", self.weights, WEIGHTS)):
            if value not in known:
                raise ConfigError(f"`{name}` {value!r}: expected one of {', '.join(known)}")
        if not 0 < self.max_shift < np.inf:
            raise ConfigError(f"`max_shift`: expected a shift above 0 eV, received {self.max_shift:g}")
        if self.rebin and self.step is not None:
            raise ConfigError("`rebin` and `step` exclude each other")
        if self.step is not None and not 0 < self.step < np.inf:
            raise ConfigError(f"`step`: expected a step above 0 eV, received {self.step:g}")


@dataclass(frozen=True)
class MergedScan:
    """A scan in an average.

    Attributes
    ----------
    name
        Its name.
    shift
        What was added to its energies to align it, eV.
    aligned_by
        ``reference``, ``sample``, or nothing.
    weight
        Its weight; those of all scans add up to 1.
    n_glitches
        Number of points left out as glitches.
    scale
        Its scale over that of the mean.
    residual
        Root mean square of its residual beside the mean, in units of the mean's range.
    correlation
        Correlation of its slopes with those of the other scans around the edge; NaN for a single scan.
    """

    name: str
    shift: float
    aligned_by: str
    weight: float
    n_glitches: int
    scale: float
    residual: float
    correlation: float

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        known = None if np.isnan(self.correlation) else self.correlation
        shift = {"name": self.name, "shift_ev": self.shift}
        return shift | {name: v for name, v in vars(self).items() if name != "shift"} | {"correlation": known}


@dataclass(frozen=True, repr=False)
class Merged:
    """Merged scans.

    Attributes
    ----------
    spectrum
        The mean, whose ``sigma`` is its standard error; None for a single scan without its own.
    scatter : (n_points,)
        Standard deviation of one scan; NaN for a single scan.
    scans, left_out
        The scans in the average, and those that could not be used, with their reasons.
    calibration
        How energies were calibrated after the alignment; None if they were not.
    pooled
        Number of neighbouring points over which standard errors are averaged.
    values : (n_scans, n_points)
        Each scan at the mean's energies, brought to it by a factor and a line.
    choices
        What was decided for each scan.
    """

    spectrum: Spectrum
    scatter: Array
    scans: list[MergedScan]
    left_out: list[LeftOut]
    calibration: Calibration | None
    pooled: int
    values: Array
    choices: list[Choices]

    def __repr__(self) -> str:
        energies = self.spectrum.energies
        error = "" if self.spectrum.sigma is None else f", median sigma {np.median(self.spectrum.sigma):.2g}"
        return (
            f"<Merged {len(self.scans)} scans, {len(self.left_out)} left out: {energies.size} points, "
            f"{energies[0]:.1f} to {energies[-1]:.1f} eV{error}>"
        )

    @property
    def sigma_in_words(self) -> str:
        """What the standard deviations are, as a phrase."""
        sigma, n = self.spectrum.sigma, len(self.scans)
        if sigma is None:
            return "none: a single scan has no scatter"
        middle, size = float(np.median(sigma)), float(np.ptp(self.spectrum.intensities))
        first = f"median {middle:.3g}, {100 * middle / size:.2g} % of the range"
        if n == 1:
            return f"as in the file, {first}"
        pooled = f"; from {self.pooled} neighbouring points each" if self.pooled > 1 else ""
        return f"standard error of the mean of {n}, {first}; scatter of one scan {np.median(self.scatter):.3g}{pooled}"

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        sigma = self.spectrum.sigma
        return {
            "scans": [one.as_dict() for one in self.scans],
            "left_out": [vars(one) for one in self.left_out],
            "calibration": None if self.calibration is None else self.calibration.as_dict(),
            "n_points": int(self.spectrum.energies.size),
            "start_ev": float(self.spectrum.energies[0]),
            "stop_ev": float(self.spectrum.energies[-1]),
            "pooled_points": self.pooled,
            "median_sigma": None if sigma is None else float(np.median(sigma)),
            "median_scatter": None if len(self.scans) == 1 else float(np.median(self.scatter)),
            "unit": self.spectrum.unit,
        }
