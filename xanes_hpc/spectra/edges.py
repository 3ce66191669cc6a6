"""Edge energies, and the energy scale of a spectrum relative to its edge."""

from dataclasses import replace
from functools import cache
from math import ceil

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from xanes_hpc.errors import RecurringError, SpectrumError
from xanes_hpc.spectra.rise import HALF_WIDTH, main_fall, main_rise, steepest_rise
from xanes_hpc.spectra.spectrum import PlacedSpectrum, Spectrum

Array = npt.NDArray[np.float64]
FEWEST_POINTS = 5
ABSOLUTE = 0.5
"""Fraction of the edge energy: a spectrum that begins above it is absolute, unless its file says otherwise."""
FAR, VERY_FAR = 20.0, 50.0
"""Distances in eV between e0 and the rise of a spectrum that are noted, and that are refused."""
LOW = 0.24
"""Fraction of its range below which a spectrum is before its edge, on average; a straight line is at 0.25."""
UNCLEAR = "spectra have no clear rise"
IN_KEV = "energies were taken as keV, because only so do they span the edge"
FROM_FERMI = "energies counted from the Fermi level were taken as counted from e0: shifts between sites are lost"
FAR_KIND = f"spectra rise more than {VERY_FAR:g} eV from e0"
EDGES = ("K", "L1", "L2", "L3", "L23", "M1", "M2", "M3", "M4", "M5", "M23", "M45", "N1", "N2", "N3")


@cache
def edge_energy(element: int, edge: str) -> float:
    """Return XrayDB's edge energy in eV; for a pair (L23) the energy of the lower edge, the first in a spectrum.

    Raises
    ------
    SpectrumError
        If XrayDB has no such edge.
    """
    import xraydb

    name = {"L23": "L3", "M23": "M3", "M45": "M5"}.get(edge, edge)
    found = xraydb.xray_edge(chemical_symbols[element], name)
    if found is None:
        known = ", ".join(xraydb.xray_edges(chemical_symbols[element]) or ["none"])
        raise SpectrumError(f"{chemical_symbols[element]} has no {edge} edge in XrayDB; it has {known}; give `e0`")
    return float(found.energy)


def tabulated_absorption(element: int, energies: Array) -> Array:
    """Return XrayDB's photoabsorption cross-section (Elam, Ravel and Sieber) of an element at energies in eV, cm²/g."""
    import xraydb

    return np.asarray(xraydb.mu_elam(chemical_symbols[element], energies, kind="photo"))


def check_given(edge: str, e0: float | None, shift: float | None) -> None:
    """Check the edge and energies that a user gives for all spectra.

    Raises
    ------
    SpectrumError
        If the edge is unknown, or an energy is not finite.
    """
    if edge not in EDGES:
        raise SpectrumError(f"edge {edge!r}: expected one of {', '.join(EDGES)}")
    for name, value in (("`e0`", e0), ("`shift`", shift)):
        if value is not None and not np.isfinite(value):
            raise SpectrumError(f"{name}: expected a finite energy in eV, received {value}")


def check(spectrum: Spectrum) -> None:
    """Check that a spectrum is usable.

    Raises
    ------
    SpectrumError
        If it has too few points, NaN or infinite values, is zero everywhere, or its energies do not ascend.
    """
    energies, intensities = spectrum.energies, spectrum.intensities
    if energies.size < FEWEST_POINTS:
        raise SpectrumError(f"{spectrum.source}: expected at least {FEWEST_POINTS} points, received {energies.size}")
    bad = np.flatnonzero(~(np.isfinite(energies) & np.isfinite(intensities)))
    if bad.size:
        raise SpectrumError(
            f"{spectrum.source}: expected finite numbers, received {energies[bad[0]]:g} {intensities[bad[0]]:g} "
            f"at point {bad[0]}"
        )
    if not intensities.any():
        raise SpectrumError(f"{spectrum.source}: all intensities are zero")
    steps = np.flatnonzero(np.diff(energies) <= 0)
    if steps.size:
        before, after = energies[steps[0]], energies[steps[0] + 1]
        what = "repeated" if before == after else "unsorted"
        raise SpectrumError(
            f"{spectrum.source}: {what} energies: expected ascending energies, received {before:g} then {after:g} eV"
        )


def check_absorber(spectrum: Spectrum, element: int, edge: str) -> None:
    """Check that a spectrum is of a site's element and edge, as far as its file names them.

    Raises
    ------
    SpectrumError
        If it is of another element or edge.
    """
    own = spectrum.element if spectrum.element is not None else element
    if own == element and (spectrum.edge is None or edge in _edges_of(spectrum.edge)):
        return
    received = " ".join(text for text in (chemical_symbols[own], spectrum.edge) if text)
    raise SpectrumError(
        f"{spectrum.source}: expected a spectrum of {chemical_symbols[element]} {edge}, the site's, received {received}"
    )


def _edges_of(named: str) -> list[str]:
    """Return the edges that a file's name for an edge may mean: ``L`` any of the shell, L3 also L23, L23 also L3."""
    if len(named) == 1:
        return [edge for edge in EDGES if edge.startswith(named)]
    pairs = [edge for edge in EDGES if len(edge) == 3]
    if named in pairs:
        return [named, named[0] + max(named[1:])]
    return [named, *(pair for pair in pairs if pair[0] == named[0] and named[1] in pair[1:])]


def is_absolute(spectrum: Spectrum, e0: float) -> bool:
    """Return True if a spectrum's energies are absolute, False if they are relative to its edge at ``e0`` (eV)."""
    return bool(spectrum.energies[0] > ABSOLUTE * e0) if spectrum.absolute is None else spectrum.absolute


def in_ev(spectrum: Spectrum, e0: float) -> Spectrum:
    """Return a spectrum with energies in eV, and a note if they were in keV without saying so.

    They were if, read as keV, they span an edge at ``e0`` (eV).
    """
    first, last = spectrum.energies[0], spectrum.energies[-1]
    if spectrum.absolute is not None or not 0 < 0.9 * first <= e0 / 1000.0 <= 1.1 * last < 0.1 * e0:
        return spectrum
    choice = (IN_KEV, f"{spectrum.source}: from {first:g} to {last:g} keV")
    return replace(spectrum, energies=1000.0 * spectrum.energies, choices=(*spectrum.choices, choice))


def place(
    spectrum: Spectrum, element: int, edge: str, e0: float | None = None, shift: float | None = None
) -> PlacedSpectrum:
    """Determine the energy scale of a spectrum.

    Parameters
    ----------
    spectrum
        The spectrum as read.
    element, edge
        Atomic number and edge of its site.
    e0
        Edge energy in eV on the spectrum's scale (after ``shift``); by default the file's own, else XrayDB's.
    shift
        Energy in eV to add to the file's absolute energies to bring them to the scale of e0. The shift is recorded;
        the file's numbers are kept.

    Raises
    ------
    SpectrumError
        If the spectrum is not usable, is of another element or edge, or e0 lies outside its range.
    """
    check(spectrum)
    check_absorber(spectrum, element, edge)
    source = "given" if e0 is not None else "file" if spectrum.e_edge is not None else "xraydb"
    e0 = e0 if e0 is not None else spectrum.e_edge if spectrum.e_edge is not None else edge_energy(element, edge)
    spectrum = in_ev(spectrum, e0)
    first, absolute = spectrum.energies[0], is_absolute(spectrum, e0)
    if not absolute and shift:
        raise SpectrumError(
            f"{spectrum.source}: energies are relative to the edge (they begin at {first:g} eV); omit `shift`"
        )
    e_cut = np.nan if spectrum.e_cut is None else spectrum.e_cut
    if absolute:
        e_cut += (spectrum.e_edge or 0.0) + (shift or 0.0) - e0
    placed = PlacedSpectrum(spectrum, e0, source, "absolute" if absolute else "e0", shift or 0.0, e_cut)
    low, high = placed.relative[0], placed.relative[-1]
    outside = not low <= 0 <= high
    if outside and absolute and spectrum.kind != "xes":
        _check_not_falling(spectrum)
    rise = main_rise(placed.relative, spectrum.intensities) if low > 0 and absolute else None
    if outside and (rise is None or abs(rise) > VERY_FAR):
        fact = f"e0 = {e0:g} eV ({source}) lies outside the spectrum's range, {low + e0:g} to {high + e0:g} eV"
        if not absolute:
            advice = "its energies seem to be relative to e0; if they are not, check `absorber` and `edge` or give `e0`"
            raise RecurringError(f"{spectrum.source}: {fact}", advice, "e0 lies outside spectra relative to it")
        raise _far_from_e0(spectrum, fact, e0)
    if outside:  # as of FEFF, whose energies begin near its own Fermi level
        detail = f"{spectrum.source}: e0 = {e0:g} eV, spectrum from {low + e0:g} to {high + e0:g} eV"
        choice = ("spectra begin above e0", detail)
        placed = replace(placed, spectrum=replace(spectrum, choices=(*spectrum.choices, choice)))
    return _held_to_its_rise(placed, source == "given" or shift is not None)


def _held_to_its_rise(placed: PlacedSpectrum, given: bool) -> PlacedSpectrum:
    """Return the spectrum, with a note if it rises far from e0.

    Raises
    ------
    SpectrumError
        If it rises very far from e0, and neither e0 nor a shift is given.
    """
    spectrum = placed.spectrum
    if spectrum.kind == "xes" or _rises_here(placed.relative, spectrum.intensities):
        return placed
    _check_not_falling(spectrum)
    rise = main_rise(placed.relative, spectrum.intensities)
    if rise is None:
        choice = (UNCLEAR, f"{spectrum.source}: {spectrum.intensities.min():.4g} to {spectrum.intensities.max():.4g}")
        return replace(placed, spectrum=replace(spectrum, choices=(*spectrum.choices, choice)))
    if abs(rise) <= FAR:
        return placed
    distance = f"{abs(rise):.0f} eV {'above' if rise > 0 else 'below'} e0 = {placed.e0:g} eV ({placed.e0_source})"
    if abs(rise) > VERY_FAR and not given:
        if placed.energy_origin == "absolute":
            raise _far_from_e0(spectrum, f"it rises {distance}", placed.e0)
        raise RecurringError(
            f"{spectrum.source}: it rises {distance}", "check `absorber` and `edge`, or give `e0`", FAR_KIND
        )
    choice = (f"spectra rise more than {FAR:g} eV from e0", f"{spectrum.source}: {distance}")
    return replace(placed, spectrum=replace(spectrum, choices=(*spectrum.choices, choice)))


def _check_not_falling(spectrum: Spectrum) -> None:
    """Check that a spectrum rises more than it falls.

    Raises
    ------
    SpectrumError
        If it is.
    """
    energies, mu = spectrum.energies, spectrum.intensities
    fall = main_fall(energies, mu)
    if fall is not None:
        before, after = (float(mu[near].mean()) for near in _sides(energies, fall))
        raise SpectrumError(
            f"{spectrum.source}: falls from {before:.4g} to {after:.4g} at {fall:.0f} eV, and rises nowhere as much; "
            "expected a rise at the edge: are these raw counts, or are channels exchanged?"
        )


def _sides(energies: Array, at: float) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return masks of the points close to an energy, below and above it."""
    near = np.abs(energies - at) <= HALF_WIDTH
    return near & (energies <= at), near & (energies >= at)


def _rises_here(energies: Array, intensities: Array) -> bool:
    """Return True if a spectrum is low up to a point near e0 and high from there on: a quick check that most pass."""
    low = intensities.min()
    span = intensities.max() - low
    k = int(np.argmax(intensities > low + 0.5 * span))
    if not k > 0 or abs(energies[k]) > FAR:
        return False
    return bool(intensities[:k].mean() < low + LOW * span and intensities[k:].mean() > low + 0.4 * span)


def _far_from_e0(spectrum: Spectrum, fact: str, e0: float) -> RecurringError:
    shift = _shift_to(e0, spectrum)
    return RecurringError(
        f"{spectrum.source}: {fact}", f"`shift` {shift} puts its steepest rise at e0, or give `e0`", FAR_KIND,
        "give `shift` or `e0`", float(shift),
    )  # fmt: skip


def _shift_to(e0: float, spectrum: Spectrum) -> str:
    """Return the shift that puts the steepest rise at e0, rounded to a hundredth of the step there."""
    middles = 0.5 * (spectrum.energies[1:] + spectrum.energies[:-1])
    rise = float(np.clip(steepest_rise(spectrum.energies, spectrum.intensities), middles[0], middles[-1]))
    k = int(np.clip(np.searchsorted(spectrum.energies, rise), 1, spectrum.energies.size - 1))
    digits = max(1, 2 - ceil(np.log10(spectrum.energies[k] - spectrum.energies[k - 1])))
    return f"{round(e0 - rise, digits) + 0.0:.{digits}f}"  # never -0
