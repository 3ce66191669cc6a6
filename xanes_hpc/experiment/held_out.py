"""How well a library explains spectra that it should: the held-out references of a model, matched as a measured one is.

A measured spectrum whose best error is larger than those of nearly all held-out spectra is not explained by any site.
"""

from dataclasses import dataclass, field

import numpy as np

from xanes_hpc.experiment.compare import Array, Measured, Rows, error_between

MOST_REFERENCES = 100
"""Largest number of held-out spectra that are matched."""
MOST_ROWS = 8192
"""Largest number of sites that they are compared with; fewer sites make their errors larger."""
ROWS_AT_ONCE = 256
POOR, UNEXPLAINED = 75.0, 95.0
"""Percentages of held-out spectra that are matched better, from which a match is poor, and from which there is none."""
FEWEST = 10
TOO_FEW = f"fewer than {FEWEST} references of held-out sites, too few to judge the error"


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

    def judged(self, error: float) -> str:
        """Return ``poor`` or ``unexplained`` for the best error of a measured spectrum; empty if it is ordinary."""
        share = self.matched_better(error)
        return "unexplained" if share >= UNEXPLAINED else "poor" if share >= POOR else ""


def held_out(measured: Measured, rows: Rows) -> HeldOut | None:
    """Return the errors of the library's held-out references against the sites at ``rows``; None if it has too few.

    Parameters
    ----------
    measured
        The measured spectrum: references are compared over its energies, shifts and by its options.
    rows
        The sites to compare with.
    """
    _, references = measured.library.references(rows, MOST_REFERENCES)
    if len(references) < FEWEST:
        return None
    some = rows[np.linspace(0, rows.size - 1, min(rows.size, MOST_ROWS)).astype(np.int64)]
    return HeldOut(np.sort(_errors(measured, some, references)))


def _errors(measured: Measured, rows: Rows, references: Array) -> Array:
    """Return the error in % of each reference, (n_references, n_grid), against the site with the best score."""
    n_references, n_shifts, n_energies = len(references), measured.shifts.size, measured.energies.size
    moved = (measured.energies[None, :] + measured.shifts[:, None]).ravel()
    flat = np.stack([np.interp(moved, measured.library.energies, one) for one in references]).reshape(-1, n_energies)
    y = measured.scaled(flat)[0].reshape(n_references, n_shifts, n_energies)
    best, errors = np.full(n_references, np.inf), np.full(n_references, np.nan)
    for start in range(0, rows.size, ROWS_AT_ONCE):
        mean, std = measured.read(rows[start : start + ROWS_AT_ONCE])
        variance = measured.variance(mean, std)
        chi2, factor, shift = measured.agreement(mean, variance, y)
        score = measured.score(chi2, variance[:, None, :], factor)
        row = score.argmin(axis=0)
        for k in np.flatnonzero(score[row, np.arange(n_references)] < best):
            at = row[k], k
            best[k] = score[at]
            errors[k] = error_between(factor[at] * y[k, shift[at]], mean[row[k]])
    return np.asarray(errors[np.isfinite(errors)])
