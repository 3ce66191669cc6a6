"""Parameters of the benchmarks."""

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
        Folder for temporary files.
    store
        Structure store to measure on, in addition to generated sites.
    quick
        Use small sizes. The figures then mean nothing.
    repeats
        Number of rounds; figures are medians over them.
    flop_per_cycle
        Peak of one core in float64 operations per cycle. Two pipes of fused multiply-adds on 256 bits make 16.
    """

    folder: Path
    store: Path | None = None
    quick: bool = False
    repeats: int = 7
    flop_per_cycle: int = 16

    def size(self, full: Size, quick: Size) -> Size:
        """Return the full size, or the small one in a quick run."""
        return quick if self.quick else full
