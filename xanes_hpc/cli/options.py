"""Options that several commands share, each defined once."""

from collections.abc import Callable, Iterable
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from xanes_hpc.cli.choices import EDGE
from xanes_hpc.cli.command import JSON_TARGET, OutputPath, not_json

F = TypeVar("F", bound=Callable[..., Any])
WIDTHS = ("core_hole", "gamma_max", "centre", "width", "seah", "e_cut", "gaussian")
PATH = click.Path(path_type=Path, readable=False)


def _check_json_target(context: click.Context, parameter: click.Parameter, target: str | None) -> str | None:
    """Refuse, before any work is done, a file that could not be written or might be another's."""
    if target is None or target == "-":
        return target
    if not target.endswith(".json"):
        raise not_json(target, context)
    if Path(target).is_dir():
        raise click.UsageError(f"--json: {target}: is a folder", context)
    if not Path(target).parent.is_dir():
        raise click.UsageError(f"--json: {Path(target).parent}: no such folder for {Path(target).name}", context)
    return target


json_option = click.option(
    "--json",
    JSON_TARGET,
    metavar="[FILE.json]",
    callback=_check_json_target,
    help="Write JSON to FILE.json, or to standard output.",
)
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace an output that exists.")
threads_option = click.option("--threads", type=click.IntRange(min=1), help="Threads; by default all cores.")
model_option = click.option("--model", "model", type=PATH, required=True, help="Model folder, as train made it.")


def parse_window(name: str, text: str, context: click.Context) -> tuple[float, float]:
    """Two energies in eV with a colon between them, as the value of an option."""
    try:
        start, stop = map(float, text.split(":"))
    except ValueError:
        raise click.UsageError(
            f"{name}: expected START:STOP in eV, such as -15:-8, received {text!r}", context
        ) from None
    if not start < stop:
        raise click.UsageError(f"{name}: expected START below STOP, received {text!r}", context)
    return start, stop


def windows_of(
    context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]
) -> tuple[tuple[float, float], ...]:
    """The values of an option that takes windows again and again."""
    return tuple(parse_window(parameter.opts[0], text, context) for text in texts)


def window_option(name: str, what: str) -> Callable[[F], F]:
    """An option whose value is two energies in eV with a colon between them."""

    def energies(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[float, float] | None:
        return None if text is None else parse_window(name, text, context)

    return click.option(name, metavar="START:STOP", callback=energies, help=what)


def several(*options: Callable[[F], F]) -> Callable[[F], F]:
    """One decorator of several options, in the order in which the help shows them."""

    def decorate(command: F) -> F:
        return reduce(lambda inner, option: option(inner), reversed(options), command)

    return decorate


def width_options(command: F) -> F:
    """What a broadening may be told: the names of ``WIDTHS``."""
    helps = (
        "Full width of the core hole in eV. Default: XrayDB's.",
        "Of arctangent and seah-dench, in eV.  [default: 15]",
        "Of arctangent, in eV.  [default: 30]",
        "Of arctangent, in eV.  [default: 30]",
        "Of seah-dench.  [default: 1]",
        "Where empty states begin, in eV from e0. Default: as the spectrum's file says.",
        "Full width of the instrument's resolution in eV.",
    )
    for name, help_ in zip(reversed(WIDTHS), reversed(helps), strict=True):
        command = click.option(f"--{name.replace('_', '-')}", type=float, help=help_)(command)
    return command


def refuse(names: Iterable[str], why: str) -> None:
    """Refuse parameters that were given although they do not apply."""
    context = click.get_current_context()
    for parameter in context.command.params:
        name = str(parameter.name)
        if name in names and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{parameter.opts[0]} {why}", context)


def output_option(what: str, required: bool = False, ending: str | None = None) -> Callable[[F], F]:
    """``-o`` for the output described by ``what``, with the ending it must have."""
    return click.option("-o", "--output", type=OutputPath(ending), required=required, help=what)


def figure_option(what: str) -> Callable[[F], F]:
    """``--plot`` for a figure beside the output."""
    return click.option("--plot", type=OutputPath(beside=True), metavar="FILE", help=f"{what}: PNG, SVG or PDF.")


def site_options(command: F) -> F:
    """``--absorber`` and ``--edge``: which atoms of a structure are sites, and their edge."""
    from xanes_hpc.structures.absorbers import RULES

    absorber = click.option(
        "--absorber", metavar="RULE", help=f"Absorption sites: {RULES}. Default: the one transition metal."
    )
    edge = click.option("--edge", type=EDGE, help="Absorption edge: K, L1, L2, L3, …  [default: K]")
    return absorber(edge(command))
