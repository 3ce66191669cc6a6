"""Requests that compare measured spectra with predicted ones."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from xanes_hpc.errors import FormatError
from xanes_hpc.experiment.fit_curve import BASELINES
from xanes_hpc.experiment.normalised import METHODS, NormaliseOptions
from xanes_hpc.pages.requests import Broadening, Finite, SiteRequest, Strict
from xanes_hpc.spectra import edges
from xanes_hpc.spectra.recipe import MOST_ORDER
from xanes_hpc.spectra.spectrum import Spectrum
from xanes_hpc.structures.absorbers import element_number

MOST_POINTS = 200_000
MOST_SPECTRA = 200
"""Largest number of predictions that one measured spectrum is matched with."""
Energies = Annotated[list[Finite], Field(min_length=2, max_length=MOST_POINTS)]
Intensities = Annotated[
    list[Annotated[float, Field(allow_inf_nan=False, ge=-1e30, le=1e30)]],
    Field(min_length=2, max_length=MOST_POINTS),
]
Window = tuple[Finite, Finite]
Scale = Literal["factor", "line"]
Origin = Literal["e0", "absolute"]
Symbol = Annotated[str | None, Field(max_length=3)]
Edge = Annotated[str | None, Field(max_length=4)]
LARGEST_SHIFT = 30.0
"""Largest shift that can be asked for, eV."""
MaxShift = Annotated[float, Field(allow_inf_nan=False, ge=0, le=LARGEST_SHIFT)]


class Curve(Strict):
    """A measured spectrum: intensities at energies in eV, either absolute or from the edge."""

    energies: Energies
    intensities: Intensities
    absolute: bool | None = None

    def spectrum(self) -> Spectrum:
        """Return the spectrum.

        Raises
        ------
        FormatError
            If it has not as many intensities as energies.
        SpectrumError
            If the energies do not ascend, or fewer than two differ.
        """
        if len(self.energies) != len(self.intensities):
            raise FormatError("experiment: expected as many intensities as energies")
        found = Spectrum(
            np.array(self.energies), np.array(self.intensities), absolute=self.absolute, source="the measured spectrum"
        )
        edges.check(found)
        return found


class NormaliseRequest(Strict):
    """A measured spectrum as read, and how to normalise it; windows are in eV from the edge, e0 is in eV."""

    experiment: Curve
    element: Symbol = None
    edge: Edge = None
    method: Annotated[str, Field(json_schema_extra={"enum": list(METHODS)}, max_length=20)] = METHODS[0]
    e0: Finite | None = None
    pre: Window | None = None
    post: Window | None = None
    order: Annotated[int | None, Field(ge=0, le=MOST_ORDER)] = None
    flatten: bool = True

    def options(self) -> NormaliseOptions:
        """Return the options of the normalisation; it checks them."""
        return NormaliseOptions(self.method, self.e0, self.pre, self.post, self.order, self.flatten)

    def number(self) -> int | None:
        """Return the atomic number of the element, if it is named.

        Raises
        ------
        FormatError
            If there is no such element.
        """
        if self.element is None:
            return None
        number = element_number(self.element)
        if not number:
            raise FormatError(f"element: expected a symbol such as Fe, received {self.element!r}")
        return number


class Predicted(Strict):
    """A predicted spectrum on the model's grid: mean and standard deviation, and its edge energy in eV."""

    name: Annotated[str, Field(max_length=400)] = "prediction"
    energies: Energies
    mean: Intensities
    std: Intensities
    e0: Finite | None = None
    flag: Annotated[str, Field(max_length=1000)] = ""

    def check(self) -> None:
        """Check that the numbers belong together.

        Raises
        ------
        FormatError
            If they do not.
        """
        if len({len(self.energies), len(self.mean), len(self.std)}) > 1:
            raise FormatError(f"{self.name}: expected as many means and standard deviations as energies")
        if not (np.diff(self.energies) > 0).all():
            raise FormatError(f"{self.name}: energies: expected ascending values")
        if min(self.std) < 0:
            raise FormatError(f"{self.name}: std: expected values of 0 or more")


class AlignRequest(Strict):
    """A measured spectrum, and the predicted one to align it with; with ``shift`` (eV), exactly there."""

    experiment: Curve
    predicted: Predicted
    origin: Origin = "e0"
    scale: Scale = "factor"
    shift: Annotated[float | None, Field(allow_inf_nan=False, ge=-1000, le=1000)] = None
    max_shift: MaxShift = 10.0


class MatchRequest(Strict):
    """A measured spectrum, and the predictions to rank; without any, those of the server's library.

    In a library of several elements or edges, ``element`` and ``edge`` choose.
    """

    experiment: Curve
    predictions: Annotated[list[Predicted], Field(max_length=MOST_SPECTRA)] = Field(default_factory=list)
    element: Symbol = None
    edge: Edge = None
    origin: Origin = "e0"
    scale: Scale = "factor"
    max_shift: MaxShift = 5.0
    keep: Annotated[int, Field(ge=1, le=50)] = 10


class FitRequest(SiteRequest):
    """A site whose predicted spectrum is broadened to fit a measured one."""

    experiment: Curve
    broadening: Broadening = Broadening(name="gaussian", gaussian=1.0)
    baseline: Annotated[str, Field(json_schema_extra={"enum": list(BASELINES)}, max_length=20)] = "none"
    max_shift: MaxShift = 10.0
