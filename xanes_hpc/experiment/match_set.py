"""Match several measured spectra, each with the sites of its own element and edge."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np

from xanes_hpc.errors import SpectrumError
from xanes_hpc.experiment.compare import Library
from xanes_hpc.experiment.energy import EnergyOptions, correction
from xanes_hpc.experiment.kinds import Kind, kind_of
from xanes_hpc.experiment.match import Progress, match_each
from xanes_hpc.experiment.match_options import MatchOptions
from xanes_hpc.experiment.matched import Match
from xanes_hpc.experiment.measured import held_to
from xanes_hpc.experiment.measured_files import LeftOut
from xanes_hpc.experiment.normalised import NormalisedSpectrum, NormaliseOptions, normalised, scale_for
from xanes_hpc.spectra.spectrum import Spectrum

TRIED_SHIFT = 3.0
"""Largest shift that is tried for a spectrum that no site explains, eV."""
WORSE = ("", "poor", "unexplained")


@dataclass(frozen=True)
class Placed:
    """A measured spectrum that is to be matched: its name in tables, element and edge, and normalisation."""

    name: str
    kind: Kind
    normal: NormalisedSpectrum


@dataclass(frozen=True)
class MatchedSpectrum:
    """A measured spectrum and the sites that resemble it.

    Attributes
    ----------
    placed, options, found
        The spectrum, how it was compared, and the result.
    shifted
        The best site at shifts of up to ``TRIED_SHIFT``, if it explains the spectrum and none does without; else None.
    """

    placed: Placed
    options: MatchOptions
    found: Match
    shifted: Match | None = None


def placing(
    kinds: Sequence[Kind], energy: EnergyOptions, normalisation: NormaliseOptions
) -> Callable[[str, Spectrum], Placed]:
    """Return what finds the element and edge of measured spectra among ``kinds``, and corrects and normalises them.

    It raises a ``SpectrumError`` if a spectrum is of none of them, or cannot be corrected or normalised.

    Raises
    ------
    XanesHpcError
        If a foil that calibrates them cannot be read.
    """

    @cache
    def correct(element: int, edge: str) -> Callable[[Spectrum], Spectrum]:
        return correction(energy, element, edge)

    def place(name: str, spectrum: Spectrum) -> Placed:
        kind = kind_of(spectrum, kinds)
        own = correct(kind.element, kind.edge)(held_to(spectrum, kind.element, kind.edge, kind.e0))
        return Placed(name, kind, normalised(own, normalisation, kind.element, kind.edge))

    if len(kinds) == 1:
        correct(kinds[0].element, kinds[0].edge)
    return place


def options_for(one: Placed, options: MatchOptions, scale: str | None = None) -> MatchOptions:
    """Return the options with a scale; by default the one that suits a spectrum's normalisation."""
    return replace(options, scale=scale or scale_for(one.normal))


def match_set(
    spectra: Sequence[Placed],
    library: Library,
    options: MatchOptions,
    scale: str | None = None,
    progress: Progress = lambda done, total: None,
    try_shifts: bool = False,
) -> tuple[list[MatchedSpectrum], list[LeftOut]]:
    """Match measured spectra, and return the results and those that cannot be matched, with the reasons.

    Parameters
    ----------
    spectra
        The measured spectra.
    library
        The spectra to search.
    options
        How they are compared, but for the scale.
    scale
        The scale; by default the one that suits each spectrum's normalisation.
    try_shifts
        Whether shifts are tried for spectra that no site explains, unless they are allowed anyway.

    Raises
    ------
    ConfigError
        If an option is invalid.
    """
    how = [options_for(one, options, scale) for one in spectra]
    found = _match_kinds(list(zip(spectra, how, strict=True)), library, progress)
    every, failed = list[MatchedSpectrum](), list[LeftOut]()
    for one, own, result in zip(spectra, how, found, strict=True):
        if isinstance(result, SpectrumError):
            failed.append(LeftOut(one.name, str(result)))
        else:
            every.append(MatchedSpectrum(one, own, result))
    return (_with_shifts(every, library) if try_shifts else every), failed


def _match_kinds(
    spectra: Sequence[tuple[Placed, MatchOptions]], library: Library, progress: Progress = lambda done, total: None
) -> list[Match | SpectrumError]:
    """Match spectra of several elements and edges, those of each in one pass."""
    found: dict[int, Match | SpectrumError] = {}
    works = [one.kind.rows.size * options.mixture for one, options in spectra]
    before = 0
    for kind in {id(one.kind): one.kind for one, _ in spectra}.values():
        at = [k for k, (one, _) in enumerate(spectra) if one.kind is kind]
        pairs = [(spectra[k][0].normal.spectrum, spectra[k][1]) for k in at]
        results = match_each(pairs, library, kind.rows, partial(_report, progress, before, sum(works)))
        found |= dict(zip(at, results, strict=True))
        before += sum(works[k] for k in at)
    return [found[k] for k in range(len(spectra))]


def _report(progress: Progress, before: int, total: int, done: int, _: Any) -> None:
    progress(before + done, total)


def _with_shifts(every: Sequence[MatchedSpectrum], library: Library) -> list[MatchedSpectrum]:
    """Return results, those of unexplained spectra with what shifts of the measured spectrum would change."""
    grid = library.energies
    if not float(np.median(np.diff(grid))) <= TRIED_SHIFT <= grid[-1] - grid[0]:
        return list(every)
    unexplained = [k for k, one in enumerate(every) if one.found.judged and not one.options.max_shift]
    tried = [
        (every[k].placed, replace(every[k].options, max_shift=TRIED_SHIFT, mixture=1, keep=1)) for k in unexplained
    ]
    done = list(every)
    for k, result in zip(unexplained, _match_kinds(tried, library), strict=True):
        if isinstance(result, Match) and WORSE.index(result.judged) < WORSE.index(every[k].found.judged):
            done[k] = replace(every[k], shifted=result)
    return done
