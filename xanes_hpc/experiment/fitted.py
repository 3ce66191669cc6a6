"""The result of a fit."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.experiment.fit_search import Ends
from xanes_hpc.experiment.held_out import HeldOut
from xanes_hpc.experiment.normalised import NormalisedSpectrum
from xanes_hpc.spectra.recipe import BroadeningConfig

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Parameter:
    """A fitted or fixed parameter: its value, standard error, and the ends of its intervals by level (68, 95).

    ``at_bound`` marks a parameter that reached its bound, ``undetermined`` one that the data do not constrain.
    """

    value: float
    varied: bool
    stderr: float | None = None
    intervals: dict[str, Ends] = field(default_factory=dict)
    at_bound: bool = False
    undetermined: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            "value": self.value,
            "varied": self.varied,
            "at_bound": self.at_bound,
            "undetermined": self.undetermined,
            "stderr": self.stderr,
        } | {f"interval_{level}": list(ends) for level, ends in self.intervals.items()}


@dataclass(frozen=True, repr=False)
class Fitted:
    """The result of a fit.

    Attributes
    ----------
    parameters
        Parameters by name.
    broadening
        The recipe with the fitted widths.
    energies, experiment, fitted, before, background
        Arrays (n_points,): energies in eV from e0, the measured spectrum, the fit, the calculated spectrum shifted and
        scaled but without the fitted broadening, and the fitted background, which all three contain.
    n_independent
        Number of independent points: fewer than all where neighbouring residuals are alike, as those of a misfit of the
        calculation are. Errors and intervals of parameters are those of this many points.
    r_factor
        sum (y - fit)² / sum y², for y the measured spectrum without the fitted background
    unexplained_percent
        sum (y - fit)² in % of sum (y - edge)², where edge is the arctangent that fits best: what the fit leaves of the
        structure that a plain edge does not have.
    held_out
        The same for held-out sites, each fitted to its own reference; None if there are too few.
    verdict
        Verdict of the comparison with them; empty if the fit is ordinary.
    warnings
        Reasons to doubt the fit, one sentence each; the verdict is among them.
    measured
        The measured spectrum as it was fitted, and how it was normalised.
    """

    parameters: dict[str, Parameter]
    broadening: BroadeningConfig
    energies: Array
    experiment: Array
    fitted: Array
    before: Array
    background: Array
    n_independent: float
    r_factor: float
    unexplained_percent: float
    held_out: HeldOut | None
    verdict: str
    warnings: tuple[str, ...]
    measured: NormalisedSpectrum

    def __repr__(self) -> str:
        values = [
            f"{name} {p.value:.4g}{f' ± {p.stderr:.2g}' if p.stderr is not None else ''}"
            for name, p in self.parameters.items()
            if p.varied
        ]
        warned = {0: "", 1: "; 1 warning"}.get(len(self.warnings), f"; {len(self.warnings)} warnings")
        return f"<Fitted {self.broadening.name}: {', '.join(values)}; R factor {self.r_factor:.3g}{warned}>"

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            "parameters": {name: p.as_dict() for name, p in self.parameters.items()},
            "r_factor": self.r_factor,
            "unexplained_percent": self.unexplained_percent,
            "held_out_percent": None if self.held_out is None else self.held_out.errors.tolist(),
            "verdict": self.verdict,
            "warnings": list(self.warnings),
            "n_points": int(self.energies.size),
            "n_independent": self.n_independent,
            "start_ev": float(self.energies[0]),
            "stop_ev": float(self.energies[-1]),
        } | self.measured.as_dict()
