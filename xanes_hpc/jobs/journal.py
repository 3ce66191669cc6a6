"""A journal beside an unfinished output: the results of its tasks, each on one line, to resume a stopped run."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar, cast

from xanes_hpc.errors import ConfigError, StoreError
from xanes_hpc.runtime import locks

Result = TypeVar("Result")


@contextmanager
def open_journal(
    journal: Path, plan: dict[str, Any], kind: type[Result], anew: bool = False
) -> Iterator[tuple[dict[int, Result], Callable[[int, Result], None]]]:
    """Lock a journal; yield its results by the numbers of their tasks, and a function that records another.

    Parameters
    ----------
    journal
        Its path.
    plan
        What the results depend on, by name.
    kind
        Class of the results, a dataclass whose fields JSON can represent.
    anew
        Whether to discard results of another plan.

    Raises
    ------
    ConfigError
        If the journal has another plan and ``anew`` is not set.
    StoreError
        If the journal is damaged, or in use by another run.
    """
    _read(journal, plan, kind, anew)  # raises before a journal with another plan is touched
    with journal.open("a", encoding="utf-8") as stream:
        if not locks.hold(stream.fileno()):
            raise StoreError(f"{journal}: in use by another run; wait until it ends")
        done, n_bytes = _read(journal, plan, kind, anew)
        os.truncate(journal, n_bytes)
        if not n_bytes:
            stream.write(json.dumps(plan) + "\n")

        def note(row: int, result: Result) -> None:
            stream.write(json.dumps({"row": row, **asdict(cast(Any, result))}) + "\n")
            stream.flush()

        yield done, note


def _read(journal: Path, plan: dict[str, Any], kind: type[Result], anew: bool) -> tuple[dict[int, Result], int]:
    """Return the results by number, and the length of complete lines; a killed run may leave half a line."""
    done: dict[int, Result] = {}
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
            done[row] = kind(**values)
    except (ValueError, TypeError, KeyError):
        raise StoreError(f"{journal}: damaged; delete it to start anew") from None
    if found != plan and anew:
        return {}, 0
    if found != plan:
        differs = ", ".join(f"{k} {found.get(k)!r}, now {plan[k]!r}" for k in plan if found.get(k) != plan[k])
        raise ConfigError(
            f"{journal}: belongs to a run with other settings ({differs}); use those settings, or start anew with "
            "`overwrite`"
        )
    return done, whole
