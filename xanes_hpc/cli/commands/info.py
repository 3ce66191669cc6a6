"""``xanes-hpc info``."""

from pathlib import Path

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.command import JsonCommand
from xanes_hpc.cli.options import PATH, json_option


@click.command("info", cls=JsonCommand)
@click.argument("file", type=PATH, metavar="FILE")
@click.option("--verify", is_flag=True, help="Read all of a store and check every checksum; exit with 2 if one fails")
@json_option
def command(file: Path, verify: bool, json_target: str | None) -> None:
    """Describe a store or model: size, elements, descriptor, provenance.

    FILE is a structure, feature or prediction store, a model folder, or a packed model.
    """
    from xanes_hpc.analysis import inspect
    from xanes_hpc.analysis.verify import verify as check
    from xanes_hpc.errors import StoreError

    if not verify:
        values = inspect.inform(file)
        if json_target != "-":
            console.table(str(file), inspect.flat(values))
        console.write_json(json_target, values)
        return
    findings = check(file)
    if json_target != "-" and not findings.damage:
        console.table(str(file), inspect.flat(findings.summary()))
    console.write_json(json_target, findings.summary())
    if findings.damage:
        more = f" (and {len(findings.damage) - 1} more)" if len(findings.damage) > 1 else ""
        raise StoreError(f"{file}: damaged: {findings.damage[0]}{more}; make it again, or restore a copy")
