"""Linear combinations of measured standards, fitted to one measured spectrum.

    y(E) = sum_k a_k s_k(E + d_k),  a_k >= 0,  by default with sum_k a_k = 1

All combinations of up to n standards are fitted, at shifts that they share, and ranked by the information criterion of
Schwarz (1978), N ln(|r|²/N) + p ln N with N independent energies and p parameters; a further standard must be worth it
clearly. The best are refined with a shift d_k of each standard. If the sample has standard deviations, energies are
weighted by them. Standard errors come from the covariance of the refined fit, which takes the residual for noise, as
Larch's and Athena's do, and from that of the normalisation of the sample and of each standard (`normalisation_errors`),
which is usually much larger. The R factor is |r|² / |y|².
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import comb

import numpy as np
from scipy.optimize import least_squares

from xanes_hpc.errors import ConfigError, SpectrumError
from xanes_hpc.experiment.compare import Array, error_between
from xanes_hpc.experiment.normalisation_errors import interpolated, normalisation_errors
from xanes_hpc.experiment.normalised import NormalisedSpectrum
from xanes_hpc.experiment.standards import Standard, at_energies, covered
from xanes_hpc.spectra.spectrum import Spectrum

MOST_STANDARDS = 6
MOST_TRIED = 100_000
"""Largest number of combinations of one size that are tried; if there are more, the best smaller ones are extended."""
STEP = 0.25
"""Distance between the common shifts that are tried, eV."""
LEAST = 0.01
"""Smallest weight of a standard, as a fraction of all."""
LEAST_NOISE = 5e-3
"""Smallest misfit assumed, as a fraction of the sample's range: spectra measured on two days never agree better."""
AT_BOUND = 0.01
"""Distance from its bound at which a shift has run into it, eV."""
WORTH = 4.0
"""What each further standard must improve the criterion by, over its cost."""
RESOLUTION = 1.5
"""Distance of energies that count as independent, eV: spectra are smooth over the width of their core hole."""
RIDGE = 1e-12
"""Part of the sample's squared norm added to the normal equations, which equal standards would make singular."""


@dataclass(frozen=True)
class CombinationOptions:
    """Options of the fit.

    Attributes
    ----------
    most
        Largest number of standards in a combination.
    sum_to_one
        Whether the weights add up to 1.
    max_shift
        Largest shift of each standard, eV; 0 for none.
    start, stop
        Range of the fit, in eV from the sample's edge.
    keep
        Number of combinations to list.
    """

    most: int = 3
    sum_to_one: bool = True
    max_shift: float = 0.0
    start: float = -20.0
    stop: float = 30.0
    keep: int = 20

    def check(self) -> None:
        """Check the values.

        Raises
        ------
        ConfigError
            If one is not possible.
        """
        if not 1 <= self.most <= MOST_STANDARDS:
            raise ConfigError(f"`mixture`: expected 1 to {MOST_STANDARDS} standards, received {self.most}")
        if not 0 <= self.max_shift < np.inf:
            raise ConfigError(f"`max_shift`: expected 0 eV or more, received {self.max_shift:g}")


@dataclass(frozen=True)
class Combination:
    """Standards that were fitted to a sample, the largest weight first.

    ``shifts`` say how much higher in energy the sample lies than each standard, eV. ``errors`` are the standard errors
    of the weights. ``fitted`` is the combination at the energies compared.
    """

    names: tuple[str, ...]
    weights: tuple[float, ...]
    errors: tuple[float, ...]
    shifts: tuple[float, ...]
    r_factor: float
    error_percent: float
    score: float
    fitted: Array = field(repr=False)

    @property
    def total(self) -> float:
        """The sum of the weights."""
        return sum(self.weights)


@dataclass(frozen=True, repr=False)
class Combinations:
    """What ``fit_combinations`` found: the best combinations first, at ``energies`` of the sample, (n_energies,).

    ``own_windows`` names the standards that were normalised with windows of their own, because they do not cover those
    of the sample.
    """

    energies: Array
    sample: Array
    n_tried: int
    ranked: list[Combination]
    own_windows: list[str]

    def __repr__(self) -> str:
        best = self.ranked[0]
        shares = " + ".join(f"{weight:.3f} {name}" for weight, name in zip(best.weights, best.names, strict=True))
        return f"<Combinations: {shares}, error {best.error_percent:.2g} %, best of {self.n_tried:,}>"


def fit_combinations(
    sample: NormalisedSpectrum, standards: Sequence[Standard], options: CombinationOptions | None = None
) -> Combinations:
    """Fit combinations of standards to a measured spectrum.

    Parameters
    ----------
    sample
        The measured spectrum, normalised.
    standards
        The standards, normalised alike.
    options
        How to fit them.

    Raises
    ------
    ConfigError
        If an option is invalid.
    SpectrumError
        If the standards cover too few of the sample's energies, or no combination has positive weights.
    """
    options = options or CombinationOptions()
    options.check()
    own = sample.spectrum
    inside = (own.energies >= sample.e0 + options.start) & (own.energies <= sample.e0 + options.stop)
    energies = covered(standards, own.energies[inside], options.max_shift)
    y = np.interp(energies, own.energies, own.intensities)
    roots = _roots(own, energies, y)
    n_steps = int(options.max_shift / STEP + 1e-9)
    best: dict[tuple[int, ...], tuple[float, float]] = {}
    n_tried = 0
    for shift in STEP * np.arange(-n_steps, n_steps + 1):
        found = _tried(roots * at_energies(standards, energies - shift), roots * y, options)
        n_tried = max(n_tried, len(found))
        for names, left in found.items():
            if names not in best or left < best[names][0]:
                best[names] = left, float(shift)
    if not best:
        raise SpectrumError(f"{own.source}: no combination of the standards fits with positive weights")
    ordered = sorted(best, key=lambda names: _score(best[names][0], y, len(names), options))
    errors_of_y = interpolated(energies, own.energies, normalisation_errors(sample))
    refined = [_refined(standards, names, best[names][1], energies, y, roots, errors_of_y, options)
               for names in ordered[: 2 * options.keep]]  # fmt: skip
    ranked = sorted((one for one in refined if one is not None), key=lambda one: one.score)
    if not ranked:
        raise SpectrumError(f"{own.source}: no combination of the standards fits with positive weights")
    windows = sample.background and sample.background.windows
    apart = [one.name for one in standards if (one.normal.background and one.normal.background.windows) != windows]
    return Combinations(energies, y, n_tried, ranked[: options.keep], apart)


def _roots(sample: Spectrum, energies: Array, y: Array) -> Array:
    """Return the roots of the weights of a sample's energies, whose squares are 1 on average, (n_energies,)."""
    if sample.sigma is None:
        return np.ones(energies.size)
    sigma = np.interp(energies, sample.energies, sample.sigma)
    weights = 1.0 / (np.square(sigma) + np.square(LEAST_NOISE * np.ptp(y)))
    return np.asarray(np.sqrt(weights / weights.mean()))


def _tried(sides: Array, y: Array, options: CombinationOptions) -> dict[tuple[int, ...], float]:
    """Return the squared residual of each combination of standards whose weights are large enough."""
    found: dict[tuple[int, ...], float] = {}
    n_standards = len(sides)
    before: list[tuple[int, ...]] = []
    for n in range(1, min(options.most, n_standards) + 1):
        if comb(n_standards, n) <= MOST_TRIED:
            every = list(combinations(range(n_standards), n))
        else:
            start = sorted(before, key=lambda own: found[own])[: max(MOST_TRIED // n_standards, 1)]
            every = sorted({tuple(sorted((*own, k))) for own in start for k in range(n_standards) if k not in own})
        chosen = np.array(every)
        if options.sum_to_one:
            apart = sides - y
            inner = (apart @ apart.T)[chosen[:, :, None], chosen[:, None, :]]
            inner = inner + RIDGE * float(y @ y) * np.eye(n)
            solved = np.linalg.solve(inner, np.ones((len(chosen), n, 1)))[..., 0]
            total = solved.sum(axis=1)
            weights, left = solved / total[:, None], 1.0 / total
        else:
            inner = (sides @ sides.T)[chosen[:, :, None], chosen[:, None, :]]
            inner = inner + RIDGE * float(y @ y) * np.eye(n)
            right = (sides @ y)[chosen]
            weights = np.linalg.solve(inner, right[..., None])[..., 0]
            left = float(y @ y) - (weights * right).sum(axis=1)
        good = weights.min(axis=1) >= LEAST * np.maximum(weights.sum(axis=1), 1e-300)
        before = [every[k] for k in np.flatnonzero(good).tolist()]
        found |= {every[k]: max(float(left[k]), 0.0) for k in np.flatnonzero(good).tolist()}
    return found


def _score(left: float, y: Array, n: int, options: CombinationOptions) -> float:
    """Return the information criterion of a fit of ``n`` standards with the squared residual ``left``."""
    n_parameters = n * (1 + (options.max_shift > 0)) - options.sum_to_one
    noise = np.square(LEAST_NOISE * np.ptp(y))
    n_independent = max(min(y.size, (options.stop - options.start) / RESOLUTION), 2.0)
    cost = n_parameters * np.log(n_independent) + n * WORTH
    return float(n_independent * np.log(left / y.size + noise) + cost)


def _refined(
    standards: Sequence[Standard], chosen: tuple[int, ...], shift: float, energies: Array, y: Array, roots: Array,
    errors_of_y: Array, options: CombinationOptions,
) -> Combination | None:  # fmt: skip
    """Return the combination fitted with the shifts of its standards.

    None if a weight becomes too small, or one shift runs into its bound while others do not: such a standard makes up
    for something else.
    """
    own, n = [standards[k] for k in chosen], len(chosen)
    free = n - options.sum_to_one
    shifted = options.max_shift > 0

    def unpacked(values: Array) -> tuple[Array, Array]:
        weights = np.append(values[:free], 1.0 - values[:free].sum()) if options.sum_to_one else values[:free]
        return weights, values[free:] if shifted else np.zeros(n)

    def fit_of(values: Array) -> Array:
        weights, shifts = unpacked(values)
        sides = [at_energies([one], energies - d)[0] for one, d in zip(own, shifts, strict=True)]
        return np.asarray(weights @ np.array(sides))

    low = np.concatenate([np.full(free, -1.0), np.full(n * shifted, -options.max_shift)])
    high = np.concatenate([np.full(free, np.inf), np.full(n * shifted, options.max_shift)])
    first = np.concatenate([np.full(free, 1.0 / n), np.full(n * shifted, shift)])
    if not first.size:
        values, covariance = first, np.zeros((0, 0))
    else:
        start = np.clip(first, low + 1e-9, high - 1e-9)
        fit = least_squares(lambda v: roots * (fit_of(v) - y), start, bounds=(low, high), diff_step=1e-4)
        values = fit.x
        covariance = np.linalg.pinv(fit.jac.T @ fit.jac) * 2.0 * fit.cost / max(y.size - values.size, 1)
        follows = np.linalg.pinv(fit.jac) * roots
        sources = [errors_of_y, *(a * one.errors_at(energies - d)
                                  for one, a, d in zip(own, *unpacked(values), strict=True))]  # fmt: skip
        moved = follows @ np.vstack(sources).T
        covariance = covariance + moved @ moved.T
    weights, shifts = unpacked(values)
    limited = shifted * (np.abs(shifts) > options.max_shift - AT_BOUND)
    if weights.min() < LEAST * weights.sum() or (np.any(limited) and np.ptp(shifts) > AT_BOUND):
        return None
    slopes = np.vstack([np.eye(free), -np.ones(free)]) if options.sum_to_one else np.eye(free)
    errors = np.sqrt(np.diag(slopes @ covariance[:free, :free] @ slopes.T))
    fitted = fit_of(values)
    left = float(np.square(y - fitted).sum())
    weighted = float(np.square(roots * (y - fitted)).sum())
    order = np.argsort(-weights, kind="stable").tolist()
    return Combination(
        names=tuple(own[k].name for k in order),
        weights=tuple(float(weights[k]) for k in order),
        errors=tuple(float(errors[k]) for k in order),
        shifts=tuple(float(shifts[k]) for k in order),
        r_factor=left / float(y @ y),
        error_percent=error_between(y, fitted),
        score=_score(weighted, y, n, options),
        fitted=fitted,
    )
