"""How well a library explains spectra that it should, in the manner of a series: each beside its best site.

The held-out references of a model lose the same smooth terms as the spectra of the series, and are fitted by one site
with a factor. Mixtures of several sites fit more easily; a series that they fit less well is unlike the sites.
"""

from collections.abc import Callable

import numpy as np

from xanes_hpc.experiment.compare import Array, Measured, Rows
from xanes_hpc.experiment.held_out import FEWEST, MOST_REFERENCES, MOST_ROWS, HeldOut

ROWS_AT_ONCE = 1024


def held_out_beside(measured: Measured, project: Callable[[Array], Array], rows: Rows) -> HeldOut | None:
    """Return the errors of the library's held-out references beside their best sites; None if it has too few.

    Parameters
    ----------
    measured
        Places spectra on the library's grid; its energies and shifts are those of the series.
    project
        Removes the smooth terms from spectra (…, n_energies).
    rows
        The sites to compare with.
    """
    _, references = measured.library.references(rows, MOST_REFERENCES)
    if len(references) < FEWEST:
        return None
    moved = (measured.energies[None, :] + measured.shifts[:, None]).ravel()
    every = np.stack([np.interp(moved, measured.library.energies, one) for one in references])
    y = project(every.reshape(-1, measured.energies.size))
    some = rows[np.linspace(0, rows.size - 1, min(rows.size, MOST_ROWS)).astype(np.int64)]
    gains, factors = np.zeros(len(y)), np.zeros(len(y))
    sites = np.zeros_like(y)
    for start in range(0, some.size, ROWS_AT_ONCE):
        mean = measured.read(some[start : start + ROWS_AT_ONCE])[0]
        mean = mean[np.isfinite(mean).all(axis=1)]
        plain = project(mean)
        size = np.maximum(np.square(plain).sum(axis=1), 1e-300)
        along = np.maximum(y @ plain.T, 0.0)
        found = np.square(along) / size
        best = found.argmax(axis=1)
        gain = found[np.arange(len(y)), best]
        better = gain > gains
        gains[better], sites[better] = gain[better], mean[best[better]]
        factors[better] = (along[np.arange(len(y)), best] / size[best])[better]
    fitted = factors[:, None] * sites
    residual = y - project(fitted)
    left = np.square(residual).sum(axis=1).reshape(len(references), -1)
    at = np.arange(len(references)) * measured.shifts.size + left.argmin(axis=1)
    return HeldOut(np.sort(residual_percent(residual[at], fitted[at])))


def residual_percent(residual: Array, fitted: Array) -> Array:
    """Return residuals in % of the spectra without their smooth terms, by sums of absolute values, (n_spectra,)."""
    whole = np.abs(fitted + residual).sum(axis=1)
    return np.asarray(100.0 * np.abs(residual).sum(axis=1) / np.maximum(whole, 1e-300))
