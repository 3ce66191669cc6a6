"""Calculate one site with a program; the function can run in any process."""

import json
import shutil
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from xanes_hpc.calculations.guarded import LOG, run_in
from xanes_hpc.calculations.ingest import OUTCOME, look_at
from xanes_hpc.calculations.program import LONGEST_REASON, Program, State
from xanes_hpc.errors import FormatError
from xanes_hpc.jobs.tasks import DIED
from xanes_hpc.runtime.outputs import explain
from xanes_hpc.structures.structure import Structure


@dataclass(frozen=True)
class Task:
    """A site to calculate in a folder."""

    folder: Path
    site: str
    structure: Structure
    atom: int
    edge: str


@dataclass(frozen=True)
class Outcome:
    """How a site's calculation ended, why if it is not good, and how many seconds it took."""

    state: State
    reason: str = ""
    seconds: float = 0.0


def died() -> Outcome:
    """Return the outcome of a site whose calculation killed its process."""
    return Outcome(State.FAILED, DIED)


def calculate_one(task: Task, program: Program, limit: float | None) -> Outcome:
    """Calculate a site in a temporary folder, and move what is worth keeping to the site's own.

    A wrong site, a crash, the time limit and a full disk cost this site only: they become its outcome.
    """
    begin = time.monotonic()
    with suppress(OSError):
        shutil.rmtree(task.folder)
    try:
        with tempfile.TemporaryDirectory(prefix="xanes-hpc-", ignore_cleanup_errors=True) as scratch:
            work = Path(scratch) / task.folder.name
            work.mkdir()
            for name, text in program.files(task.structure, task.atom, task.edge, task.folder.name).items():
                (work / name).write_text(text, encoding="utf-8")
            stopped = run_in(work, program.command, limit)
            run = look_at(program, work, task.site)
            state, reason = (State.FAILED, stopped) if stopped else (run.state, run.reason)
            if state in (State.NOT_STARTED, State.UNFINISHED):
                state, reason = State.FAILED, reason or _last_line(work / LOG)
            outcome = Outcome(state, reason, round(time.monotonic() - begin, 3))
            _keep(work, task.folder, program, outcome)
            return outcome
    except FormatError as error:
        outcome = Outcome(State.FAILED, str(error).removeprefix(f"{task.structure.name}: "))
        with suppress(OSError):
            _keep(None, task.folder, program, outcome)
        return outcome
    except OSError as error:
        return Outcome(State.FAILED, explain(error), round(time.monotonic() - begin, 3))


def _keep(work: Path | None, folder: Path, program: Program, outcome: Outcome) -> None:
    """Copy inputs, outputs and log of a run into the folder of its site; the outcome is there last."""
    folder.mkdir()
    for path in () if work is None else sorted(work.iterdir()):
        if path.is_file() and (program.is_input(path.name) or path.name == LOG or program.is_output(path.name)):
            shutil.copyfile(path, folder / path.name)
    (folder / OUTCOME).write_text(json.dumps(asdict(outcome)), encoding="utf-8")


def _last_line(log: Path) -> str:
    """Return the last line of a log that says anything."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return ""
    return next(
        (" ".join(line.split())[:LONGEST_REASON] for line in reversed(lines) if line.strip()), "it wrote nothing"
    )
