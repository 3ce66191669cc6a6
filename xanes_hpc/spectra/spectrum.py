"""What is read from foreign files, before it goes into a store."""

import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import SpectrumError

NO_TREATMENT = "none"
"""A spectrum as calculated: neither broadened nor normalised."""


def treatment(name: str, **recipe: object) -> str:
    """The text that says how a spectrum was broadened and normalised: canonical JSON with a name."""
    return json.dumps({"name": name, **recipe}, sort_keys=True, separators=(",", ":"))


def treatment_name(text: str) -> str:
    """The short name in a treatment's text; ``none`` for no treatment."""
    if text == NO_TREATMENT:
        return text
    try:
        return str(json.loads(text)["name"])
    except (ValueError, KeyError, TypeError):
        return text


UNSTATED = treatment("unstated")
"""The file does not say how its spectrum was treated."""


@dataclass(frozen=True)
class Spectrum:
    """One spectrum as read from its file, with what the file says of it.

    Attributes
    ----------
    energies : (n_points,) float64, eV
    intensities : (n_points,) float64, in ``unit``
    kind
        ``xanes`` or ``xes``.
    treatment
        ``none``, or JSON from ``treatment()``.
    e_edge
        The file's own edge energy in eV, if it has one.
    e_cut
        Energy in eV from ``e_edge`` above which states are empty, if the file tells it: where broadening begins.
    absolute
        Whether energies are absolute or count from the edge; None where the file does not say.
    source
        The file's name.
    """

    energies: npt.NDArray[np.float64]
    intensities: npt.NDArray[np.float64]
    kind: str = "xanes"
    treatment: str = UNSTATED
    unit: str = "arbitrary"
    e_edge: float | None = None
    e_cut: float | None = None
    absolute: bool | None = None
    source: str = ""


@dataclass(frozen=True)
class PlacedSpectrum:
    """A spectrum whose energy scale is settled: relative = energies + shift - e0, or energies if they count from e0.

    ``e_cut`` is that of the spectrum, but relative to e0 (eV); NaN where it is not known.
    """

    spectrum: Spectrum
    e0: float
    e0_source: str
    energy_origin: str
    shift: float = 0.0
    e_cut: float = float("nan")

    @property
    def relative(self) -> npt.NDArray[np.float64]:
        """Energies relative to e0, eV."""
        if self.energy_origin == "e0":
            return self.spectrum.energies
        return self.spectrum.energies + (self.shift - self.e0)


def parse_treatment(text: str | None) -> str | None:
    """A treatment as a user gives it: ``none``, a plain name, or JSON with a name; None stays None.

    Raises
    ------
    SpectrumError
        If it is JSON without a name.
    """
    if text is None or text == NO_TREATMENT:
        return text
    if not text.lstrip().startswith("{"):
        return treatment(text)
    try:
        recipe = json.loads(text)
        return treatment(recipe.pop("name"), **recipe)
    except (ValueError, KeyError, TypeError):
        raise SpectrumError(f"treatment {text!r}: expected none, a name, or JSON with a name") from None
