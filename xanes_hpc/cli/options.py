"""Options that several commands share, each defined once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
PATH = click.Path(path_type=Path, readable=False)


class JsonCommand(click.Command):
    """A command whose ``--json`` takes a file ending in .json, or stands alone and prints to standard output."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Give a bare ``--json`` its value."""
        following = [*args, ""][1:]
        args = [
            "--json=-" if a == "--json" and not n.endswith(".json") and n != "-" else a
            for a, n in zip(args, following, strict=True)
        ]
        return super().parse_args(ctx, args)


json_option = click.option(
    "--json", "json_target", metavar="[FILE.json]", help="Write JSON to FILE.json, or to standard output."
)
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace an output that exists.")
threads_option = click.option("--threads", type=click.IntRange(min=1), help="Threads; by default all cores.")
model_option = click.option("--model", "model", type=PATH, required=True, help="Model folder, as train made it.")


def output_option(what: str, required: bool = False) -> Callable[[F], F]:
    """``-o`` for the output described by ``what``."""
    return click.option("-o", "--output", type=PATH, required=required, help=what)


def site_options(command: F) -> F:
    """``--absorber`` and ``--edge``: which atoms of a structure are sites, and their edge."""
    from xanes_hpc.absorbers import RULES

    absorber = click.option(
        "--absorber", metavar="RULE", help=f"Absorption sites: {RULES}. Default: the one transition metal."
    )
    edge = click.option("--edge", help="Absorption edge: K, L1, L2, L3, …  [default: K]")
    return absorber(edge(command))
