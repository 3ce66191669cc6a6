"""``xanes-hpc fdmnes ingest``."""

import shlex
from pathlib import Path

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.command import JsonCommand
from xanes_hpc.cli.options import PATH, json_option


@click.command("ingest", cls=JsonCommand)
@click.argument("folder", type=PATH, metavar="DIR")
@click.argument("store", type=PATH, metavar="STORE")
@click.option("--replace", is_flag=True, help="Let spectra take the place of others of their kind and treatment.")
@click.option("--look-only", is_flag=True, help="Say how the runs stand, and leave the store as it is.")
@json_option
def command(folder: Path, store: Path, replace: bool, look_only: bool, json_target: str | None) -> None:
    """Read the spectra of runs into their store.

    DIR is a folder that "fdmnes write" made, or any with a folder per calculation that bears its site's name. Spectra
    as calculated and those that FDMNES broadened are both taken. Runs that failed, are not finished, have not begun or
    are of another structure are listed; once they have run, ingest them again. Features made from the store stay valid.
    """
    from xanes_hpc.calculations.fdmnes.ingest import ingest

    with console.progress("reading", "runs") as progress:
        result = ingest(folder, store, replace, look_only, progress)
    if json_target != "-":
        rows = {"runs": ", ".join(f"{n:,} {state}" for state, n in result.runs.most_common())}
        if not look_only:
            rows["spectra"] = f"{result.spectra.new:,} new"
            if result.spectra.replaced:
                rows["replaced"] = f"{result.spectra.replaced:,}"
            if result.spectra.already_there:
                rows["there already"] = f"{result.spectra.already_there:,}"
            if result.spectra.differing:
                rows["left out"] = f"{len(result.spectra.differing):,}, for their sites have others: see --replace"
        console.table(str(store), rows)
    console.reasons(result.not_good, len(result.not_good))
    differing = [f"left as it was: {line} (--replace)" for line in result.spectra.differing]
    console.reasons(differing, len(differing))
    console.write_json(json_target, {"store": str(store), **result.as_dict()})
    if not look_only:
        console.next_step(f"xanes-hpc featurise {shlex.quote(str(store))}")
