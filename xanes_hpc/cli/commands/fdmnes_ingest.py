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
@click.option("--replace", is_flag=True, help="Replace spectra of the same kind and treatment")
@click.option("--look-only", is_flag=True, help="Report the state of the runs without changing the store")
@json_option
def command(folder: Path, store: Path, replace: bool, look_only: bool, json_target: str | None) -> None:
    """Read the calculated spectra into the store.

    DIR was made by "fdmnes write", or holds one folder per calculation, named after its site. Both the unbroadened
    spectra and those broadened by FDMNES are read. Runs that failed, have not finished or belong to another site
    are listed; run them again, then ingest again. Features computed from the store stay valid.
    """
    from xanes_hpc.calculations.fdmnes.program import Fdmnes
    from xanes_hpc.calculations.ingest import ingest

    with console.progress("reading", "runs") as progress:
        result = ingest(folder, store, Fdmnes(), replace, look_only, progress)
    if json_target != "-":
        rows = {"runs": ", ".join(f"{n:,} {state}" for state, n in result.runs.most_common())}
        if result.not_compared:
            rows["not compared"] = f"{result.not_compared:,} whose input does not list all atoms; their absorbers match"
        if not look_only:
            rows["spectra"] = f"{result.spectra.new:,} new"
            if result.spectra.replaced:
                rows["replaced"] = f"{result.spectra.replaced:,}"
            if result.spectra.already_there:
                rows["already there"] = f"{result.spectra.already_there:,}"
            if result.spectra.differing:
                rows["left out"] = (
                    f"{len(result.spectra.differing):,} that differ from the store's; --replace replaces those"
                )
        console.table(str(store), rows)
    console.reasons(result.not_good, len(result.not_good))
    differing = [f"left unchanged: {line}" for line in result.spectra.differing]
    console.reasons(differing, len(differing))
    console.write_json(json_target, {"store": str(store), **result.as_dict()})
    if not look_only:
        console.next_step(f"xanes-hpc featurise {shlex.quote(str(store))}")
