"""Find the predicted spectra, and mixtures of two or three, that are most like a measured one.

`xanes_hpc.experiment.compare` defines the criteria.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from xanes_hpc.errors import SpectrumError, UnlikeError
from xanes_hpc.experiment.compare import Array, Best, Library, Measured, Rows, chunks, error_between
from xanes_hpc.experiment.held_out import HeldOut, held_out
from xanes_hpc.experiment.match_options import MatchOptions, check_options
from xanes_hpc.experiment.matched import Match, Matched
from xanes_hpc.experiment.mixtures import BEAM, Mixture, Support, grow
from xanes_hpc.spectra.spectrum import Spectrum

Progress = Callable[[int, int], None]
LEAST_ALIKE = 0.3
"""Smallest correlation with the best match; below it nothing resembles the measured spectrum."""
SPECTRA_AT_ONCE = 64
"""Largest number of measured spectra that are compared in one pass through a library."""


def match(
    experiment: Spectrum,
    library: Library,
    options: MatchOptions | None = None,
    rows: Rows | None = None,
    progress: Progress = lambda done, total: None,
) -> Match:
    """Rank the spectra of a library by their likeness to a measured one.

    Parameters
    ----------
    experiment
        The measured spectrum.
    library
        The spectra to search; they are read in chunks.
    options
        How spectra are compared.
    rows
        Rows to compare; all by default.

    Raises
    ------
    ConfigError
        If an option is invalid.
    SpectrumError
        If the measured spectrum covers too little of the grid, or no spectrum fits it with a positive factor.
    UnlikeError
        If no spectrum resembles it: it may be inverted, flat, or on a background.
    """
    found = match_each([(experiment, options or MatchOptions())], library, rows, progress)[0]
    if isinstance(found, SpectrumError):
        raise found
    return found


def match_each(
    experiments: Sequence[tuple[Spectrum, MatchOptions]],
    library: Library,
    rows: Rows | None = None,
    progress: Progress = lambda done, total: None,
    known: dict[Any, HeldOut | None] | None = None,
) -> list[Match | SpectrumError]:
    """Rank the spectra of a library by their likeness to each of several measured ones.

    The library is read once for every ``SPECTRA_AT_ONCE`` spectra, and again where mixtures are asked for.

    Parameters
    ----------
    experiments
        The measured spectra, each with how it is compared.
    library, rows
        As for ``match``.
    known
        Errors of held-out spectra that earlier calls with the same library and rows have found; new ones are added.

    Returns
    -------
    list
        For each measured spectrum the result, or the error that ``match`` would raise.

    Raises
    ------
    ConfigError
        If an option is invalid.
    """
    for _, options in experiments:
        check_options(options)
    rows = np.arange(len(library.names)) if rows is None else rows
    known = {} if known is None else known
    found: list[Match | SpectrumError] = []
    n_passes = sum(options.mixture for _, options in experiments)
    for start in range(0, len(experiments), SPECTRA_AT_ONCE):
        searches = [_search(*one, library, rows) for one in experiments[start : start + SPECTRA_AT_ONCE]]
        usable = [search for search in searches if isinstance(search, _Search)]
        before = sum(options.mixture for _, options in experiments[:start]) * rows.size
        for done, here in chunks(rows):
            progress(before + done * len(usable), n_passes * rows.size)
            read = library.read(here)
            for search in usable:
                search.add(here, *read)
        before += len(usable) * rows.size
        for one in searches:
            if isinstance(one, SpectrumError):
                found.append(one)
            else:
                found.append(one.result(known, partial(_report, progress, before, n_passes * rows.size)))
                before += (one.n_passes - 1) * rows.size
    progress(n_passes * rows.size, n_passes * rows.size)
    return found


def _search(experiment: Spectrum, options: MatchOptions, library: Library, rows: Rows) -> "_Search | SpectrumError":
    try:
        return _Search(Measured(experiment, library, options, rows), experiment.source, rows)
    except SpectrumError as error:
        return error


class _Search:
    """The search for the sites that most resemble one measured spectrum."""

    def __init__(self, measured: Measured, source: str, rows: Rows) -> None:
        self._measured, self._source, self._rows = measured, source, rows
        self.n_passes = measured.options.mixture
        self._best = Best(max(measured.options.keep, BEAM if self.n_passes > 1 else 0))
        self._n_left_out = 0

    def add(self, here: Rows, mean: Array, std: Array | None) -> None:
        """Compare the rows ``here``, whose spectra the library read."""
        score, *figures = self._measured.compare(here, *self._measured.taken(mean, std))
        self._n_left_out += int(np.sum(~np.isfinite(score)))
        self._best.add(here, score, *figures)

    def result(self, known: dict[Any, HeldOut | None], progress: Callable[[int], None]) -> Match | SpectrumError:
        """Return the best sites and mixtures after all rows were added, or why there are none."""
        measured, rows, options = self._measured, self._rows, self._measured.options
        ranked = [_matched(measured, *one) for one in self._best.found()]
        if not ranked:
            return SpectrumError(
                f"{self._source}: none of {rows.size:,} spectra fits with a positive factor; check that the measured "
                "spectrum is not inverted and that the others are finite"
            )
        if max(map(_likeness, ranked)) < LEAST_ALIKE:
            return UnlikeError(
                f"{self._source}: none of {rows.size:,} spectra resembles it; check that it is neither inverted nor "
                "flat, or remove its background with `pre` and `post`"
            )
        mixtures: list[Mixture] = []
        supports = [Support.of_one(measured, m.row, m.score) for m in ranked[:BEAM]]
        for n in range(2, self.n_passes + 1):
            grown = grow(measured, rows, supports, partial(_after, progress, (n - 2) * rows.size))
            mixtures += [mixture for mixture, _ in grown]
            supports = [support for _, support in grown]
        mixtures.sort(key=lambda m: m.score)
        sigma = measured.noise.level  # held-out errors hardly depend on it
        key = measured.energies.tobytes(), measured.shifts.size, options.scale, options.by, options.noise, sigma
        if key not in known:
            known[key] = held_out(measured, rows)
        return Match(
            measured.energies, measured.library.origin, rows.size, self._n_left_out, ranked[: options.keep],
            mixtures[: options.keep], known[key], measured.noise.in_words, options.max_shift,
            measured.library.distribution,
        )  # fmt: skip


def _likeness(matched: Matched) -> float:
    """Return the correlation of a measured spectrum with a prediction; 0 if either is flat."""
    y, p = matched.experiment - matched.experiment.mean(), matched.mean - matched.mean.mean()
    size = float(np.sqrt((y @ y) * (p @ p)))
    return float(y @ p) / size if size > 0 else 0.0


def _report(progress: Progress, before: int, total: int, done: int) -> None:
    progress(before + done, total)


def _after(progress: Callable[[int], None], before: int, done: int) -> None:
    progress(before + done)


def _matched(measured: Measured, row: int, score: float, chi2: float, factor: float, shift: float) -> Matched:
    mean, std = measured.read(np.array([row]))
    y = factor * measured.beside(row, shift)
    return Matched(
        row, measured.library.names[row], chi2 / mean.shape[1], score, factor, shift, error_between(y, mean[0]),
        mean[0], None if std is None else std[0], y,
    )  # fmt: skip
