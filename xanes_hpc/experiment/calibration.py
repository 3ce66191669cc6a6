"""Calibrate energies: shift a spectrum so that a reference sample's edge lies at its tabulated energy.

The edge of the reference is the first inflection of its spectrum, the first clear maximum of the slope, at which tables
give the edges of metals. The energies are XrayDB's (Elam, Ravel and Sieber, doi:10.1016/S0969-806X(01)00227-4).
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from xanes_hpc.errors import ConfigError, SpectrumError
from xanes_hpc.spectra import edges
from xanes_hpc.spectra.inflection import first_inflection
from xanes_hpc.spectra.spectrum import Choices, Spectrum
from xanes_hpc.structures.absorbers import element_number

Array = npt.NDArray[np.float64]

LARGEST = 50.0
"""Largest shift, eV: a reference whose edge is farther from the tabulated energy is of another element."""
NEAR = 200.0
"""Largest distance of the reference's edge from a spectrum, eV: the error of a monochromator changes with energy."""
UNUSUAL = 3.0
"""Shift from which a calibration is doubted, eV. All of 18 foils and reference channels lie within 2 eV of the table;
21 of 29 spectra of compounds that are taken for a foil lie more than 3 eV from it."""
CALIBRATED = "energies were calibrated"
DOUBTFUL = "the calibration is unusually large"


@dataclass(frozen=True)
class Foil:
    """The element (atomic number) and edge of a reference sample."""

    element: int
    edge: str

    @classmethod
    def parse(cls, text: str) -> "Foil":
        """Return the foil in a text such as ``Fe``, ``Au L3`` or ``Au-L3``; the edge is K by default.

        Raises
        ------
        ConfigError
            If it is none.

        Examples
        --------
        >>> Foil.parse("Au-L3")
        Foil(element=79, edge='L3')
        """
        symbol, _, edge = text.replace("-", " ").replace(":", " ").strip().partition(" ")
        number, edge = element_number(symbol), edge.strip().upper() or "K"
        if not number or edge not in edges.EDGES:
            raise ConfigError(f"`foil` {text!r}: expected an element and an edge, such as Fe or 'Au L3'")
        return cls(number, edge)

    @property
    def in_words(self) -> str:
        """The foil as a phrase."""
        return f"{chemical_symbols[self.element]} {self.edge}"


@dataclass(frozen=True)
class Calibration:
    """A shift of energies.

    Attributes
    ----------
    shift
        What is added to measured energies, eV.
    found, tabulated
        Energy of the reference's edge as measured and in the table, eV.
    foil
        Its element and edge.
    source
        What was measured.
    """

    shift: float
    found: float
    tabulated: float
    foil: Foil
    source: str

    @property
    def in_words(self) -> str:
        """The calibration as a phrase."""
        return (
            f"by {self.shift:+.2f} eV: {self.foil.in_words} edge of {self.source} found at {self.found:.2f} eV, "
            f"{self.tabulated:g} eV in XrayDB"
        )

    @property
    def doubts(self) -> Choices:
        """Why its reference may not be a foil of the element; nothing if it may."""
        if abs(self.shift) <= UNUSUAL:
            return ()
        detail = f"{self.source}: {self.shift:+.1f} eV; foils lie within 2 eV: is it a foil of {self.foil.in_words}?"
        return ((DOUBTFUL, detail),)

    def as_dict(self) -> dict[str, float | str]:
        """Return plain values, for JSON."""
        return {
            "shift_ev": self.shift, "found_ev": self.found, "tabulated_ev": self.tabulated,
            "foil": self.foil.in_words, "source": self.source,
        }  # fmt: skip


def calibration_of(energies: Array, mu: Array, foil: Foil, source: str) -> Calibration:
    """Return the shift that brings the edge of a reference sample to its tabulated energy.

    Parameters
    ----------
    energies, mu
        The reference's spectrum, energies ascending in eV, (n_points,).
    foil
        Its element and edge.
    source
        What was measured, for messages.

    Raises
    ------
    SpectrumError
        If the spectrum has no edge, or one far from the tabulated energy.
    """
    tabulated = edges.edge_energy(foil.element, foil.edge)
    found = first_inflection(energies, mu)
    if found is None:
        raise SpectrumError(
            f"{source}: has no edge between {energies[0]:g} and {energies[-1]:g} eV; expected the {foil.in_words} edge "
            f"near {tabulated:g} eV; calibrate with the scan of a foil, or not at all"
        )
    if abs(tabulated - found) > LARGEST:
        raise SpectrumError(
            f"{source}: its edge at {found:.1f} eV is {abs(tabulated - found):.0f} eV from {foil.in_words}, "
            f"{tabulated:g} eV; give the element and edge of the reference as `foil`"
        )
    return Calibration(tabulated - found, found, tabulated, foil, source)


def by_reference(spectrum: Spectrum, foil: Foil) -> Calibration:
    """Return the calibration by the reference channel that was measured along with a spectrum.

    Raises
    ------
    SpectrumError
        If there is no reference channel, or as ``calibration_of``.
    """
    if spectrum.reference is None:
        raise SpectrumError(
            f"{spectrum.source}: has no usable reference channel; expected irefer beside itrans, or murefer"
        )
    return calibration_of(spectrum.energies, spectrum.reference, foil, f"{spectrum.source}: reference channel")


def calibrated(spectrum: Spectrum, found: Calibration) -> Spectrum:
    """Return a spectrum on calibrated energies; its edge energy moves along.

    Raises
    ------
    SpectrumError
        If its energies are relative to its edge, or far from that of the reference.
    """
    if not edges.is_absolute(spectrum, found.tabulated):
        raise SpectrumError(f"{spectrum.source}: energies are relative to the edge and cannot be calibrated")
    low, high = float(spectrum.energies[0]), float(spectrum.energies[-1])
    if not low - NEAR <= found.found <= high + NEAR:
        raise SpectrumError(
            f"{spectrum.source}: covers {low:g} to {high:g} eV, far from the {found.foil.in_words} edge of "
            f"{found.source} at {found.found:.0f} eV; calibrate with a foil whose edge is near"
        )
    e_edge = None if spectrum.e_edge is None else spectrum.e_edge + found.shift
    moved = replace(spectrum, energies=spectrum.energies + found.shift, e_edge=e_edge, absolute=True)
    moved = moved.told(CALIBRATED, found.in_words)
    return replace(moved, choices=(*moved.choices, *found.doubts))
