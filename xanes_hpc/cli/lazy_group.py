"""A group of commands, each in a module of its own that is imported only when the command runs."""

import importlib
from collections.abc import Mapping
from keyword import iskeyword
from typing import Any

import click

from xanes_hpc.cli.command import plain_help_option


class LazyGroup(click.Group):
    """A group that imports a command's module only when that command is used.

    Parameters
    ----------
    lines
        The commands with their lines in the help, in the order of the workflow.
    prefix
        Start of the modules' names, ``xanes_hpc.cli.commands.PREFIXNAME``: empty, or a subgroup's name and ``_``.
    aliases
        Other spellings of commands.
    """

    def __init__(
        self,
        *args: Any,
        lines: Mapping[str, str],
        prefix: str = "",
        aliases: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.lines, self.prefix, self.aliases = lines, prefix, aliases or {}

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse arguments; without any, show the help."""
        return super().parse_args(ctx, args or ["--help"])

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of the workflow."""
        return list(self.lines)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command and return it, or None if there is none of this name."""
        name = self.aliases.get(cmd_name, cmd_name)
        if name not in self.lines:
            return None
        stem = name.replace("-", "_") + ("_" if iskeyword(name) else "")
        module = importlib.import_module(f"xanes_hpc.cli.commands.{self.prefix}{stem}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve the command, or suggest the nearest one."""
        import difflib

        name, known = args[0], [*self.lines, *self.aliases]
        if name not in known and not name.startswith("-"):
            near = difflib.get_close_matches(name, known, 1)
            raise click.UsageError(f"no command {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""), ctx)
        return super().resolve_command(ctx, args)

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Return ``--help``, described like our own options."""
        return plain_help_option(super().get_help_option(ctx))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self.lines.items()))
