"""What a run of relaxing has done: one line a structure, beside the output, until that is whole."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from xanes_hpc import locks
from xanes_hpc.errors import ConfigError, StoreError
from xanes_hpc.relaxation import Relaxed


def journal_path(output: Path) -> Path:
    """Where the journal of the run that writes ``output`` stands."""
    return output.with_name(f"{output.name}.relaxing.jsonl")


@contextmanager
def open_journal(
    journal: Path, plan: dict[str, Any], anew: bool = False
) -> Iterator[tuple[dict[int, Relaxed], Callable[[int, Relaxed], None]]]:
    """What is done already, by row, and what writes down more; for this process alone.

    Raises
    ------
    ConfigError
        If it is of another plan, unless that may begin ``anew``.
    StoreError
        If it is damaged, or another run goes on with it.
    """
    _read(journal, plan, anew)  # one of another plan stays as it is
    with journal.open("a", encoding="utf-8") as stream:
        if not locks.hold(stream.fileno()):
            raise StoreError(f"{journal}: another run goes on with it; wait for its end")
        done, n_bytes = _read(journal, plan, anew)
        os.truncate(journal, n_bytes)
        if not n_bytes:
            stream.write(json.dumps(plan) + "\n")

        def note(row: int, relaxed: Relaxed) -> None:
            stream.write(json.dumps({"row": row, **asdict(relaxed)}) + "\n")
            stream.flush()

        yield done, note


def _read(journal: Path, plan: dict[str, Any], anew: bool) -> tuple[dict[int, Relaxed], int]:
    """What is done already, by row; and the length of whole lines: a killed run may leave half a line."""
    done: dict[int, Relaxed] = {}
    if not journal.exists():
        return done, 0
    text = journal.read_bytes()
    whole = text.rfind(b"\n") + 1
    lines = text[:whole].decode("utf-8", "replace").splitlines()
    try:
        found = json.loads(lines[0]) if lines else plan
        for line in lines[1:]:
            values = json.loads(line)
            row = int(values.pop("row"))
            done[row] = Relaxed(**values)
    except (ValueError, TypeError, KeyError):
        raise StoreError(f"{journal}: damaged; delete it to begin anew") from None
    if found != plan and anew:
        return {}, 0
    if found != plan:
        differs = ", ".join(f"{k} {found.get(k)!r}, now {plan[k]!r}" for k in plan if found.get(k) != plan[k])
        raise ConfigError(f"{journal}: is of another run ({differs}); give its settings, or --overwrite to begin anew")
    return done, whole
