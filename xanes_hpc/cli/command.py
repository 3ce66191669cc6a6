"""Check the arguments of commands before they run, so that no output replaces an input or another output."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

from xanes_hpc.errors import StoreError, XanesHpcError

JSON_TARGET = "json_target"
NO_INPUTS = (".csv", ".html", ".json", ".jsonl", ".log", ".md", ".toml", ".yaml", ".yml")
"""Endings that mark a word after ``--json`` as a mistyped target instead of an argument."""

OF_FILES = (*NO_INPUTS, ".h5", ".nxs", ".npz", ".pdf", ".png", ".svg", ".txt", ".xdi", ".xyz", ".zip")
"""Endings of files, which no folder that a command writes may have."""

OF_OTHER_COMMANDS = {"keep_draws": "predict --keep-draws", "rattle": "featurise --rattle", "source": "import --source"}
"""Flags of other commands, by the names in errors about their output."""


class OutputPath(click.Path):
    """A file or folder that a command writes.

    Parameters
    ----------
    ending
        Required ending, such as ``.csv``; a mistyped name could otherwise replace a file of another kind.
    folder
        Whether it is a folder, whose name may not end like that of a file.
    beside
        Whether this is a further output, for which the command itself does not check ``--overwrite``.
    """

    def __init__(self, ending: str | None = None, beside: bool = False, folder: bool = False) -> None:
        super().__init__(path_type=Path, readable=False)
        self.ending, self.beside, self.folder = ending, beside, folder

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path, if its ending is possible."""
        path = Path(str(super().convert(value, param, ctx)))
        if self.ending is not None and path.suffix.lower() != self.ending:
            self.fail(f"expected a file ending in {self.ending}, received {str(value)!r}", param, ctx)
        if self.folder and path.suffix.lower() in OF_FILES:
            self.fail(f"expected a folder, received {str(value)!r}, which is the name of a file", param, ctx)
        return path


class Command(click.Command):
    """A command that refuses an output which is also an input, or another output."""

    def invoke(self, ctx: click.Context) -> Any:
        """Check the outputs before any work is done, then run the command."""
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
        """Parse arguments; library errors name flags."""
        with _flags_in_errors(self):
            return super().parse_args(ctx, _with_numbers_joined(args))

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Return ``--help``, described like our own options."""
        return plain_help_option(super().get_help_option(ctx))


def plain_help_option(option: click.Option | None) -> click.Option | None:
    """Return click's ``--help`` without the full stop in its description."""
    if option is not None:
        option.help = "Show this message and exit"
    return option


def _with_numbers_joined(args: list[str]) -> list[str]:
    """Return arguments with ``--disorder sample 10`` as one word, as if it had been quoted.

    Examples
    --------
    >>> _with_numbers_joined(["a.cif", "--disorder", "sample", "10", "b.cif"])
    ['a.cif', '--disorder=sample 10', 'b.cif']
    """
    joined: list[str] = []
    for word in args:
        joined.append(word)
        if word.isdecimal() and joined[-3:-1] == ["--disorder", "sample"]:
            joined[-3:] = [f"--disorder=sample {word}"]
    return joined


def _is_output(param: click.Parameter) -> bool:
    return isinstance(param.type, OutputPath) or param.name == JSON_TARGET


def _paths(param: click.Parameter, ctx: click.Context) -> Iterator[Path]:
    """Yield the paths given for an option or argument."""
    value = ctx.params.get(str(param.name))
    if isinstance(param.type, click.Path) or param.name == JSON_TARGET:
        values = value if isinstance(value, tuple) else (value,)
        yield from (Path(one) for one in values if one is not None and one != "-")


def with_flags(message: str, command: click.Command) -> str:
    """Return a library error's message with the command's flags in place of parameter names.

    The library names parameters as Python knows them, in backticks: "already exists; `overwrite` replaces it". Names
    without an option of this command lose their backticks. Characters that break lines, as file names may have them,
    are escaped.

    Examples
    --------
    >>> command = click.Command("demo", params=[click.Option(["--overwrite"])])
    >>> with_flags("a.h5: already exists; `overwrite` replaces it, `force` does not", command)
    'a.h5: already exists; --overwrite replaces it, force does not'
    """
    own = {str(param.name): max(param.opts, key=len) for param in command.params if isinstance(param, click.Option)}
    flags = OF_OTHER_COMMANDS | own
    text = re.sub(r"`(\w+)`", lambda found: flags.get(found[1], found[1]), message)
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


@contextmanager
def _flags_in_errors(command: click.Command) -> Iterator[None]:
    try:
        yield
    except XanesHpcError as error:
        raise type(error)(with_flags(str(error), command)) from error


def _check_existing(path: Path, name: str, inputs: list[Path]) -> None:
    """Refuse an existing file that is an input, or part of a model."""
    if any(source.exists() and source.samefile(path) for source in inputs):
        raise StoreError(f"{path}: is one of the inputs; name another output")
    if any((folder / "model.json").exists() for folder in path.resolve().parents[:3]):
        from xanes_hpc.models.folder import refuse_part_of_model

        refuse_part_of_model(path)


class JsonCommand(Command):
    """A command with ``--json``, which takes a file ending in .json, or stands alone and prints to standard output."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Let an input follow a bare ``--json``; click alone would read it as the option's value."""
        inputs = [word for flag, word in pairwise(args) if flag == "--json" and _may_be_input(word)]
        args = ["--json=-" if a == "--json" and n in inputs else a for a, n in pairwise([*args, ""])]
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            if inputs and "extra argument" in error.message:
                raise not_json(inputs[0], ctx) from None
            raise


def _may_be_input(word: str) -> bool:
    return Path(word).exists() and Path(word).suffix not in NO_INPUTS


def not_json(word: str, context: click.Context) -> click.UsageError:
    """Return the error for a word after ``--json`` that is no JSON file."""
    return click.UsageError(f"--json: expected a file ending in .json, or -, received {word!r}", context)
