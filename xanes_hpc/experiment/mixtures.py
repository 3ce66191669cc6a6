"""Fit mixtures of predicted spectra to a measured one by non-negative least squares (Lawson & Hanson).

A mixture sum a_k p_k, a_k >= 0, is grown site by site. For each of the best mixtures so far, the sites that leave the
smallest residual at any shift are tried, and all coefficients are fitted again at every shift. During the search points
are weighted by the standard deviation of the mixture's first site. The final score uses the mixture's own standard
deviation: errors of its sites add linearly, because one model predicted them all. With the likelihood criterion each
further site costs the logarithm of the number of energies (Schwarz 1978). A mixture that scores no better than the
one it grew from, or than its last site alone, is dropped.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import nnls

from xanes_hpc.experiment.compare import Array, Best, Measured, Rows, chunks, error_between
from xanes_hpc.experiment.match_options import WITH_FACTOR

BEAM = 20
"""Number of mixtures kept to grow further."""
TRIED = 40
"""Number of sites fitted in full with each of them."""
LEAST = 0.01
"""Smallest fraction of a site; mixtures with less are dropped."""
SMALLEST = 1e-9
"""Fraction of a spectrum's squared norm; a component outside the mixture's span below it is rounding error."""
FIRM = 1e4
"""Weight of the condition that the fractions add up to 1, relative to the spectrum's norm."""


@dataclass(frozen=True)
class Mixture:
    """Sites whose summed spectra fit the measured one; their fractions add up to 1, largest first."""

    rows: tuple[int, ...]
    sites: tuple[str, ...]
    fractions: tuple[float, ...]
    chi2: float
    score: float
    factor: float
    shift: float
    error_percent: float
    mean: Array
    std: Array | None
    experiment: Array


@dataclass(frozen=True)
class Support:
    """The sites of a mixture that is being grown.

    Attributes
    ----------
    rows
        Rows of the sites, in the order in which they were added.
    mean, std
        Spectra and standard deviations on one axis, (n_sites, n_energies); ``std`` is None if the library has none.
    roots
        Square roots of the points' weights, (n_energies,).
    score
        The score that a larger mixture must beat.
    """

    rows: tuple[int, ...]
    mean: Array
    std: Array | None
    roots: Array
    score: float

    @classmethod
    def of_one(cls, measured: Measured, row: int, score: float) -> "Support":
        """Return a support of one site."""
        mean, std = measured.read_on_one_axis(np.array([row]))
        return cls((row,), mean, std, 1.0 / np.sqrt(measured.variance(mean, std)[0]), score)

    def grown(self, other: "Support") -> "Support":
        """Return a support that also has the sites of another."""
        std = None if self.std is None or other.std is None else np.vstack([self.std, other.std])
        score = min(self.score, other.score)
        return replace(self, rows=self.rows + other.rows, mean=np.vstack([self.mean, other.mean]), std=std, score=score)

    def mixtures(self, measured: Measured) -> Iterator[Mixture]:
        """Yield the mixture fitted at each shift, unless one of its fractions is below ``LEAST``."""
        sides = self.roots[:, None] * self.mean.T
        firm = FIRM * float(np.linalg.norm(sides))
        for shift, y in zip(measured.shifts, measured.at(), strict=True):
            target = self.roots * y
            if measured.options.scale in WITH_FACTOR:
                coefficients, _ = nnls(sides, target)
            else:
                coefficients, _ = nnls(np.vstack([sides, np.full(len(self.rows), firm)]), np.append(target, firm))
            total = float(coefficients.sum())
            if total > 0 and coefficients.min() >= LEAST * total:
                yield self._mixture(measured, y, coefficients / total, 1.0 / total, float(shift))

    def _mixture(self, measured: Measured, y: Array, fractions: Array, factor: float, shift: float) -> Mixture:
        factor = factor if measured.options.scale in WITH_FACTOR else 1.0
        mixed = fractions @ self.mean
        std = None if self.std is None else fractions @ self.std
        y = factor * y
        variance = measured.variance(mixed, std)
        chi2 = np.asarray(np.sum(np.square(y - mixed) / variance))
        cost = (len(self.rows) - 1) * np.log(y.size) if measured.options.by == "likelihood" else 0.0
        order = np.argsort(-fractions, kind="stable")
        return Mixture(
            rows=tuple(self.rows[i] for i in order),
            sites=tuple(measured.library.names[self.rows[i]] for i in order),
            fractions=tuple(float(fractions[i]) for i in order),
            chi2=float(chi2) / y.size,
            score=float(measured.score(chi2, variance, np.asarray(factor))) + cost,
            factor=factor,
            shift=shift,
            error_percent=error_between(y, mixed),
            mean=mixed,
            std=std,
            experiment=y,
        )


def grow(
    measured: Measured, rows: Rows, supports: Sequence[Support], progress: Callable[[int], None]
) -> list[tuple[Mixture, Support]]:
    """Return the best mixtures that have one site more than ``supports``, and the supports they make."""
    supports = supports[:BEAM]
    alone: dict[int, Support] = {}
    found: dict[tuple[int, ...], tuple[Mixture, Support]] = {}
    for support, tried in zip(supports, _candidates(measured, rows, supports, progress), strict=True):
        for row in tried:
            if row not in alone:
                here = np.array([row])
                alone[row] = Support.of_one(measured, row, float(measured.compare(here, *measured.read(here))[0][0]))
            grown = support.grown(alone[row])
            best = min(grown.mixtures(measured), key=lambda mixture: mixture.score, default=None)
            if best is None or not best.score < grown.score:
                continue
            key = tuple(sorted(grown.rows))
            if key not in found or best.score < found[key][0].score:
                found[key] = best, replace(grown, score=best.score)
    return sorted(found.values(), key=lambda pair: pair[0].score)[:BEAM]


def _candidates(
    measured: Measured, rows: Rows, supports: Sequence[Support], progress: Callable[[int], None]
) -> list[list[int]]:
    """Return, for each support, the sites that leave the smallest residual when added to it, at their best shift."""
    across, towards, before = [], [], []
    for support in supports:
        basis = np.linalg.qr(support.roots[:, None] * support.mean.T)[0]
        target = support.roots * measured.at()
        target /= np.linalg.norm(target, axis=1, keepdims=True)
        left = target - (target @ basis) @ basis.T
        across.append(support.roots[:, None] * basis)
        towards.append((support.roots * left).T)
        before.append(np.square(left).sum(axis=1))
    best = [Best(TRIED) for _ in supports]
    for done, here in chunks(rows):
        progress(done)
        mean, _ = measured.read_on_one_axis(here)
        squared = np.square(mean)
        for support, sides, towards_it, whole, own in zip(supports, across, towards, before, best, strict=True):
            size = squared @ np.square(support.roots)
            new = size - np.square(mean @ sides).sum(axis=1)
            some = (new > SMALLEST * size) & ~np.isin(here, support.rows)
            gain = np.square(np.maximum(mean @ towards_it, 0.0)) / np.where(some, new, 1.0)[:, None]
            left_over = np.where(some[:, None] & (gain > 0), whole - gain, np.inf)
            own.add(here, left_over.min(axis=1))
    return [[row for row, _ in own.found()] for own in best]
