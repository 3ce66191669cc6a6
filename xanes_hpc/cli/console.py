"""What commands print: results and tables on standard output, progress and messages on standard error."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

WIDE = 100_000
"""Columns of what is no terminal: lines are folded for people, not for files and pipes."""


def _console(stream: TextIO, stderr: bool) -> Console:
    width = None if stream.isatty() else WIDE
    return Console(stderr=stderr, soft_wrap=True, highlight=False, markup=False, width=width)


out = _console(sys.stdout, stderr=False)
err = _console(sys.stderr, stderr=True)

SECONDS_BETWEEN_LINES = 10.0
"""How often progress is told where there is no terminal."""


@contextmanager
def progress(what: str, unit: str = "") -> Iterator[Callable[..., None]]:
    """A bar on a terminal, a plain line now and then otherwise; call it with done, total and an optional note."""
    if err.is_terminal:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=err, transient=True) as bar:
            task = bar.add_task(what, total=None, note="")

            def show(done: int, total: int, note: str = "") -> None:
                bar.update(task, completed=done, total=total, note=note)

            yield show
        return
    last = time.monotonic()

    def tell(done: int, total: int, note: str = "") -> None:
        nonlocal last
        if time.monotonic() - last >= SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            err.print(f"{what}: {done} of {total} {unit}".rstrip() + (f", {note}" if note else ""))

    yield tell


def table(title: str, rows: Mapping[str, Any]) -> None:
    """Two columns: what, and its value."""
    grid = Table(title=title, title_justify="left", show_header=False, box=None, pad_edge=False)
    grid.add_column(style="bold")
    grid.add_column(overflow="fold")
    for name, value in rows.items():
        grid.add_row(name, str(value))
    out.print(grid)


def next_step(command: str) -> None:
    """The command a user would run next."""
    err.print(f"Next: {command}")


def write_json(target: str | None, value: Mapping[str, Any]) -> None:
    """Write JSON to a file, or to standard output for ``-``; nothing for None."""
    if target is None:
        return
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    text = text.encode("utf-8", "backslashreplace").decode()  # file names need not be UTF-8; JSON must
    if target == "-":
        sys.stdout.write(text)
    else:
        from xanes_hpc.stores.hdf5 import whole_output

        with whole_output(Path(target), overwrite=True) as temporary:
            temporary.write_text(text, encoding="utf-8")
