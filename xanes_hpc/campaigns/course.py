"""The course of a campaign: what each round chose, calculated, and measured."""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from xanes_hpc.errors import StoreError
from xanes_hpc.runtime.outputs import whole_output

NAME = "course.json"


@dataclass(frozen=True)
class Round:
    """One round of a campaign.

    Attributes
    ----------
    number
        Its number, from 0.
    selected, failed
        Sites that were selected for training, and those of them (and of the held-out sites) whose calculation failed.
    n_known
        Number of sites with a spectrum for training.
    seconds
        Time of the calculations of this round, all sites together, s.
    error, median, hardest
        Errors of the held-out sites, %: mean, median, and mean of the tenth with the largest errors.
    flagged
        Share of the pool's sites that are out of domain, %.
    sigma
        Mean predicted uncertainty of the pool's sites: mean sigma over mean intensity, %.
    """

    number: int
    selected: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    n_known: int = 0
    seconds: float = 0.0
    error: float = float("nan")
    median: float = float("nan")
    hardest: float = float("nan")
    flagged: float = float("nan")
    sigma: float = float("nan")


@dataclass
class Course:
    """The settings that rounds depend on, the held-out sites, the rounds, and why the campaign has ended, if it has."""

    values: dict[str, Any]
    held_out: list[str] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
    ended: str = ""

    @property
    def hours(self) -> float:
        """Hours of calculation so far."""
        return sum(r.seconds for r in self.rounds) / 3600.0

    @property
    def n_calculated(self) -> int:
        """Number of sites that were calculated, held-out and failed ones included."""
        return len(self.held_out) + sum(len(r.selected) for r in self.rounds)

    def write(self, folder: Path) -> None:
        """Write the course into a campaign's folder, in one step."""
        with whole_output(folder / NAME, True) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def read_course(folder: Path) -> Course | None:
    """Read the course of a campaign; None if there is none yet.

    Raises
    ------
    StoreError
        If it cannot be read.
    """
    path = folder / NAME
    if not path.exists():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        known = {f.name for f in fields(Round)}
        rounds = [Round(**{name: value for name, value in r.items() if name in known}) for r in values["rounds"]]
        return Course(dict(values["values"]), list(values["held_out"]), rounds, str(values["ended"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise StoreError(f"{path}: cannot be read; move {folder} away to begin anew") from None
