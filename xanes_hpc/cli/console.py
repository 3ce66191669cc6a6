"""Print results and tables on standard output, progress and messages on standard error.

Rich is imported for terminals only; files and pipes get plain lines, which are not wrapped.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

if TYPE_CHECKING:
    from rich.console import Console

    from xanes_hpc.importing.options import ImportSummary


class Output:
    """Standard output or standard error, by its name in ``sys``."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def is_terminal(self) -> bool:
        """Whether the output is a terminal, or is to look like one (``FORCE_COLOR``)."""
        stream: TextIO = getattr(sys, self._name)
        return stream.isatty() or bool(os.environ.get("FORCE_COLOR"))

    @cached_property
    def console(self) -> "Console":
        """Rich's console for the output."""
        from rich.console import Console

        return Console(stderr=self._name == "stderr", soft_wrap=True, highlight=False, markup=False)

    def print(self, text: str) -> None:
        """Print a line."""
        if self.is_terminal:
            self.console.print(text)
        else:
            print(text, file=getattr(sys, self._name), flush=True)


out = Output("stdout")
err = Output("stderr")

MOST_REASONS = 10
WITH_REASONS = ("reason", "advice", "reasons", "skipped", "failed", "not_good", "first", "details")
"""Keys of JSON whose texts are errors of the library."""
SECONDS_BETWEEN_LINES = 10.0
"""Time between lines of progress where there is no terminal."""


@contextmanager
def progress(what: str, unit: str = "") -> Iterator[Callable[..., None]]:
    """Show progress: a bar on a terminal, otherwise a line now and then.

    Call what it yields with the number done, the total, and optionally a note.
    """
    if err.is_terminal:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=err.console, transient=True) as bar:
            task = bar.add_task(what, total=None, note="")

            def show(done: int, total: int, note: str = "") -> None:
                bar.update(task, completed=done, total=total, note=note)

            yield show
        return
    last = time.monotonic()
    since: tuple[float, int, int] | None = None  # time, done and total at which the rate starts
    before = 0

    def show_line(done: int, total: int, note: str = "") -> None:
        nonlocal last, since, before
        now = time.monotonic()
        if done and (since is None or done < before or total != since[2]):
            since = now, done, total  # leaves out preparations and earlier runs
        before = done
        if now - last >= SECONDS_BETWEEN_LINES:
            last = now
            left = ""
            if since is not None and since[1] < done < total:
                left = f"about {_duration((now - since[0]) * (total - done) / (done - since[1]))} left"
            state = f"{what}: {done:,} of {total:,} {unit}".rstrip()
            err.print(", ".join(text for text in (state, note, left) if text))

    yield show_line


def _duration(seconds: float) -> str:
    """Return a duration in words, rounded: seconds, minutes or hours."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def table(title: str, rows: Mapping[str, Any]) -> None:
    """Print a title, and names with their values in two columns."""
    if not out.is_terminal:
        width = max(map(len, rows), default=0)
        out.print("\n".join([title, *(f"{name:{width}}  {value}" for name, value in rows.items())]))
        return
    from rich.table import Table

    grid = Table(title=title, title_justify="left", show_header=False, box=None, pad_edge=False)
    grid.add_column(style="bold")
    grid.add_column(overflow="fold")
    for name, value in rows.items():
        grid.add_row(name, str(value))
    out.console.print(grid)


def listing(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns under their names, aligned to the right."""
    if not out.is_terminal:
        widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
        for row in (columns, *rows):
            out.print("  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)))
        return
    from rich.table import Table

    grid = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name, cells in zip(columns, zip(*rows, strict=True), strict=True):  # long names wrap
        least = max(map(len, cells))
        grid.add_column(name.replace(" ", "\n"), justify="right", vertical="bottom", overflow="fold", min_width=least)
    for row in rows:
        grid.add_row(*row)
    out.console.print(grid)


def shortened(text: str, width: int) -> str:
    """Return a text of at most this many characters, its middle left out if it is longer.

    Examples
    --------
    >>> shortened("Fe_magnetite_xanes_001.xdi", 16)
    'Fe_magn…_001.xdi'
    """
    if len(text) <= width:
        return text
    return f"{text[: (width - 1) // 2]}…{text[len(text) - width // 2 :]}"


def reasons(lines: Sequence[str], n: int) -> None:
    """Print the first of ``n`` reasons why inputs were left out, and how many more there are.

    Parameters of the library are shown as flags of the command.
    """
    from xanes_hpc.cli.command import with_flags

    command = click.get_current_context().command
    for line in lines[:MOST_REASONS]:
        err.print(with_flags(line, command))
    if n > MOST_REASONS:
        listed = "; --json lists them" if any(own.name == "json_target" for own in command.params) else ""
        err.print(f"… and {n - MOST_REASONS:,} more{listed}")


def reading(summary: "ImportSummary") -> None:
    """Print what was skipped in reading files, and what was chosen."""
    lines, n = summary.reasons()
    reasons([f"skipped: {line}" for line in lines], n)
    for what, found in summary.choices.items():
        _note(what, int(found["count"]), found["first"])


def notes(choices: Sequence[tuple[str, str]]) -> None:
    """Print what a reader chose where a file allowed more than one reading: pairs of a phrase and its detail."""
    from xanes_hpc.cli.command import with_flags

    for what, detail in choices:
        err.print(with_flags(f"Note: {what}: {detail}", click.get_current_context().command))


def notes_of_all(every: Iterable[Sequence[tuple[str, str]]]) -> None:
    """Print what a reader chose for several files: each phrase with the number of files and the first detail."""
    details: dict[str, list[str]] = {}
    for choices in every:
        for what, detail in choices:
            details.setdefault(what, []).append(detail)
    for what, found in details.items():
        _note(what, len(found), found[0])


def _note(what: str, n: int, first: str) -> None:
    notes([(what, f"{n:,} (first: {first})" if n > 1 else first)])


def next_step(command: str) -> None:
    """Suggest the command to run next."""
    err.print(f"Next: {command}")


def _as_on_the_terminal(value: Any, is_reason: bool = False) -> Any:
    """Return a value for JSON whose reasons show parameters of the library as flags of the command."""
    from xanes_hpc.cli.command import with_flags

    if isinstance(value, str):
        return with_flags(value, click.get_current_context().command) if is_reason else value
    if isinstance(value, Mapping):
        return {key: _as_on_the_terminal(own, key in WITH_REASONS) for key, own in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_on_the_terminal(own, is_reason) for own in value]
    return value


def write_json(target: str | None, value: Mapping[str, Any]) -> None:
    """Write JSON to a file, or to standard output if the target is ``-``; None writes nothing."""
    if target is None:
        return
    plain = target == "-" and "utf" not in (sys.stdout.encoding or "utf-8").lower()
    text = json.dumps(_as_on_the_terminal(value), indent=2, ensure_ascii=plain, allow_nan=False) + "\n"
    text = text.encode("utf-8", "backslashreplace").decode()  # file names need not be UTF-8; JSON must
    if target == "-":
        sys.stdout.write(text)
    else:
        from xanes_hpc.runtime.outputs import whole_output

        with whole_output(Path(target), overwrite=True) as temporary:
            temporary.write_text(text, encoding="utf-8")
