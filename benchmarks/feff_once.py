"""One calculation with FEFF in a folder, kept there, and the processor's time it took."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from xanes_hpc.calculations.feff.program import Feff
from xanes_hpc.formats import feff
from xanes_hpc.formats.feff_input import Settings
from xanes_hpc.spectra.spectrum import Spectrum
from xanes_hpc.structures.structure import Structure

KEPT = "cpu.json"


@dataclass(frozen=True)
class Calculated:
    """A spectrum, or why there is none, and the CPU time in s."""

    spectrum: Spectrum | None
    reason: str
    seconds: float


def calculated(folder: Path, structure: Structure, atom: int, settings: Settings) -> Calculated:
    """Return the spectrum of a K edge; it is calculated unless the folder has it."""
    program, kept = Feff(settings), folder / KEPT
    if not kept.exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in program.files(structure, atom, "K", structure.name).items():
            (folder / name).write_text(text)
        with (folder / "run.log").open("wb") as log:
            process = subprocess.Popen(program.command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
            _, _, used = os.wait4(process.pid, 0)
        kept.write_text(json.dumps(used.ru_utime + used.ru_stime))
    run = program.look_at(folder, structure.name)
    spectrum = feff.read(folder / feff.NAME) if run.state == "good" else None
    return Calculated(spectrum, run.reason, float(json.loads(kept.read_text())))
