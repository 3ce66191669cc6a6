"""A predicted spectrum to export in any format: its columns and header."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xanes_hpc.spectra.distribution import GAUSSIAN, Distribution
from xanes_hpc.spectra.spectrum import treatment, treatment_name

Array = npt.NDArray[np.float64]
LEVEL = 0.9545
"""Nominal coverage of the interval in files."""


@dataclass(frozen=True)
class PredictedSpectrum:
    """A site's predicted spectrum.

    Attributes
    ----------
    site, formula
        Name of the site, and formula of its structure, which may be empty.
    element, edge, kind
        Symbol of the absorber; ``K``, ``L3``, …; ``xanes`` or ``xes``.
    energies : (n_energies,), eV
        Absolute if e0 is known, else relative to it.
    e0
        Edge energy in eV; NaN if unknown.
    mean, std : (n_energies,)
        Predicted spectrum and its calibrated standard deviation.
    reference : (n_energies,), or None
        Reference spectrum, if there is one.
    treatment, unit
        As in ``spectra.spectrum.Spectrum``.
    provenance
        Origin of the spectrum: the program, the model's digest, and so on.
    distrust
        Why the prediction is out of domain; empty if it is not.
    distribution
        Distribution of errors in standard deviations.
    """

    site: str
    formula: str
    element: str
    edge: str
    kind: str
    energies: Array
    e0: float
    mean: Array
    std: Array
    reference: Array | None
    treatment: str
    unit: str
    provenance: Mapping[str, str]
    distrust: str = ""
    distribution: Distribution = GAUSSIAN

    @property
    def interval(self) -> dict[str, Array]:
        """Lower and upper ends of the interval with the level ``LEVEL``, (n_energies,), by name."""
        half = self.distribution.half_width(LEVEL) * self.std
        return {"low95": self.mean - half, "high95": self.mean + half}

    @property
    def absolute(self) -> bool:
        """Whether energies are absolute."""
        return bool(np.isfinite(self.e0))

    @property
    def header(self) -> dict[str, str]:
        """The items of a file's header, by name."""
        header = {"site": self.site, "kind": self.kind, "edge": f"{self.element} {self.edge}"}
        if self.formula:
            header["formula"] = self.formula
        if self.absolute:
            header["e0"] = f"{self.e0:.10g} eV"
        else:
            header["energies"] = "relative to the edge, whose energy is not known"
        header |= {"treatment": treatment_name(self.treatment), "unit": self.unit, **self.provenance}
        if self.treatment.startswith("{") and self.treatment != treatment(header["treatment"]):
            header["treatment_in_full"] = self.treatment
        if self.distrust:
            header["not_to_be_trusted"] = self.distrust
        return {name: " ".join(value.split()) for name, value in header.items()}

    def columns(self, intensity: str) -> dict[str, Array]:
        """Return the columns by name: energy, ``intensity`` with standard deviation and interval, and any reference."""
        found = {"energy": self.energies, intensity: self.mean, f"{intensity}_std": self.std}
        found |= {f"{intensity}_{end}": values for end, values in self.interval.items()}
        if self.reference is not None:
            found["reference"] = self.reference
        return found


def rows_of_numbers(columns: Mapping[str, Array], separator: str = "  ") -> str:
    """Return lines of numbers with nine digits each."""
    table = np.stack(list(columns.values()), axis=1)
    return "".join(separator.join(f"{value:.9g}" for value in row) + "\n" for row in table.tolist())
