"""What a benchmark is told."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Size = TypeVar("Size")


@dataclass(frozen=True)
class Options:
    """Parameters of a run.

    Attributes
    ----------
    folder
        For files that are removed afterwards.
    store
        A structure store to measure on besides what is generated.
    quick
        Small sizes: the figures mean nothing then.
    repeats
        Runs of which the median is taken.
    flop_per_cycle
        What one core can do in float64, for the peak: 16 are two pipes of fused multiply-adds on 256 bits.
    """

    folder: Path
    store: Path | None = None
    quick: bool = False
    repeats: int = 7
    flop_per_cycle: int = 16

    def size(self, full: Size, quick: Size) -> Size:
        """A size (or several), or that for quick runs."""
        return quick if self.quick else full
