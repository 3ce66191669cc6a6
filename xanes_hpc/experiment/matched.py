"""The result of a search for the sites whose spectra are most like a measured one."""

from dataclasses import dataclass, field

import numpy as np

from xanes_hpc.experiment.compare import Array
from xanes_hpc.experiment.held_out import TOO_FEW, HeldOut
from xanes_hpc.experiment.mixtures import Mixture
from xanes_hpc.spectra.distribution import GAUSSIAN, Distribution

POOR = 50.0
"""Error in % above which even the best site does not resemble the measured spectrum."""


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
    ``held_out`` says how well held-out spectra are matched; None if the library has too few. ``noise`` says what was
    taken for that of the measured spectrum. ``max_shift`` is the largest shift that was allowed, eV. ``distribution``
    is that of the library's errors.
    """

    energies: Array
    origin: str
    n_compared: int
    n_left_out: int
    ranked: list[Matched]
    mixtures: list[Mixture] = field(default_factory=list)
    held_out: HeldOut | None = None
    noise: str = ""
    max_shift: float = 0.0
    distribution: Distribution = GAUSSIAN

    @property
    def step(self) -> float:
        """The distance between the shifts that are tried, eV."""
        return float(np.median(np.diff(self.energies)))

    def is_at_limit(self, found: Matched | Mixture) -> bool:
        """Return whether the shift of a site or mixture is as large as allowed, so that the true one may be larger."""
        return self.max_shift > 0 and abs(found.shift) > self.max_shift - self.step + 1e-6

    @property
    def for_comparison(self) -> str:
        """How well held-out spectra are matched, as a phrase, or that there are too few to tell."""
        return TOO_FEW if self.held_out is None else self.held_out.in_words

    @property
    def judged(self) -> str:
        """What the error of the best site means: ``poor``, ``unexplained``, or nothing if it is ordinary."""
        error = self.ranked[0].error_percent
        judged = "" if self.held_out is None else self.held_out.judged(error)
        return "unexplained" if not judged and error > POOR else judged

    @property
    def verdict(self) -> str:
        """The same as a phrase."""
        best = self.ranked[0]
        own = f"{best.site}, the best match, has an error of {best.error_percent:.1f} %"
        judged = "" if self.held_out is None else self.held_out.judged(best.error_percent)
        if self.held_out is not None and judged == "unexplained":
            return f"no site explains this spectrum: {own}; {self.held_out.in_words}"
        if self.held_out is not None and judged == "poor":
            share = self.held_out.matched_better(best.error_percent)
            return f"a poor match: {own}, more than {share:.0f} % of held-out spectra"
        return f"no site resembles it: {own}" if self.judged else ""

    def __repr__(self) -> str:
        best, left_out = self.ranked[0], f", {self.n_left_out:,} left out" if self.n_left_out else ""
        return (
            f"<Match of {self.n_compared:,} site{'s' if self.n_compared != 1 else ''}{left_out}: best {best.site}, "
            f"error {best.error_percent:.2f} %>"
        )
