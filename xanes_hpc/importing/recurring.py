"""Reasons that recur among the skipped inputs of an import, each told once with advice that fits all."""

from dataclasses import dataclass
from typing import Any

from xanes_hpc.errors import RecurringError
from xanes_hpc.spectra.rise_at_edge import FAR


@dataclass
class Recurring:
    """The inputs that were skipped for the same kind of reason.

    Attributes
    ----------
    kind
        The reason.
    reason, first
        The whole message of the first of them, and what is wrong with it.
    advice
        What to do about all of them.
    count
        Their number.
    lowest_shift, highest_shift
        Range of the shifts (eV) that would put their edges at e0; None if that is not what is wrong.
    """

    kind: str
    reason: str
    first: str
    advice: str
    count: int = 0
    lowest_shift: float | None = None
    highest_shift: float | None = None

    def add(self, error: RecurringError) -> None:
        """Count another one."""
        self.count += 1
        if error.shift is not None:
            self.lowest_shift = min(error.shift, error.shift if self.lowest_shift is None else self.lowest_shift)
            self.highest_shift = max(error.shift, error.shift if self.highest_shift is None else self.highest_shift)

    def __str__(self) -> str:
        if self.count == 1:
            return self.reason
        return f"{self.kind}: {self.count:,} (first: {self.first}); {self._advice_for_all}"

    @property
    def _advice_for_all(self) -> str:
        low, high = self.lowest_shift, self.highest_shift
        if low is None or high is None:
            return self.advice
        if high - low > 2 * FAR:
            return (
                f"no one `shift` fits, because their steepest rises are {-high:g} to {-low:g} eV from e0; check "
                "`absorber` and `edge`, or import groups of spectra with a `shift` or `e0` of their own"
            )
        return (
            f"`shift` {0.5 * (low + high):.1f} puts their steepest rises within {0.5 * (high - low):.1f} eV of e0, or "
            "give `e0`"
        )

    def as_values(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        shifts = None if self.lowest_shift is None else [self.lowest_shift, self.highest_shift]
        return {"kind": self.kind, "count": self.count, "reason": str(self), "shifts_ev": shifts}
