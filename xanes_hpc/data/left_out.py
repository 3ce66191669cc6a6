"""Count the sites that a grid leaves out, by reason, and name the range of energies that would use them."""

from dataclasses import asdict, dataclass, replace
from math import ceil, floor
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import SpectrumError
from xanes_hpc.spectra.grid import FIRST_VALUE, LAST_VALUE, Grid, shared_range

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class End:
    """The spectra that do not reach one end of the grid.

    Attributes
    ----------
    n_spectra
        Their number.
    most_ev
        The largest distance from a spectrum's end to the grid's, eV.
    padded
        Whether spectra are padded at this end, so that none is left out for it.
    """

    n_spectra: int = 0
    most_ev: float = 0.0
    padded: bool = False

    @property
    def leaves_out(self) -> bool:
        """Whether spectra are left out because they do not reach this end."""
        return bool(self.n_spectra) and not self.padded


@dataclass(frozen=True)
class LeftOut:
    """The sites of a run that a grid leaves out.

    Attributes
    ----------
    n_sites, n_spectra
        Number of sites, and of those that have a spectrum of the kind and treatment.
    n_short
        Number of spectra left out because they do not reach an end of the grid.
    n_not_finite
        Number of spectra left out because their treatment yields values that are not finite.
    start_ev, stop_ev
        The ends of the grid.
    below, above
        The spectra that begin above the first energy, and those that end below the last.
    better_start_ev, better_stop_ev, n_better
        Ends that leave out fewer spectra, and the number of spectra that reach both; None if there are none.
    n_without_features
        Number of sites left out because they have no features, although they have a target; None if there are none.
    """

    n_sites: int
    n_spectra: int
    n_short: int
    n_not_finite: int
    start_ev: float
    stop_ev: float
    below: End = End()
    above: End = End()
    better_start_ev: float | None = None
    better_stop_ev: float | None = None
    n_better: int | None = None
    n_without_features: int | None = None

    @property
    def n_without(self) -> int:
        """Number of sites without a spectrum of the kind and treatment."""
        return self.n_sites - self.n_spectra

    @property
    def n(self) -> int:
        """Number of sites left out, for any reason."""
        return self.n_without + self.n_short + self.n_not_finite + (self.n_without_features or 0)

    def with_usable(self, n_usable: int, n_without_features: int = 0) -> "LeftOut":
        """Return the counts, given the number of sites whose target is finite, and of these without features."""
        not_finite = max(0, self.n_spectra - self.n_short - n_usable)
        return replace(self, n_not_finite=not_finite, n_without_features=n_without_features or None)

    def check(self, most_left_out: float) -> None:
        """Refuse a grid that leaves out all spectra, or a larger fraction than ``most_left_out``.

        Raises
        ------
        SpectrumError
            If so; the message names a range that leaves out fewer.
        """
        if self.n_short == self.n_spectra:
            raise SpectrumError(f"no spectrum covers {self._grid}: {self.reasons}; {self.advice}")
        if self.n_short > most_left_out * self.n_spectra:
            raise SpectrumError(
                f"{self.n_short:,} of {self.n_spectra:,} spectra do not cover {self._grid}: {self.reasons}; "
                f"{self.advice}; most_left_out = 1 goes on without them"
            )

    @property
    def counts(self) -> dict[str, str]:
        """How many sites are left out, and how many spectra padded, with the reasons; in words, by title."""
        reasons = [
            f"{n:,} site{'s' * (n != 1)} {why}"
            for n, why in (
                (self.n_without, "without such a spectrum"),
                (self.n_short, f"whose spectrum does not cover the whole grid ({self.reasons})"),
                (self.n_not_finite, "whose spectrum is not finite after its treatment"),
                (self.n_without_features, "without features"),
            )
            if n
        ]
        found = {"left out": "; ".join(reasons), "padded": self.padded}
        return {title: words for title, words in found.items() if words}

    @property
    def _grid(self) -> str:
        return f"the whole [target] grid, {self.start_ev:g} to {self.stop_ev:g} eV"

    @property
    def reasons(self) -> str:
        """How many spectra are left out at which end of the grid, in words."""
        return " and ".join(
            f"{end.n_spectra:,} {verb}{'s' * (end.n_spectra == 1)} {where} by up to {end.most_ev:.3g} eV"
            for end, verb, where in ((self.below, "begin", "above its start"), (self.above, "end", "below its stop"))
            if end.leaves_out
        )

    @property
    def padded(self) -> str:
        """How many spectra are padded at which end of the grid, in words; empty if none is."""
        return " and ".join(
            f"{end.n_spectra:,} {what} by up to {end.most_ev:.3g} eV"
            for end, what in (
                (self.below, "spectra below their first energy"),
                (self.above, "spectra above their last"),
            )
            if end.padded and end.n_spectra
        )

    @property
    def advice(self) -> str:
        """Settings of ``[target]`` that leave out fewer spectra, in words."""
        ends = [
            f"{name} = {value:g}"
            for name, value in (("start", self.better_start_ev), ("stop", self.better_stop_ev))
            if value is not None
        ]
        pads = [f'below = "{FIRST_VALUE}"'] if self.below.leaves_out else []
        pads += [f'above = "{LAST_VALUE}"'] if self.above.leaves_out else []
        found = [f"{' and '.join(ends)} would use {self.n_better:,} of {self.n_spectra:,} spectra"] if ends else []
        found += [f"{' and '.join(pads)} would pad them"] if pads else []
        return ", ".join(found) or "change start and stop"

    def as_values(self) -> dict[str, Any]:
        """Return plain values for JSON, without those that say nothing."""
        return {name: value for name, value in asdict(self).items() if value not in (None, asdict(End()))}

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> "LeftOut":
        """Return what ``as_values`` made plain."""
        ends = {name: End(**values.get(name, {})) for name in ("below", "above")}
        return cls(**(values | ends))


def left_out(grid: Grid, n_sites: int, first: Array, last: Array, n_points: npt.NDArray[np.int64]) -> LeftOut:
    """Return the sites that a grid leaves out.

    Parameters
    ----------
    grid
        The grid.
    n_sites
        Number of sites, with or without a spectrum.
    first, last, n_points
        First and last energy on the grid's scale (eV), and number of points of each spectrum, (n_spectra,).
    """
    short, missing_below, missing_above = _short(grid, first, last, n_points)
    start, stop = float(grid.energies[0]), float(grid.energies[-1])
    below, above = _end(missing_below, grid.below), _end(missing_above, grid.above)
    n_short = int(np.count_nonzero(short))
    found = LeftOut(n_sites, first.size, n_short, 0, start, stop, below, above)
    if not n_short:
        return found
    shared = shared_range(first, last)
    later = ceil(100 * shared[0]) / 100 if below.leaves_out else start
    earlier = floor(100 * shared[1]) / 100 if above.leaves_out else stop
    if not later < earlier:
        return found
    moved = replace(grid, energies=np.linspace(later, earlier, grid.energies.size))
    n_better = first.size - int(np.count_nonzero(_short(moved, first, last, n_points)[0]))
    if n_better <= first.size - n_short:
        return found
    return replace(
        found,
        better_start_ev=later if later > start else None,
        better_stop_ev=earlier if earlier < stop else None,
        n_better=n_better,
    )


def _end(missing: Array, padding: str | None) -> End:
    n_spectra = int(np.count_nonzero(missing))
    return End(n_spectra, round(float(missing.max()), 4), padding is not None) if n_spectra else End()


def _short(
    grid: Grid, first: Array, last: Array, n_points: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.bool_], Array, Array]:
    """Return which spectra are left out, and how far each begins above and ends below the grid's ends, eV."""
    below, above = grid.shortfalls(first, last, n_points)
    width = grid.energies[-1] - grid.energies[0]
    apart = (below > width) | (above > width)  # as in ``Grid.resample``
    return ((below > 0) & (grid.below is None)) | ((above > 0) & (grid.above is None)) | apart, below, above
