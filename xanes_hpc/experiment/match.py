"""Find the predicted spectra, and mixtures of two or three, that are most like a measured one.

`xanes_hpc.experiment.compare` defines the criteria.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from xanes_hpc.errors import SpectrumError, UnlikeError
from xanes_hpc.experiment.compare import (
    Array,
    Best,
    Library,
    MatchOptions,
    Measured,
    Rows,
    check_options,
    chunks,
    error_between,
)
from xanes_hpc.experiment.held_out import HeldOut, held_out
from xanes_hpc.experiment.mixtures import BEAM, Mixture, Support, grow
from xanes_hpc.spectra.spectrum import Spectrum

Progress = Callable[[int, int], None]
LEAST_ALIKE = 0.3
"""Smallest correlation with the best match; below it nothing resembles the measured spectrum."""


@dataclass(frozen=True)
class Matched:
    """A site compared with the measured spectrum; arrays (n_energies,) in the prediction's units."""

    row: int
    site: str
    chi2: float
    score: float
    factor: float
    shift: float
    error_percent: float
    mean: Array = field(repr=False)
    std: Array | None = field(repr=False)
    experiment: Array = field(repr=False)


@dataclass(frozen=True, repr=False)
class Match:
    """The result of a search.

    ``chi2`` is per energy. ``n_left_out`` counts the spectra that are not finite or fit only with a negative factor.
    ``held_out`` says how well held-out spectra are matched; None if the library has too few.
    """

    energies: Array
    origin: str
    n_compared: int
    n_left_out: int
    ranked: list[Matched]
    mixtures: list[Mixture] = field(default_factory=list)
    held_out: HeldOut | None = None

    def __repr__(self) -> str:
        best, left_out = self.ranked[0], f", {self.n_left_out:,} left out" if self.n_left_out else ""
        return (
            f"<Match of {self.n_compared:,} site{'s' if self.n_compared != 1 else ''}{left_out}: best {best.site}, "
            f"error {best.error_percent:.2f} %>"
        )


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
    options = options or MatchOptions()
    check_options(options)
    rows = np.arange(len(library.names)) if rows is None else rows
    measured = Measured(experiment, library, options, rows)
    n_passes, n_left_out = options.mixture, 0
    best = Best(max(options.keep, BEAM if options.mixture > 1 else 0))
    for done, here in chunks(rows):
        progress(done, n_passes * rows.size)
        score, *figures = measured.compare(here, *measured.read(here))
        n_left_out += int(np.sum(~np.isfinite(score)))
        best.add(here, score, *figures)
    ranked = [_matched(measured, *one) for one in best.found()]
    if not ranked:
        raise SpectrumError(
            f"{experiment.source}: none of {rows.size:,} spectra fits with a positive factor; check that the measured "
            "spectrum is not inverted and that the others are finite"
        )
    if max(map(_likeness, ranked)) < LEAST_ALIKE:
        raise UnlikeError(
            f"{experiment.source}: none of {rows.size:,} spectra resembles it; check that it is neither inverted nor "
            "flat, or remove its background with `pre` and `post`"
        )
    mixtures: list[Mixture] = []
    supports = [Support.of_one(measured, m.row, m.score) for m in ranked[:BEAM]]
    for n in range(2, options.mixture + 1):
        report = partial(_report, progress, (n - 1) * rows.size, n_passes * rows.size)
        grown = grow(measured, rows, supports, report)
        mixtures += [mixture for mixture, _ in grown]
        supports = [support for _, support in grown]
    mixtures.sort(key=lambda m: m.score)
    progress(n_passes * rows.size, n_passes * rows.size)
    return Match(
        measured.energies, library.origin, rows.size, n_left_out, ranked[: options.keep], mixtures[: options.keep],
        held_out(measured, rows),
    )  # fmt: skip


def _likeness(matched: Matched) -> float:
    """Return the correlation of a measured spectrum with a prediction; 0 if either is flat."""
    y, p = matched.experiment - matched.experiment.mean(), matched.mean - matched.mean.mean()
    size = float(np.sqrt((y @ y) * (p @ p)))
    return float(y @ p) / size if size > 0 else 0.0


def _report(progress: Progress, before: int, total: int, done: int) -> None:
    progress(before + done, total)


def _matched(measured: Measured, row: int, score: float, chi2: float, factor: float, shift: float) -> Matched:
    mean, std = measured.read(np.array([row]))
    y = factor * measured.beside(row, shift)
    return Matched(
        row, measured.library.names[row], chi2 / mean.shape[1], score, factor, shift, error_between(y, mean[0]),
        mean[0], None if std is None else std[0], y,
    )  # fmt: skip
