"""Spectra in memory, as read from foreign files, with their treatment and energy scale."""

import json
import re
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import SpectrumError

NO_TREATMENT = "none"
"""Treatment of a spectrum that is neither broadened nor normalised."""


def treatment(name: str, **recipe: object) -> str:
    """Return the canonical JSON text of a treatment: its name and how a spectrum was broadened and normalised."""
    return json.dumps({"name": name, **recipe}, sort_keys=True, separators=(",", ":"))


def treatment_name(text: str) -> str:
    """Return the name in a treatment's text; ``none`` for no treatment."""
    if text == NO_TREATMENT:
        return text
    try:
        return str(json.loads(text)["name"])
    except (ValueError, KeyError, TypeError):
        return text


ARBITRARY, NORMALISED = "arbitrary", "normalised"
"""Units of intensities as measured, and as divided by their edge step."""
NORMALISED_TITLES = re.compile(r"norm(trans|fluor|refer|ali[sz]ed(mu|xmu|absorption)?)?|(mu|xmu)norm|flat(tened)?")
"""Plain titles of normalised spectra."""
NO_UNIT = frozenset((
    "", "arbitrary", "arb", "arb.", "arb.units", "arb.u.", "arb.u", "arbitraryunits", "a.u.", "a.u", "au", "none", "-",
    "1", "dimensionless", "unitless", "any",
))  # fmt: skip
"""Texts for no unit."""


def unit_from(title: str, stated: str = "") -> str:
    """Return the unit of intensities by the plain title of their column, and the unit that the file states.

    Examples
    --------
    >>> unit_from("mu"), unit_from("flat"), unit_from("mu", "Mbarn"), unit_from("mu", "a.u.")
    ('arbitrary', 'normalised', 'Mbarn', 'arbitrary')
    """
    if "".join(stated.lower().split()) not in NO_UNIT:
        return NORMALISED if stated.strip().lower() in ("normalised", "normalized") else stated.strip()
    return NORMALISED if NORMALISED_TITLES.fullmatch(title) else ARBITRARY


def units_differ(unit: str, reference_unit: str) -> str:
    """Return what to say if predictions and references have different units."""
    return (
        f"the predictions are in the unit {unit}, the references in {reference_unit}: their errors mix units; "
        "predict with references in the model's unit"
    )


UNSTATED = treatment("unstated")
"""Treatment of a spectrum whose file does not record one."""


Choices = tuple[tuple[str, str], ...]
"""What a reader chose: pairs of a phrase, the same for all files of a kind, and its detail."""


@dataclass(frozen=True)
class Spectrum:
    """One spectrum as read from its file.

    Attributes
    ----------
    energies : (n_points,) float64, eV
    intensities : (n_points,) float64, in ``unit``
    kind
        ``xanes`` or ``xes``.
    treatment
        ``none``, or JSON from ``treatment()``.
    e_edge
        Edge energy in eV that the file gives, if any.
    e_cut
        Energy in eV above which states are empty and broadening begins, if the file gives it: from ``e_edge``, or on
        the spectrum's own scale where there is no ``e_edge``.
    absolute
        True if energies are absolute, False if they are relative to the edge, None if the file does not say.
    source
        Name of the file.
    element
        Atomic number of the absorber that the file names, if any.
    edge
        Edge that the file names, if any; ``L`` and the like stand for any edge of the shell.
    choices
        What the reader chose where the file allowed more than one reading: pairs of a phrase and its detail.
    sigma : (n_points,) float64, in ``unit``, or None
        Standard deviation of each intensity.
    reference : (n_points,) float64, or None
        Absorption of the reference sample that was measured along.
    mode
        ``transmission``, ``fluorescence`` or ``reference``; empty if the file does not say.
    """

    energies: npt.NDArray[np.float64]
    intensities: npt.NDArray[np.float64]
    kind: str = "xanes"
    treatment: str = UNSTATED
    unit: str = ARBITRARY
    e_edge: float | None = None
    e_cut: float | None = None
    absolute: bool | None = None
    source: str = ""
    element: int | None = None
    edge: str | None = None
    choices: Choices = ()
    sigma: npt.NDArray[np.float64] | None = None
    reference: npt.NDArray[np.float64] | None = None
    mode: str = ""

    def at_points(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> "Spectrum":
        """Return the spectrum at chosen points, given by a mask or by their numbers in order.

        Examples
        --------
        >>> found = Spectrum(np.arange(3.0), np.ones(3), sigma=np.array([0.1, 0.2, 0.3])).at_points(np.array([0, 2]))
        >>> found.energies.tolist(), found.sigma.tolist()
        ([0.0, 2.0], [0.1, 0.3])
        """
        return replace(
            self,
            energies=np.ascontiguousarray(self.energies[chosen]),
            intensities=np.ascontiguousarray(self.intensities[chosen]),
            sigma=None if self.sigma is None else np.ascontiguousarray(self.sigma[chosen]),
            reference=None if self.reference is None else np.ascontiguousarray(self.reference[chosen]),
        )

    def told(self, what: str, detail: str) -> "Spectrum":
        """Return the spectrum with a further choice, which names its file.

        Examples
        --------
        >>> Spectrum(np.arange(3.0), np.ones(3), source="a.xdi").told("points were left out", "2").choices
        (('points were left out', 'a.xdi: 2'),)
        """
        return replace(self, choices=(*self.choices, (what, f"{self.source}: {detail}")))


@dataclass(frozen=True)
class PlacedSpectrum:
    """A spectrum with a known energy scale.

    Energies relative to e0 are ``energies + shift - e0`` if ``energy_origin`` is ``absolute``, and ``energies`` if it
    is ``e0``. ``e_cut`` is relative to e0 (eV); NaN if unknown.
    """

    spectrum: Spectrum
    e0: float
    e0_source: str
    energy_origin: str
    shift: float = 0.0
    e_cut: float = float("nan")

    @property
    def relative(self) -> npt.NDArray[np.float64]:
        """The energies relative to e0, eV."""
        if self.energy_origin == "e0":
            return self.spectrum.energies
        return self.spectrum.energies + (self.shift - self.e0)


def parse_treatment(text: str | None) -> str | None:
    """Return the text of a treatment that a user gives as ``none``, a plain name, or JSON with a name; None stays None.

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
        raise SpectrumError(f"`treatment` {text!r}: expected none, a name, or JSON with a name") from None
