"""The model of a measured spectrum in a fit: linear in all but shift and widths.

With E in eV from the calculation's e0, E1 the measured edge and B the broadening,

    scale · B[mu](E - shift) + offset + slope · E + post(E)      where the calculation lies
    offset + slope · E                                           in the pre-edge window
    offset + slope · E + edge_step + post(E)                     in the post-edge window

    post(E) = post_1 (E - E1) + post_2 (E - E1)² + … above E1, else 0

The windows are there only if the background is fitted, and post(E) between them only if the spectrum is flattened: this
is the background that ``spectra.edge_step`` subtracts. For given shift and widths the linear parameters are solved for,
so that a search sees only the others (variable projection, Golub & Pereyra, doi:10.1137/0710036).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from xanes_hpc.experiment.autocorrelation import correlation_length
from xanes_hpc.experiment.fit_curve import BASELINES, Curve
from xanes_hpc.experiment.normalised import NormalisedSpectrum
from xanes_hpc.spectra.recipe import BROADENING_USES
from xanes_hpc.spectra.spectrum import Spectrum

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Values = dict[str, float]

QUIETEST = 1e-5
"""Smallest scatter of a window, as a fraction of the spectrum's range: less is rounding."""
FIRST_ERROR = 0.01
"""Error of the calculation, as a fraction of the range it is compared with, before it is known from a first fit."""
BEFORE, INSIDE, AFTER = -1, 0, 1
LEAST = 1e-3
"""Smallest variance in addition to that of known standard deviations, relative to their mean."""


@dataclass(frozen=True)
class Points:
    """The measured points of a fit.

    Attributes
    ----------
    energies, measured, weights : (n_points,)
        Energies in eV from the calculation's e0, intensities, and the weights of their residuals.
    place : (n_points,)
        ``BEFORE``, ``INSIDE`` or ``AFTER`` the range where the calculation is compared.
    edge
        The measured edge on the same axis, eV.
    post_order
        Degree of the post-edge polynomial.
    flatten
        Whether it also applies where the calculation lies.
    sigma : (n_points,)
        Standard deviations of the measured intensities; None if they are not known.
    n_independent
        Number of independent points; None for all of them.
    """

    energies: Array
    measured: Array
    weights: Array
    place: npt.NDArray[np.int64]
    edge: float = 0.0
    post_order: int = 0
    flatten: bool = True
    sigma: Array | None = None
    n_independent: float | None = None

    @property
    def inside(self) -> Mask:
        """The points that are compared with the calculation."""
        return np.asarray(self.place == INSIDE)

    def levelled(self, residuals: Array) -> "Points":
        """Return the points weighted by what the residuals of a first fit say of them.

        Inside, the variance is that of the residuals; the larger known standard deviations are, the larger it is. The
        weights of neighbours that are not independent are reduced, so that they count as fewer points.
        """
        weights, n_independent = self.weights.copy(), 0.0
        weights[self.inside] = 1.0 / _scatter(residuals[self.inside], 0, self.measured)
        for place in (BEFORE, INSIDE, AFTER):
            own = self.place == place
            if not own.any():
                continue
            if self.sigma is not None:
                known = np.square(self.sigma[own])
                others = np.maximum(weights[own] ** -2.0 - known.mean(), LEAST * known.mean())
                weights[own] = 1.0 / np.sqrt(known + others)
            length = correlation_length((weights * residuals)[own])
            weights[own] /= np.sqrt(length)
            n_independent += own.sum() / length
        return replace(self, weights=weights, n_independent=n_independent)


def points_of(measured: Spectrum, energies: Array, inside: Mask) -> Points:
    """Return the points inside the range of the calculation."""
    weights = np.ones(int(inside.sum()))
    sigma = None if measured.sigma is None else measured.sigma[inside]
    return Points(
        energies[inside], measured.intensities[inside], weights, np.zeros(weights.size, np.int64), sigma=sigma
    )


def points_with_background(normal: NormalisedSpectrum, energies: Array, inside: Mask, flatten: bool) -> Points:
    """Return the points inside the range of the calculation, and those of the windows beside it.

    A spectrum without windows has its points before that range in place of the pre-edge window.
    """
    first, last = np.flatnonzero(inside)[[0, -1]]
    at = np.arange(energies.size)
    edge = energies[0] + normal.e0 - normal.raw.energies[0]
    before, after, order = at < first, np.zeros(at.size, bool), 0
    if normal.background is not None:
        windows, relative = normal.background.windows, energies - edge
        slack = 1e-6
        before &= (relative >= windows.pre[0] - slack) & (relative <= windows.pre[1] + slack)
        after = (at > last) & (relative >= windows.post[0] - slack) & (relative <= windows.post[1] + slack)
        order = windows.order
    if after.sum() <= order + 1:
        after, order = np.zeros(at.size, bool), 0
    mu = normal.raw.intensities
    weights = np.full(at.size, 1.0 / (FIRST_ERROR * float(np.ptp(mu[inside]))))
    for own, degree in ((before, 1), (after, order)):
        if own.sum() > degree + 1:
            line = np.polynomial.Polynomial.fit(energies[own], mu[own], degree)
            weights[own] = 1.0 / _scatter(mu[own] - line(energies[own]), degree + 1, mu)
    used = before | inside | after
    place = np.where(before, BEFORE, np.where(after, AFTER, INSIDE))[used]
    sigma = None if normal.raw.sigma is None else normal.raw.sigma[used]
    return Points(energies[used], mu[used], weights[used], place, edge, order, flatten, sigma)


def _scatter(residuals: Array, n_fitted: int, mu: Array) -> float:
    """Return the standard deviation of residuals; never so small that it is rounding."""
    found = float(np.sqrt(np.sum(np.square(residuals)) / (residuals.size - n_fitted)))
    return max(found, QUIETEST * float(np.ptp(mu)))


class FitModel:
    """The model of some points.

    Attributes
    ----------
    curve, points, baseline
        The calculated spectrum, the measured points, and what is added to the calculation.
    linear
        Names of the linear parameters, in the order of the columns.
    """

    def __init__(self, curve: Curve, points: Points, baseline: str) -> None:
        self.curve, self.points, self.baseline = curve, points, baseline
        energies, after = points.energies, points.place == AFTER
        constant: dict[str, Array] = {}
        for name, column in (("offset", np.ones_like(energies)), ("slope", energies)):
            if name in BASELINES[baseline]:
                constant[name] = column
        if after.any():
            above = np.maximum(energies - points.edge, 0.0) * (after | (points.inside & points.flatten))
            constant["edge_step"] = after.astype(np.float64)
            constant |= {f"post_{n}": above**n for n in range(1, points.post_order + 1)}
        self.linear = ("scale", *constant)
        self._constant = np.stack(list(constant.values()), axis=1) if constant else np.empty((energies.size, 0))

    def columns(self, values: Mapping[str, float]) -> Array:
        """Return the factor of each linear parameter, (n_points, n_linear), at a shift and widths."""
        own = {name: values[name] for name in BROADENING_USES[self.curve.recipe.name]}
        here = self.curve.at(self.points.energies - values["shift"], own) * self.points.inside
        return np.column_stack([here, self._constant])

    def solve(self, values: Mapping[str, float], held: Mapping[str, float] | None = None) -> tuple[Values, Array]:
        """Return the linear parameters that fit best at a shift and widths, and the weighted residuals.

        ``held`` holds linear parameters that are not fitted. The scale is never negative.
        """
        columns, weights = self.columns(values), self.points.weights
        held = held or {}
        found, residuals = self._solved(columns, held)
        if found["scale"] < 0:
            found, residuals = self._solved(columns, {**held, "scale": 0.0})
        return found, weights * residuals

    def _solved(self, columns: Array, held: Mapping[str, float]) -> tuple[Values, Array]:
        weights = self.points.weights
        free = [k for k, name in enumerate(self.linear) if name not in held]
        found = np.array([held.get(name, 0.0) for name in self.linear])
        target = self.points.measured - columns @ found
        if free:
            sides = columns[:, free] * weights[:, None]
            sizes = np.linalg.norm(sides, axis=0)
            sizes[sizes == 0] = 1.0
            found[free] = np.linalg.lstsq(sides / sizes, weights * target, rcond=None)[0] / sizes
            target = self.points.measured - columns @ found
        return dict(zip(self.linear, found.tolist(), strict=True)), target

    def modelled(self, values: Mapping[str, float]) -> Array:
        """Return the model at all points, given every parameter."""
        return np.asarray(self.columns(values) @ np.array([values[name] for name in self.linear]))

    def background(self, values: Mapping[str, float]) -> Array:
        """Return what the model adds to the calculation, at all points."""
        return np.asarray(self._constant @ np.array([values[name] for name in self.linear[1:]]))
