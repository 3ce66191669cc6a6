"""Measured standards: spectra of known compounds, read from files and normalised alike, on one grid."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from xanes_hpc.errors import SpectrumError
from xanes_hpc.experiment.compare import Array, Library, Rows
from xanes_hpc.experiment.measured_files import LeftOut
from xanes_hpc.experiment.normalisation_errors import interpolated, normalisation_errors
from xanes_hpc.experiment.normalised import NormalisedSpectrum, NormaliseOptions, normalised
from xanes_hpc.spectra.spectrum import Spectrum

FEWEST = 10


@dataclass(frozen=True)
class Standard:
    """A measured standard, and the name under which it is listed."""

    name: str
    normal: NormalisedSpectrum

    @property
    def spectrum(self) -> Spectrum:
        """The normalised spectrum."""
        return self.normal.spectrum

    @cached_property
    def _errors(self) -> Array:
        return normalisation_errors(self.normal)

    def errors_at(self, energies: Array) -> Array:
        """Return independent errors of its normalisation, (n_terms, n_energies)."""
        return interpolated(energies, self.spectrum.energies, self._errors)


class StandardsLibrary(Library):
    """Standards as a library, at energies that all of them cover.

    Parameters
    ----------
    standards
        The standards.
    energies
        Energies wanted, eV; those that a standard does not cover are left out.

    Raises
    ------
    SpectrumError
        If fewer than ten energies are left.
    """

    def __init__(self, standards: Sequence[Standard], energies: Array) -> None:
        self.energies, self.origin = covered(standards, energies), "absolute"
        self.names = [own.name for own in standards]
        self.e0 = np.full(len(standards), float(np.median([own.normal.e0 for own in standards])))
        self._standards, self._mean = standards, at_energies(standards, self.energies)

    def read(self, rows: Rows) -> tuple[Array, Array | None]:
        """Return the standards at ascending rows, (n_rows, n_energies), and no standard deviation."""
        return self._mean[rows].copy(), None

    def normalisation_errors(self, row: int) -> Array:
        """Return independent errors of the normalisation of the standard at a row, (n_terms, n_energies)."""
        return self._standards[row].errors_at(self.energies)


def normalised_standards(
    read: Sequence[tuple[str, Spectrum]], sample: NormalisedSpectrum, options: NormaliseOptions, edge: str | None
) -> tuple[list[Standard], list[LeftOut]]:
    """Normalise standards as a sample was, with its edge energy and windows where they cover these.

    The windows are fitted at the sample's energies, so that mixtures of the spectra remain mixtures of the normalised
    ones even if the points of each are not equally dense. A standard that does not cover the windows gets its own.

    Parameters
    ----------
    read
        Names and spectra as read.
    sample
        The measured spectrum, normalised.
    options
        How it was normalised.
    edge
        The edge, for ``mback``.

    Returns
    -------
    standards, left_out
        The standards, and those that cannot be normalised with their reasons.

    Raises
    ------
    SpectrumError
        If none is left.
    """
    standards, left_out = [], []
    windows = None if sample.background is None else sample.background.windows
    own = replace(options, e0=None)
    alike = own
    if windows is not None:
        alike = replace(own, e0=sample.e0, pre=windows.pre, post=windows.post, order=windows.order)
    at = None if windows is None else sample.raw.energies
    for name, spectrum in read:
        try:
            try:
                found = normalised(spectrum, alike, sample.raw.element, edge, at)
            except SpectrumError:
                found = normalised(spectrum, own, sample.raw.element, edge)
            if (found.background is None) != (sample.background is None):
                raise SpectrumError(f"{name}: {found.in_words}; the sample: {sample.in_words}")
            standards.append(Standard(name, found))
        except SpectrumError as error:
            left_out.append(LeftOut(name, str(error)))
    if not standards:
        raise SpectrumError(f"no standard can be used: {left_out[0].reason}" if left_out else "received no standards")
    return standards, left_out


def covered(standards: Sequence[Standard], energies: Array, margin: float = 0.0) -> Array:
    """Return the energies that all standards cover, also when moved by ``margin`` either way.

    Raises
    ------
    SpectrumError
        If these are fewer than ten.
    """
    first = max(standards, key=lambda own: float(own.spectrum.energies[0]))
    last = min(standards, key=lambda own: float(own.spectrum.energies[-1]))
    low, high = float(first.spectrum.energies[0]), float(last.spectrum.energies[-1])
    inside = energies[(energies >= low + margin) & (energies <= high - margin)]
    if inside.size < FEWEST:
        raise SpectrumError(
            f"the standards cover {inside.size} of the sample's energies in the range compared; expected {FEWEST} or "
            f"more ({first.name} begins at {low:g} eV, {last.name} ends at {high:g} eV)"
        )
    return np.asarray(inside)


def at_energies(standards: Sequence[Standard], energies: Array) -> Array:
    """Return the standards at energies, (n_standards, n_energies)."""
    return np.array([np.interp(energies, own.spectrum.energies, own.spectrum.intensities) for own in standards])
