"""How spectra of one kind, such as calculated ones, become those of another, such as measured ones:

    y'(E) = scale · (g ∗ y)(E - shift)                                                                               (1)

with a Gaussian g of unit area. Zero points of energy, resolutions and normalisations differ between codes and
beamlines by this much at least.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

FARTHEST, TRIED = 15.0, 0.5
"""Largest shift that is tried, and the step between those tried, eV."""
WIDTHS = (0.0, 2.0)
"""Standard deviations of the Gaussian that are tried at first, eV."""
FWHM = float(np.sqrt(8.0 * np.log(2.0)))
"""Full width at half maximum of a Gaussian, in standard deviations."""
SIGMAS = 5.0
"""Standard deviations after which the Gaussian ends."""


@dataclass(frozen=True)
class Correspondence:
    """Shift and standard deviation of the Gaussian, eV, and scale of equation (1).

    Examples
    --------
    >>> energies = np.arange(0.0, 5.0)
    >>> Correspondence(1.0, 0.0, 2.0).matrix(energies, energies) @ np.array([0.0, 1.0, 4.0, 2.0, 2.0])
    array([0., 0., 2., 8., 4.])
    """

    shift: float
    width: float
    scale: float

    def __str__(self) -> str:
        width = FWHM * self.width
        return f"shifted by {self.shift:+.2f} eV, broadened by {width:.2f} eV (FWHM), scaled by {self.scale:.3g}"

    def matrix(self, before: FloatArray, after: FloatArray) -> FloatArray:
        """Return the matrix of equation (1), from spectra at the energies ``before`` to those at ``after``.

        Beyond their ends, spectra continue with their first and last values. Energies ``before`` are equally spaced,
        those ``after`` are any.
        """
        n = before.size
        step = (before[-1] - before[0]) / max(1, n - 1)
        reach = int(np.ceil(SIGMAS * abs(self.width) / step)) if n > 1 else 0
        steps = np.arange(-reach, reach + 1)
        weights = np.exp(-0.5 * (steps * step / self.width) ** 2) if reach else np.ones(1)
        broadened = np.zeros((n, n))
        for row, numbers in enumerate(np.clip(np.arange(n)[:, None] + steps, 0, n - 1)):
            broadened[row] = np.bincount(numbers, weights / weights.sum(), n)
        found = [np.interp(after - self.shift, before, column) for column in broadened.T]
        return np.asarray(self.scale * np.stack(found, axis=1))


def fitted(spectra: FloatArray, others: FloatArray, before: FloatArray, after: FloatArray) -> Correspondence:
    """Return the correspondence with the least squared differences between moved spectra and the others.

    Parameters
    ----------
    spectra, others : (n_spectra, n_before) and (n_spectra, n_after)
        Spectra of one kind, and those of the same sites of the other kind.
    before, after : (n_before,) and (n_after,)
        Their energies, eV.
    """
    from scipy.optimize import minimize

    def moved(values: FloatArray) -> FloatArray:
        shift, width = values.tolist()
        return np.asarray(spectra @ Correspondence(shift, width, 1.0).matrix(before, after).T)

    def scale(plain: FloatArray) -> float:
        size = float(np.vdot(plain, plain))
        return max(0.0, float(np.vdot(plain, others)) / size) if size else 0.0

    def cost(values: FloatArray) -> float:
        if abs(values[0]) > FARTHEST:
            return np.inf
        plain = moved(values)
        return float(np.square(scale(plain) * plain - others).sum())

    shifts = np.arange(-FARTHEST, FARTHEST + 0.5 * TRIED, TRIED)
    first = min((np.array([shift, width]) for shift in shifts for width in WIDTHS), key=cost)
    corners = first + np.array([[0.0, 0.0], [TRIED, 0.0], [0.0, 0.5]])
    best = minimize(cost, first, method="Nelder-Mead", options={"initial_simplex": corners, "xatol": 1e-3}).x
    return Correspondence(float(best[0]), abs(float(best[1])), scale(moved(best)))
