"""Scans of one sample: which belong together, and their alignment."""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace

from ase.data import chemical_symbols

from xanes_hpc.errors import SpectrumError
from xanes_hpc.experiment.measured_files import LeftOut
from xanes_hpc.spectra.alignment import LARGEST, Curve, align
from xanes_hpc.spectra.rise import main_rise
from xanes_hpc.spectra.spectrum import Spectrum

REFERENCE, SAMPLE, NONE, BEST = "reference", "sample", "none", "best"
ALIGNMENTS = (BEST, REFERENCE, SAMPLE, NONE)
UNUSUAL, UNUSUAL_OF_SAMPLE = 1.0, 0.3
"""Shifts between scans of one beam time that are noted, eV: by reference channels, and by the sample itself."""
MOST_STANDARDS = 5
"""Largest number of scans to which the others are aligned in turn, until most resemble one."""
LOOKS_CHEMICAL = "without a reference channel a chemical shift looks the same"
LARGE = "a scan needs a large shift"
AMBIGUOUS = "another shift is nearly as good"
BY_SAMPLE = "a scan was aligned by the sample itself"


@dataclass(frozen=True)
class Scan:
    """One scan: its name, its spectrum, the shift that aligned it (eV), and how many glitches it had.

    ``by`` says what it was aligned by: ``reference``, ``sample`` or nothing.
    """

    name: str
    spectrum: Spectrum
    shift: float = 0.0
    by: str = ""
    n_glitches: int = 0


def of_one_kind(
    scans: Sequence[Scan], element: int | None = None, edge: str | None = None
) -> tuple[list[Scan], list[LeftOut]]:
    """Return the scans of an element, edge and mode, and those of others; and reference channels of others.

    Scans that hold the same numbers count once.

    Parameters
    ----------
    scans
        The scans as read.
    element, edge
        Atomic number and edge; by default those of most scans, as the mode is.
    """
    left_out: list[LeftOut] = []
    given = {"element": None if element is None else chemical_symbols[element], "edge": edge}
    questions: tuple[tuple[str, Callable[[Spectrum], Hashable]], ...] = (
        ("element", lambda own: None if own.element is None else chemical_symbols[own.element]),
        ("edge", lambda own: own.edge),
        ("mode", lambda own: own.mode or None),
    )
    kept = list(scans)
    for what, ask in questions:
        answers = Counter(answer for scan in kept if (answer := ask(scan.spectrum)) is not None)
        usual = given.get(what) or (answers.most_common(1)[0][0] if answers else None)
        for scan in kept:
            if (own := ask(scan.spectrum)) not in (None, usual):
                left_out.append(LeftOut(scan.name, f"{scan.name}: its {what} is {own}; expected {usual}"))
        kept = [scan for scan in kept if ask(scan.spectrum) in (None, usual)]
    references = {own.spectrum.reference.tobytes(): own.name for own in kept if own.spectrum.reference is not None}
    seen: dict[bytes, str] = {}
    usable = []
    for scan in kept:
        numbers = scan.spectrum.intensities.tobytes()
        first = seen.setdefault(numbers, scan.name)
        if first != scan.name:
            left_out.append(LeftOut(scan.name, f"{scan.name}: holds the same numbers as {first}"))
        elif numbers in references:
            left_out.append(LeftOut(scan.name, f"{scan.name}: is the reference channel of {references[numbers]}"))
        else:
            usable.append(scan)
    return usable, left_out


def aligned(scans: Sequence[Scan], by: str, max_shift: float = LARGEST) -> tuple[list[Scan], list[LeftOut]]:
    """Shift scans to the first one that has an edge and that most of them resemble.

    Parameters
    ----------
    scans
        Scans of one element, edge and mode.
    by
        ``reference`` for their reference channels, ``sample`` for their own spectra, ``none``, or ``best``: the
        reference channel where it has an edge in a scan and in the first one, the spectrum elsewhere.
    max_shift
        Largest shift, eV.

    Returns
    -------
    tuple
        The shifted scans, whose choices tell what is unusual, and those that cannot be aligned.

    Raises
    ------
    SpectrumError
        If several scans have an edge, but no two of them overlap and are alike.
    """
    if by == NONE or len(scans) < 2:
        return list(scans), []
    usable: list[Scan] = []
    left_out: list[LeftOut] = []
    for scan in scans:
        why = _why_no_reference(scan) if by in (REFERENCE, BEST) else ""
        if by == REFERENCE and why:
            left_out.append(LeftOut(scan.name, f"{scan.name}: {why}"))
            continue
        usable.append(replace(scan, by=SAMPLE if by == SAMPLE or why else REFERENCE))
        if why and scan.spectrum.reference is not None:
            usable[-1] = replace(usable[-1], spectrum=scan.spectrum.told(BY_SAMPLE, why))
    standards = sorted(filter(_has_edge, usable), key=lambda scan: scan.by != REFERENCE)[:MOST_STANDARDS]
    best: tuple[list[Scan], list[LeftOut]] | None = None
    for first in standards:
        found = _all_to(first, usable, max_shift)
        if best is None or len(found[0]) > len(best[0]):
            best = found
        if 2 * len(best[0]) > len(usable):
            break
    done, unlike = best or (usable, [])
    if len(done) == 1 and len(standards) > 1:
        raise SpectrumError(f"no two scans can be merged: {unlike[0].reason}")
    return done, left_out + unlike


def _all_to(first: Scan, scans: Sequence[Scan], max_shift: float) -> tuple[list[Scan], list[LeftOut]]:
    """Return scans aligned to one of them, and those that cannot be."""
    done: list[Scan] = []
    left_out: list[LeftOut] = []
    for scan in scans:
        try:
            done.append(scan if scan is first else _moved(first, scan, max_shift))
        except SpectrumError as error:
            left_out.append(LeftOut(scan.name, str(error)))
    return done, left_out


def _why_no_reference(scan: Scan) -> str:
    """Return why a scan cannot be aligned by its reference channel; empty if it can."""
    spectrum = scan.spectrum
    if spectrum.reference is None:
        return "it has no usable reference channel"
    if main_rise(spectrum.energies, spectrum.reference) is None:
        return "its reference channel has no edge"
    return ""


def _has_edge(scan: Scan) -> bool:
    return scan.by == REFERENCE or main_rise(*_curve(scan)) is not None


def _curve(scan: Scan) -> Curve:
    """Return what a scan is aligned by."""
    spectrum = scan.spectrum
    by_reference = scan.by == REFERENCE and spectrum.reference is not None
    return spectrum.energies, spectrum.reference if by_reference else spectrum.intensities  # type: ignore[return-value]


def _moved(first: Scan, scan: Scan, max_shift: float) -> Scan:
    """Return a scan aligned to the first one.

    Raises
    ------
    SpectrumError
        As ``align``.
    """
    both = REFERENCE if scan.by == first.by == REFERENCE else SAMPLE
    first, scan = replace(first, by=both), replace(scan, by=both)
    found = align(_curve(first), _curve(scan), scan.name, max_shift)
    spectrum = replace(scan.spectrum, energies=scan.spectrum.energies + found.shift)
    if abs(found.shift) > (UNUSUAL if both == REFERENCE else UNUSUAL_OF_SAMPLE):
        why = (
            ""
            if both == REFERENCE
            else ", by its own edge; without a reference channel a chemical shift looks the same"
        )
        spectrum = spectrum.told(LARGE, f"{found.shift:+.2f} eV to {first.name}{why}")
    if found.rival is not None:
        spectrum = spectrum.told(AMBIGUOUS, f"{found.rival:+.1f} eV, in place of {found.shift:+.2f} eV")
    return replace(scan, spectrum=spectrum, shift=found.shift)
