"""Mixtures of predicted spectra that a measured one may be, by non-negative least squares (Lawson & Hanson).

A mixture sum a_k p_k, a_k >= 0, is grown site by site: to each of the best so far, those sites of all are tried that
take most off its chi-square, and all coefficients are found anew. Its points are weighed by the standard deviation of
the site it was begun with; in the end its chi-square is that of its own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import nnls

from xanes_hpc.comparing import (
    Array,
    Best,
    Library,
    MatchOptions,
    Measured,
    Rows,
    chunks,
    error_between,
    experiment_for,
    variance,
)

BEAM = 20
"""Mixtures that are grown on."""
TRIED = 40
"""Sites that each of them is tried with in full."""
LEAST = 0.01
"""Share of a site below which it is none of the mixture's."""
SMALLEST = 1e-9
"""Of a spectrum's size: what is left of it beside those of a mixture is rounding below that."""


@dataclass(frozen=True)
class Mixture:
    """Sites that make the measured spectrum together; fractions add up to 1."""

    rows: tuple[int, ...]
    sites: tuple[str, ...]
    fractions: tuple[float, ...]
    chi2: float
    factor: float
    shift: float
    error_percent: float
    mean: Array
    experiment: Array


@dataclass(frozen=True)
class Support:
    """The sites of a mixture that may grow.

    Attributes
    ----------
    rows
        Of the sites; the first is the one it was begun with.
    coefficients
        Of each, in the measured spectrum's units.
    mean, std
        (n_sites, n_energies), of each; ``std`` None where there is none.
    experiment
        The measured spectrum at the shift of the first, (n_energies,).
    roots
        Square roots of the points' weights.
    shift
        Of the first, eV.
    """

    rows: tuple[int, ...]
    coefficients: Array
    mean: Array
    std: Array | None
    experiment: Array
    roots: Array
    shift: float

    @classmethod
    def begun(
        cls, measured: Measured, library: Library, options: MatchOptions, row: int, factor: float, shift: float
    ) -> "Support":
        """One site alone, with its factor on the measured spectrum."""
        mean, std = measured.read(np.array([row]))
        roots = factor / np.sqrt(variance(mean, std, options)[0])
        y = experiment_for(measured, library, row, shift)
        return cls((row,), np.array([1.0 / factor]), mean, std, y, roots, shift)

    def grown(self, measured: Measured, row: int) -> "Support":
        """One site more, and all coefficients anew."""
        mean, std = measured.read(np.array([row]))
        mean = np.vstack([self.mean, mean])
        std = None if std is None or self.std is None else np.vstack([self.std, std])
        coefficients, _ = nnls(self.roots[:, None] * mean.T, self.roots * self.experiment)
        return replace(self, rows=(*self.rows, row), coefficients=coefficients, mean=mean, std=std)

    @property
    def fractions(self) -> Array:
        """Of each site in the sum."""
        total = float(self.coefficients.sum())
        return np.asarray(self.coefficients / total) if total else self.coefficients

    def told(self, library: Library, options: MatchOptions) -> Mixture:
        """As it is told: fractions in descending order, chi-square by its own standard deviation."""
        total, fractions = float(self.coefficients.sum()), self.fractions
        mixed = fractions @ self.mean
        spread = None if self.std is None else np.sqrt(np.square(fractions) @ np.square(self.std))
        y = self.experiment / total
        chi2 = float(np.mean(np.square(y - mixed) / variance(mixed, spread, options)))
        order = np.argsort(-fractions)
        return Mixture(
            rows=tuple(self.rows[i] for i in order),
            sites=tuple(library.names[self.rows[i]] for i in order),
            fractions=tuple(float(fractions[i]) for i in order),
            chi2=chi2,
            factor=1.0 / total,
            shift=self.shift,
            error_percent=error_between(y, mixed),
            mean=mixed,
            experiment=y,
        )


def grow(
    measured: Measured, library: Library, options: MatchOptions, rows: Rows, supports: Sequence[Support],
    progress: Callable[[int], None],
) -> list[tuple[Mixture, Support]]:  # fmt: skip
    """The best mixtures with one site more than ``supports`` have, each of its sites with a share of note."""
    supports = supports[:BEAM]
    bases = [np.linalg.qr(s.roots[:, None] * s.mean.T)[0] for s in supports]
    across = [s.roots[:, None] * basis for s, basis in zip(supports, bases, strict=True)]
    targets = [s.roots * s.experiment for s in supports]
    towards = [s.roots * (y - b @ (b.T @ y)) for s, b, y in zip(supports, bases, targets, strict=True)]
    best = [Best(TRIED) for _ in supports]
    for done, here in chunks(rows):
        progress(done)
        mean, _ = measured.read(here)
        squared = np.square(mean)
        for support, sides, towards_it, own in zip(supports, across, towards, best, strict=True):
            size = squared @ np.square(support.roots)
            new = size - np.square(mean @ sides).sum(axis=1)
            enough = new > SMALLEST * size
            gain = np.where(enough, np.square(np.maximum(mean @ towards_it, 0.0)) / np.where(enough, new, 1.0), 0.0)
            gain[np.isin(here, support.rows)] = 0.0
            own.add(here, -gain)
    found: dict[tuple[int, ...], tuple[Mixture, Support]] = {}
    for support, own in zip(supports, best, strict=True):
        for row in (row for row, gain in own.found() if gain < 0):
            grown = support.grown(measured, row)
            if grown.fractions.min() < LEAST:
                continue
            key, told = tuple(sorted(grown.rows)), grown.told(library, options)
            if key not in found or told.chi2 < found[key][0].chi2:
                found[key] = told, grown
    return sorted(found.values(), key=lambda pair: pair[0].chi2)[:BEAM]
