"""FEFF: its input, whether a run is good, and its spectrum.

A run is good if ``xmu.dat`` is there, no log has an error, and the potential converged where it was to be
self-consistent.
"""

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from xanes_hpc.calculations.feff.cluster import calculation_of
from xanes_hpc.calculations.guarded import LOG
from xanes_hpc.calculations.program import LONGEST_REASON, Run, State, hashable, without_folder
from xanes_hpc.errors import FormatError, SpectrumError
from xanes_hpc.formats import feff, feff_input
from xanes_hpc.formats.feff_input import Input, Settings
from xanes_hpc.runtime.optional import need
from xanes_hpc.spectra import edges
from xanes_hpc.spectra.spectrum import PlacedSpectrum, treatment
from xanes_hpc.structures.cluster import cut_cluster
from xanes_hpc.structures.structure import Structure

ASKED = "settings.json"
"""File beside an input that we wrote, with its settings: radii in the input may be larger, so as not to cut shells."""
LOGS = (LOG, "log1.dat", "feff.out", "log", "log.dat")
"""Files in which FEFF says how its run went."""
CONVERGED = "Convergence reached"
CLOSE = 1e-3
"""Largest difference of distances from the store's, Å; others than we may write few digits."""
MOST_OF_LOG = 1 << 20
RSCF, RFMS = re.compile(r"POT +(?:Non-SCF|SCF +\d+ +([\d.]+))"), re.compile(r"FMS +rfms= *([\d.]+)")
"""Radii in the header of a spectrum, Å; none for potentials of free atoms."""
UNTOLD = ("kind", "energies")
"""Settings that are no part of a treatment."""
GAVE_UP = "will exit now"
TRACE = re.compile(r"\bPC +Routine\b|\b[0-9A-F]{16} +Unknown\b")
"""Lines of the trace of a crash."""
LAST_LINES = 3
"""Number of lines from the end of a failed run's log that its reason quotes."""


@dataclass(frozen=True)
class Feff:
    """FEFF with its settings; it runs by the package feff10-rs."""

    asked: Settings = field(default_factory=Settings)
    name: ClassVar[str] = "feff"
    title: ClassVar[str] = "FEFF"
    starter: ClassVar[str] = feff_input.NAME
    variable: ClassVar[str] = "FEFF"
    finished: ClassVar[str] = '[ -s "$folder/xmu.dat" ]'
    stale: ClassVar[tuple[str, ...]] = ()
    program: str = "feff"

    @property
    def command(self) -> Sequence[str]:
        """Words that run FEFF in the folder of a run."""
        return (sys.executable, "-m", "xanes_hpc.calculations.feff.run")

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that its results depend on."""
        return asdict(self.asked)

    @classmethod
    def with_settings(cls, settings: dict[str, Any], program: str) -> Self:
        """Return FEFF with settings that were written as JSON."""
        return cls(Settings(**{name: hashable(value) for name, value in settings.items()}), program)

    def check(self) -> None:
        """Check the settings."""
        feff_input.check_settings(self.asked)

    def check_installed(self) -> None:
        """Check that feff10-rs is installed."""
        need("feff10", "feff", "calculating with FEFF")

    def files(self, structure: Structure, atom: int, edge: str, name: str) -> dict[str, str]:
        """Return the input of a site."""
        calculation = calculation_of(structure, atom, edge, name, self.asked)
        return {ASKED: json.dumps(self.settings), self.starter: feff_input.write(calculation, self.asked)}

    def is_input(self, name: str) -> bool:
        """Whether a file is an input."""
        return name in (self.starter, ASKED)

    def is_output(self, name: str) -> bool:
        """Whether a file is a result worth keeping."""
        return name in (feff.NAME, "log1.dat")

    def look_at(self, folder: Path, site: str) -> Run:
        """Return the state of a run."""
        try:
            calculation = feff_input.read(folder / self.starter)
        except FormatError as error:
            return Run(folder, site, State.FAILED, without_folder(error, folder))
        run = Run(folder, site, State.FAILED, calculation=calculation)
        logs = [text for name in LOGS if (text := _beginning(folder / name))]
        if not (folder / feff.NAME).exists():
            if not logs:
                return replace(run, state=State.NOT_STARTED)
            words = _last_words(logs[0])
            return replace(run, state=State.FAILED if words else State.UNFINISHED, reason=words)
        if calculation.scf_radius and logs and not any(CONVERGED in text for text in logs):
            radius = f"{calculation.scf_radius:g} Å"
            return replace(run, reason=f"the potential did not converge (no {CONVERGED!r} in its log, SCF {radius})")
        if other := _other_radii(_beginning(folder / feff.NAME), calculation):
            return replace(run, reason=f"{feff.NAME} is of another input: {other}")
        return replace(run, state=State.GOOD)

    def difference(self, run: Run, structure: Structure, atom: int, edge: str) -> str:
        """Return how a run differs from a calculation of a site."""
        found: Input = run.calculation
        if found.edge != edge:
            return f"its edge is {found.edge}, expected {edge} of {run.site}"
        theirs = found.cluster
        ours = cut_cluster(structure, atom, float(theirs.distances[-1]) + CLOSE)
        if theirs.numbers[0] != ours.numbers[0]:
            return f"its absorber is another element than that of {run.site}"
        for z in np.unique(theirs.numbers[1:]):
            a, b = (np.sort(c.distances[1:][c.numbers[1:] == z]) for c in (theirs, ours))
            if a.size > b.size or np.abs(a - b[: a.size]).max(initial=0.0) > CLOSE:
                return f"its positions differ from those of {run.site} in the store"
        return ""

    def made(self, kind: str, treatment: str) -> bool:
        """Whether a spectrum is FEFF's with these settings, whatever the version."""
        try:
            own = json.loads(treatment)
        except ValueError:
            return False
        told = {name: value for name, value in own.items() if name != "program"}
        return kind == self.asked.kind and told == {"name": self.name} | _told(self.settings)

    def spectra_of(self, run: Run) -> list[PlacedSpectrum]:
        """Return the spectrum of a run."""
        found: Input = run.calculation
        spectrum = feff.read(run.folder / feff.NAME)
        own = _asked(run.folder) or {"scf_radius": found.scf_radius, "fms_radius": found.fms_radius}
        told = json.loads(spectrum.treatment) | _told(own)
        spectrum = replace(spectrum, kind=found.kind, treatment=treatment(**told))
        if not np.isfinite(spectrum.intensities).all():
            raise SpectrumError(f"{feff.NAME}: intensities are not finite")
        return [edges.place(spectrum, int(found.cluster.numbers[0]), found.edge)]


def _other_radii(header: str, calculation: Input) -> str:
    """Return how the radii in the header of a spectrum differ from an input's, in words; nothing if they agree."""
    found = {"FMS": RFMS.search(header), "SCF": RSCF.search(header)}
    for name, expected in (("SCF", calculation.scf_radius), ("FMS", calculation.fms_radius)):
        match = found[name]
        if match is not None and abs(float(match[1] or 0.0) - expected) > CLOSE:
            return f"its {name} radius is {float(match[1] or 0.0):g} Å, expected {expected:g} Å"
    return ""


def _told(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that are part of a treatment, as JSON has them."""
    told = {name: value for name, value in settings.items() if value and name not in UNTOLD}
    return dict(json.loads(json.dumps(told)))


def _asked(folder: Path) -> dict[str, Any]:
    """Return the settings of an input that we wrote; nothing for that of another."""
    try:
        asked = json.loads((folder / ASKED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return asked if isinstance(asked, dict) else {}


def _beginning(path: Path) -> str:
    """Return the text of a log, or nothing if it cannot be read."""
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            return stream.read(MOST_OF_LOG)
    except OSError:
        return ""


def _last_words(log: str) -> str:
    """Return what FEFF said last before a module failed, on one line; nothing if none has."""
    said, failed, after = log.partition("\nfeff10: ")
    if not failed:
        return ""
    lines = [" ".join(line.split()) for line in said.splitlines() if line.strip() and not TRACE.search(line)]
    module = re.search(r"stage '(\w+)'", after)
    where = f"module {module[1]}: " if module else ""
    gave_up = [line for line in lines if GAVE_UP in line]  # a module that gives up lets the next one fail
    return (where + " ".join(gave_up[-1:] or lines[-LAST_LINES:]))[:LONGEST_REASON]
