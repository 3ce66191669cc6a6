"""What commands do before they run: their words put in order, and outputs held apart from inputs and one another."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from xanes_hpc.errors import StoreError, XanesHpcError

JSON_TARGET = "json_target"
NO_INPUTS = (".csv", ".html", ".jsonl", ".log", ".md", ".toml", ".yaml", ".yml")
"""Endings of files that no command takes as an argument: after ``--json`` they are a slip."""


class OutputPath(click.Path):
    """A file or folder that a command writes.

    Parameters
    ----------
    ending
        That a file must have, such as ``.csv``: a name of another kind is a slip that could cost a file.
    beside
        Whether it comes beside the command's main output, so that the command itself does not ask for ``--overwrite``.
    """

    def __init__(self, ending: str | None = None, beside: bool = False) -> None:
        super().__init__(path_type=Path, readable=False)
        self.ending, self.beside = ending, beside

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path, if it ends as it must."""
        path = Path(str(super().convert(value, param, ctx)))
        if self.ending is not None and path.suffix.lower() != self.ending:
            self.fail(f"expected a file ending in {self.ending}, received {str(value)!r}", param, ctx)
        return path


class Command(click.Command):
    """A command none of whose outputs is one of its inputs, or another output."""

    def invoke(self, ctx: click.Context) -> Any:
        """Refuse, before any work is done, what would cost a file."""
        inputs = [path for param in self.params for path in _paths(param, ctx) if not _is_output(param)]
        seen: dict[Path, str] = {}
        for param in filter(_is_output, self.params):
            for path in _paths(param, ctx):
                name = max(param.opts, key=len)
                other = seen.setdefault(path.resolve(), name)
                if other != name:
                    raise click.UsageError(f"{other}, {name}: expected two files, received {path} for both", ctx)
                if path.exists():
                    _check_existing(path, name, inputs)
                    beside = param.name == JSON_TARGET or (isinstance(param.type, OutputPath) and param.type.beside)
                    if beside and ctx.params.get("overwrite") is False:
                        raise StoreError(f"{path}: already exists; name another file for {name} or add --overwrite")
        with _flags_in_errors(self):
            return super().invoke(ctx)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse arguments; errors of the library name flags."""
        with _flags_in_errors(self):
            return super().parse_args(ctx, args)


def _is_output(param: click.Parameter) -> bool:
    return isinstance(param.type, OutputPath) or param.name == JSON_TARGET


def _paths(param: click.Parameter, ctx: click.Context) -> Iterator[Path]:
    """The paths that an option or argument names."""
    value = ctx.params.get(str(param.name))
    if isinstance(param.type, click.Path) or param.name == JSON_TARGET:
        values = value if isinstance(value, tuple) else (value,)
        yield from (Path(one) for one in values if one is not None and one != "-")


def with_flags(message: str, command: click.Command) -> str:
    """Return a library error's message with the command's flags in place of parameter names.

    The library names parameters as Python knows them, in backticks: "already exists; `overwrite` replaces it". A
    parameter that the command lacks stays a plain word.

    Examples
    --------
    >>> command = click.Command("demo", params=[click.Option(["--overwrite"])])
    >>> with_flags("a.h5: already exists; `overwrite` replaces it, `force` does not", command)
    'a.h5: already exists; --overwrite replaces it, force does not'
    """
    flags = {str(param.name): max(param.opts, key=len) for param in command.params if isinstance(param, click.Option)}
    return re.sub(r"`(\w+)`", lambda found: flags.get(found[1], found[1]), message)


@contextmanager
def _flags_in_errors(command: click.Command) -> Iterator[None]:
    try:
        yield
    except XanesHpcError as error:
        raise type(error)(with_flags(str(error), command)) from error


def _check_existing(path: Path, name: str, inputs: list[Path]) -> None:
    """Refuse a file that stands in for an input, or is part of a model."""
    if any(source.exists() and source.samefile(path) for source in inputs):
        raise StoreError(f"{path}: is one of the inputs; name another output")
    for folder in path.resolve().parents[:2]:
        if path.is_file() and (folder / "model.json").exists():
            from xanes_hpc.models.folder import CONTENTS

            if path.resolve().relative_to(folder).parts[0] in CONTENTS:
                raise StoreError(f"{path}: is part of the model {folder}; name another output")


class JsonCommand(Command):
    """A command whose ``--json`` takes a file ending in .json, or stands alone and prints to standard output."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Give a bare ``--json`` its value, or say what a word after it would have to be."""
        following = [*args, ""][1:]
        stray = {n for a, n in zip(args, following, strict=True) if a == "--json" and n and not n.startswith("-")} - {
            n for n in following if n.endswith(".json")
        }
        if wrong := [word for word in stray if not Path(word).exists() or Path(word).suffix in NO_INPUTS]:
            raise not_json(wrong[0], ctx)
        args = [
            "--json=-" if a == "--json" and not n.endswith(".json") and n != "-" else a
            for a, n in zip(args, following, strict=True)
        ]
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            if stray and "extra argument" in error.message:
                raise not_json(stray.pop(), ctx) from None
            raise


def not_json(word: str, context: click.Context) -> click.UsageError:
    """What to say of a word after ``--json`` that is no file for it."""
    return click.UsageError(f"--json: expected a file ending in .json, or -, received {word!r}", context)
