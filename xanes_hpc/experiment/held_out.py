"""How well a library explains spectra that it should: the held-out references of a model, matched as a measured one is.

A measured spectrum whose best error is larger than those of nearly all held-out spectra is not explained by any site.
"""

from dataclasses import dataclass, field

import numpy as np

from xanes_hpc.experiment.compare import Array, Measured, Rows, scaled

MOST_REFERENCES = 100
"""Largest number of held-out spectra that are matched."""
MOST_ROWS = 8192
"""Largest number of sites that they are compared with; fewer sites make their errors larger."""
ROWS_AT_ONCE = 256
POOR, UNEXPLAINED = 75.0, 95.0
"""Percentages of held-out spectra that are matched better, from which a match is poor, and from which there is none."""
FEWEST = 10


@dataclass(frozen=True, repr=False)
class HeldOut:
    """Errors of held-out spectra, each compared with the site that is most like it.

    Attributes
    ----------
    errors : (n,)
        Errors in %, ascending.
    """

    errors: Array = field(default_factory=lambda: np.empty(0))

    def __repr__(self) -> str:
        return f"<HeldOut {self.in_words}>"

    @property
    def in_words(self) -> str:
        """The errors as a phrase."""
        low, middle, high = np.quantile(self.errors, [0.05, 0.5, 0.95])
        return f"{self.errors.size} held-out spectra: {low:.1f} to {high:.1f} %, median {middle:.1f} %"

    def matched_better(self, error: float) -> float:
        """Return the percentage of held-out spectra whose error is smaller."""
        return 100.0 * float(np.mean(self.errors < error))

    def verdict(self, error: float) -> str:
        """Return what the best error of a measured spectrum means; empty if it is ordinary."""
        share = self.matched_better(error)
        if share >= UNEXPLAINED:
            return f"no site explains this spectrum: the best error is {error:.1f} %; {self.in_words}"
        if share >= POOR:
            return f"a poor match: the best error, {error:.1f} %, exceeds that of {share:.0f} % of held-out spectra"
        return ""


def held_out(measured: Measured, rows: Rows) -> HeldOut | None:
    """Return the errors of the library's held-out references against the sites at ``rows``; None if it has too few.

    Parameters
    ----------
    measured
        The measured spectrum: references are compared over its energies, shifts and by its options.
    rows
        The sites to compare with.
    """
    references = getattr(measured.library, "references", lambda rows, most: None)(rows, MOST_REFERENCES)
    if references is None or len(references) < FEWEST:
        return None
    some = rows[np.linspace(0, rows.size - 1, min(rows.size, MOST_ROWS)).astype(np.int64)]
    return HeldOut(np.sort(_errors(measured, some, references)))


def _errors(measured: Measured, rows: Rows, references: Array) -> Array:
    """Return the error in % of each reference, (n_references, n_grid), against the site with the best score."""
    grid, scale = measured.library.energies, measured.options.scale
    n_references, n_shifts, n_energies = len(references), measured.shifts.size, measured.energies.size
    moved = (measured.energies[None, :] + measured.shifts[:, None]).ravel()
    y = np.stack([np.interp(moved, grid, one).reshape(n_shifts, n_energies) for one in references])
    y = scaled(y.reshape(-1, n_energies), scale)[0]
    squares = np.square(y).T
    best, errors = np.full(n_references, np.inf), np.full(n_references, np.nan)
    for start in range(0, rows.size, ROWS_AT_ONCE):
        mean, std = measured.read(rows[start : start + ROWS_AT_ONCE])
        variance = measured.variance(mean, std)
        weights = 1.0 / variance
        both, size = (weights * mean) @ y.T, weights @ squares
        c = np.ones_like(both)
        if scale == "factor":
            c = np.maximum(both / np.where(size > 0, size, 1.0), 0.0)
        chi2 = np.einsum("ij,ij,ij->i", weights, mean, mean)[:, None] - 2.0 * c * both + np.square(c) * size
        score = measured.score(np.maximum(chi2, 0.0), variance[:, None, :], c).reshape(
            len(mean), n_references, n_shifts
        )
        factors = c.reshape(score.shape)
        at = score.transpose(1, 0, 2).reshape(n_references, -1).argmin(axis=1)
        row, shift = np.divmod(at, n_shifts)
        for k in np.flatnonzero(score[row, np.arange(n_references), shift] < best):
            best[k] = score[row[k], k, shift[k]]
            own = factors[row[k], k, shift[k]] * y[k * n_shifts + shift[k]]
            errors[k] = 100.0 * float(np.abs(own - mean[row[k]]).sum() / max(np.abs(own).sum(), 1e-300))
    return np.asarray(errors[np.isfinite(errors)])
