"""Reasons to doubt a fit, although its residual may be small."""

from collections.abc import Iterator, Mapping

import numpy as np

from xanes_hpc.errors import SpectrumError
from xanes_hpc.experiment.calculated import Calculated
from xanes_hpc.experiment.fit_search import Array
from xanes_hpc.experiment.fitted import Parameter
from xanes_hpc.experiment.held_out import HeldOut
from xanes_hpc.spectra.broadening import core_hole_width

RESOLVED = 1.4e-4
"""Resolution of Si(111) as a fraction of the energy; other common crystals resolve better."""
WIDEST_TIMES, WIDEST = 3.0, 5.0
"""Resolution from which one is unphysical: this many times that of Si(111), and in any case this many eV."""
FAR_SHIFT = 3.0
"""Shift from which the energies are of another scale, or the site of another oxidation state, eV."""
FAR_TIMES = 2.0
"""Factor by which a core-hole width may differ from the tabulated one."""
CORRELATED = 0.95
"""Correlation of two parameters from which only their combination is known."""
LITTLE = 50.0
"""Structure left unexplained, in %, from which a fit is hardly better than a plain edge."""


def width_warnings(parameters: Mapping[str, Parameter], calculated: Calculated, max_shift: float) -> Iterator[str]:
    """Yield a sentence for each parameter that is at a bound, unconstrained, or physically implausible."""
    for name, p in parameters.items():
        if p.at_bound and name == "shift":
            why = "the largest that was tried" if abs(p.value) > 0.99 * max_shift else "far from where the fit began"
            yield f"the shift reached its bound, {p.value:+.2f} eV, {why}; the true one may be larger"
        elif name == "shift" and abs(p.value) > FAR_SHIFT:
            yield _of_shift(p.value)
        elif p.at_bound and p.value:
            yield f"{name} reached its bound, {p.value:g}{_unit(name)}"
        elif p.undetermined:
            yield f"the data do not constrain {name}"
    yield from _implausible(parameters, calculated)


def _of_shift(shift: float) -> str:
    return (
        f"a shift of {shift:+.1f} eV is as large as those between oxidation states; if the measured energies are "
        "calibrated, and the calculated ones on the same scale, the site is another"
    )


def _unit(name: str) -> str:
    return "" if name == "seah" else " eV"


def _implausible(parameters: Mapping[str, Parameter], calculated: Calculated) -> Iterator[str]:
    gaussian, core_hole = (parameters.get(name) for name in ("gaussian", "core_hole"))
    own = RESOLVED * calculated.placed.e0
    if (
        gaussian is not None
        and (gaussian.varied or gaussian.at_bound)
        and gaussian.value > min(WIDEST_TIMES * own, WIDEST)
    ):
        yield (
            f"a resolution of {gaussian.value:.1f} eV is beyond that of a beamline (Si(111): {own:.1f} eV at this "
            "edge); the width makes up for what the calculated spectrum lacks"
        )
    if core_hole is not None and core_hole.varied:
        try:
            known = core_hole_width(calculated.element, calculated.edge)
        except SpectrumError:
            return
        if not 1.0 / FAR_TIMES <= core_hole.value / known <= FAR_TIMES:
            yield f"a core-hole width of {core_hole.value:.2g} eV is far from the tabulated one, {known:.2g} eV"


def correlation_warnings(names: list[str], covariance: Array, background: tuple[str, ...]) -> Iterator[str]:
    """Yield a sentence for each pair of strongly correlated parameters that are not both of the background."""
    sizes = np.sqrt(np.diag(covariance))
    for i, first in enumerate(names):
        for j in range(i + 1, len(names)):
            if {first, names[j]} <= set(background) or not sizes[i] * sizes[j] > 0:
                continue
            r = float(covariance[i, j] / (sizes[i] * sizes[j]))
            if abs(r) > CORRELATED:
                yield f"{first} and {names[j]} are strongly correlated (r = {r:.3f}): only their combination is known"


def structure_warning(percent: float) -> str:
    """Return a sentence if a fit is hardly better than a plain edge, else nothing."""
    if percent < LITTLE:
        return ""
    return f"the fit {_left(percent)}; a small R factor only says that both spectra have an edge"


def _left(percent: float) -> str:
    """Return as a phrase how much structure a fit leaves."""
    if percent > 100.0:
        return f"is worse than a plain edge ({percent:.0f} % of what that leaves)"
    return f"leaves {percent:.0f} % of the structure that the spectrum has beside a plain edge"


def verdict_on_fit(held_out: HeldOut, percent: float) -> str:
    """Return what it means beside the fits of held-out sites that a fit leaves so much structure; empty if nothing."""
    judged = held_out.judged(percent)
    if judged == "unexplained":
        return f"this site does not explain this spectrum: the fit {_left(percent)}; {held_out.in_words}"
    if judged == "poor":
        return (
            f"a poor fit: it {_left(percent)}, more than those of "
            f"{held_out.matched_better(percent):.0f} % of held-out sites to their own references"
        )
    return ""
