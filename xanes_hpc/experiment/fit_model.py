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
    """

    energies: Array
    measured: Array
    weights: Array
    place: npt.NDArray[np.int64]
    edge: float = 0.0
    post_order: int = 0
    flatten: bool = True

    @property
    def inside(self) -> Mask:
        """The points that are compared with the calculation."""
        return np.asarray(self.place == INSIDE)

    def levelled(self, residuals: Array) -> "Points":
        """Return the points with those inside weighted by the scatter of their residuals."""
        weights = self.weights.copy()
        weights[self.inside] = 1.0 / _scatter(residuals[self.inside], 0, self.measured)
        return replace(self, weights=weights)


def points_of(measured: Spectrum, energies: Array, inside: Mask) -> Points:
    """Return the points inside the range of the calculation."""
    weights = np.ones(int(inside.sum()))
    return Points(energies[inside], measured.intensities[inside], weights, np.zeros(weights.size, np.int64))


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
    return Points(energies[used], mu[used], weights[used], place, edge, order, flatten)


def _scatter(residuals: Array, n_fitted: int, mu: Array) -> float:
    """Return the standard deviation of residuals; never so small that it is rounding."""
    found = float(np.sqrt(np.sum(np.square(residuals)) / (residuals.size - n_fitted)))
    return max(found, QUIETEST * float(np.ptp(mu)))


class FitModel:
    """The model of some points.

    Attributes
    ----------
    curve, points
        The calculated spectrum, and the measured points.
    linear
        Names of the linear parameters, in the order of the columns.
    """

    def __init__(self, curve: Curve, points: Points, baseline: str) -> None:
        self.curve, self.points = curve, points
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
        mu = self.curve.with_widths(own)
        here = np.interp(self.points.energies - values["shift"], self.curve.energies, mu) * self.points.inside
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
