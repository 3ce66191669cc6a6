"""What is written of one predicted spectrum, whatever the format, and its plain columns."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xanes_hpc.spectra.spectrum import treatment, treatment_name

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PredictedSpectrum:
    """A site's predicted spectrum.

    Attributes
    ----------
    site, formula
        Names of the site and its structure's formula; the latter may be empty.
    element, edge, kind
        Symbol of the absorber, ``K``, ``L3``, … and ``xanes`` or ``xes``.
    energies : (n_energies,), eV
        Absolute, where e0 is known, else relative to it.
    e0
        Edge energy in eV; NaN where it is not known.
    mean, std : (n_energies,)
        With its calibrated standard deviation.
    reference : (n_energies,), or None
        What it was compared with.
    treatment, unit
        As in ``records``.
    provenance
        The program, the model's digest and whatever else tells where it comes from.
    distrust
        Why it should not be trusted; empty where nothing speaks against it.
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

    @property
    def absolute(self) -> bool:
        """Whether energies are absolute."""
        return bool(np.isfinite(self.e0))

    @property
    def told(self) -> dict[str, str]:
        """What a header says beyond the field's own items."""
        told = {"site": self.site, "kind": self.kind, "edge": f"{self.element} {self.edge}"}
        if self.formula:
            told["formula"] = self.formula
        if self.absolute:
            told["e0"] = f"{self.e0:.10g} eV"
        else:
            told["energies"] = "relative to the edge, whose energy is not known"
        told |= {"treatment": treatment_name(self.treatment), "unit": self.unit, **self.provenance}
        if self.treatment.startswith("{") and self.treatment != treatment(told["treatment"]):
            told["treatment_in_full"] = self.treatment
        if self.distrust:
            told["not_to_be_trusted"] = self.distrust
        return {name: " ".join(value.split()) for name, value in told.items()}

    def columns(self, intensity: str) -> dict[str, Array]:
        """Energies, intensities under a name, their standard deviation, and the reference where there is one."""
        found = {"energy": self.energies, intensity: self.mean, f"{intensity}_std": self.std}
        if self.reference is not None:
            found["reference"] = self.reference
        return found


def rows_of_numbers(columns: Mapping[str, Array], separator: str = "  ") -> str:
    """Lines of numbers, nine digits each."""
    table = np.stack(list(columns.values()), axis=1)
    return "".join(separator.join(f"{value:.9g}" for value in row) + "\n" for row in table.tolist())
