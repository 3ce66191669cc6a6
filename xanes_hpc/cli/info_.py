"""``xanes-hpc info``."""

from pathlib import Path

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.options import PATH, JsonCommand, json_option


@click.command("info", cls=JsonCommand)
@click.argument("file", type=PATH, metavar="FILE")
@json_option
def command(file: Path, json_target: str | None) -> None:
    """Say what a store or model is: sizes, elements, descriptor, provenance.

    FILE is a structure, feature or prediction store, or a model folder.
    """
    from xanes_hpc.information import flat, inform

    values = inform(file)
    if json_target != "-":
        console.table(str(file), flat(values))
    console.write_json(json_target, values)
