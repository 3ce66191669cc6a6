"""Edge energies, and the energy scale of a spectrum relative to its edge."""

from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from xanes_hpc.errors import RecurringError, SpectrumError
from xanes_hpc.spectra.rise import main_rise
from xanes_hpc.spectra.rise_at_edge import OTHER_EDGE, VERY_FAR, check_not_falling, far_from_e0, held_to_e0, rises_here
from xanes_hpc.spectra.spectrum import PlacedSpectrum, Spectrum

Array = npt.NDArray[np.float64]
FEWEST_POINTS = 5
NARROWEST = 3.0
"""Smallest range of a spectrum, eV."""
OF_ANOTHER = 0.02
"""Fraction of an edge energy: one that differs by more is of another element or edge."""
ABSOLUTE = 0.5
"""Fraction of the edge energy: a spectrum that begins above it is absolute, unless its file says otherwise."""
IN_KEV = "energies were taken as keV, because only so do they span the edge"
EDGE_IN_KEV = "edge energies without a unit were taken as keV"
FROM_FERMI = "energies counted from the Fermi level were taken as counted from e0: shifts between sites are lost"
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


def check_span(spectrum: Spectrum) -> None:
    """Check that a spectrum spans more than a part of an edge.

    Raises
    ------
    SpectrumError
        If it does not.
    """
    first, last = spectrum.energies[0], spectrum.energies[-1]
    if last - first < NARROWEST:
        raise SpectrumError(
            f"{spectrum.source}: spans {last - first:.3g} eV, from {first:g} to {last:g}; expected energies in eV over "
            f"{NARROWEST:g} eV or more (are these keV?)"
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


def span_as_kev(first: float, last: float, e0: float) -> bool:
    """Return True if energies from ``first`` to ``last`` span an edge at ``e0`` (eV) in keV, and only so."""
    return bool(0 < 0.9 * first <= e0 / 1000.0 <= 1.1 * last < 0.1 * e0)


def in_ev(spectrum: Spectrum, e0: float) -> Spectrum:
    """Return a spectrum with energies in eV, and a note if they were in keV without saying so.

    They were if, read as keV, they span an edge at ``e0`` (eV).
    """
    first, last = spectrum.energies[0], spectrum.energies[-1]
    if spectrum.absolute is False or not span_as_kev(first, last, e0):
        return spectrum
    return replace(spectrum, energies=1000.0 * spectrum.energies).told(IN_KEV, f"from {first:g} to {last:g} keV")


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
    if e0 is None:
        spectrum = _with_own_edge_checked(spectrum, element, edge)
    elif _is_of(1000.0 * e0, tabulated(element, edge)):
        raise SpectrumError(f"`e0` {e0:g}: expected an energy in eV; {1000.0 * e0:g} would be of the {edge} edge")
    source = "given" if e0 is not None else "file" if spectrum.e_edge is not None else "xraydb"
    e0 = e0 if e0 is not None else spectrum.e_edge if spectrum.e_edge is not None else edge_energy(element, edge)
    spectrum = in_ev(spectrum, e0)
    check_span(spectrum)
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
        check_not_falling(spectrum)
    rise = main_rise(placed.relative, spectrum.intensities) if low > 0 and absolute else None
    if outside and (rise is None or abs(rise) > VERY_FAR):
        fact = f"e0 = {e0:g} eV ({source}) lies outside the spectrum's range, {low + e0:g} to {high + e0:g} eV"
        if not absolute:
            advice = "its energies seem to be relative to e0; if they are not, check `absorber` and `edge` or give `e0`"
            raise RecurringError(f"{spectrum.source}: {fact}", advice, "e0 lies outside spectra relative to it")
        raise far_from_e0(spectrum, fact, e0)
    if outside:  # as of FEFF, whose energies begin near its own Fermi level
        detail = f"e0 = {e0:g} eV, spectrum from {low + e0:g} to {high + e0:g} eV"
        placed = replace(placed, spectrum=spectrum.told("spectra begin above e0", detail))
    if spectrum.kind == "xes" or rises_here(placed.relative, spectrum.intensities):
        return placed
    check_not_falling(spectrum)
    at, given = f"e0 = {e0:g} eV ({source})", source == "given" or shift is not None
    what_to_do = None if absolute else OTHER_EDGE
    return replace(placed, spectrum=held_to_e0(placed.spectrum, placed.relative, e0, at, given, what_to_do))


def _with_own_edge_checked(spectrum: Spectrum, element: int, edge: str) -> Spectrum:
    """Return a spectrum whose file's own edge energy is that of its element and edge, in eV.

    Raises
    ------
    SpectrumError
        If it is of another element or edge.
    """
    own, known = spectrum.e_edge, tabulated(element, edge)
    if own is None or known is None or _is_of(own, known):
        return spectrum
    if _is_of(1000.0 * own, known):
        return replace(spectrum, e_edge=1000.0 * own).told(EDGE_IN_KEV, f"{own:g}")
    raise SpectrumError(
        f"{spectrum.source}: its edge energy, {own:g} eV, is not that of {chemical_symbols[element]} {edge}, "
        f"{known:g} eV; check `absorber` and `edge`, or give `e0`"
    )


def _is_of(energy: float, known: float | None) -> bool:
    """Return True if an edge energy may be that of the edge at ``known`` (eV)."""
    return known is not None and abs(energy - known) <= max(VERY_FAR, OF_ANOTHER * known)


def tabulated(element: int | None, edge: str | None) -> float | None:
    """Return XrayDB's edge energy in eV; None if it has none, or the element or edge is not known."""
    if element is None or edge not in EDGES:
        return None
    try:
        return edge_energy(element, edge)
    except SpectrumError:
        return None
