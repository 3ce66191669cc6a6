"""``xanes-hpc fdmnes write``."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.command import JsonCommand
from xanes_hpc.cli.options import (
    PATH,
    gathered,
    json_option,
    listed_rows,
    output_option,
    overwrite_option,
    sites_option,
)

if TYPE_CHECKING:
    from xanes_hpc.calculations.fdmnes.write import Cluster
    from xanes_hpc.formats.fdmnes_input import Settings


def _settings(energies: str, keywords: tuple[str, ...], **others: Any) -> "Settings":
    from xanes_hpc.calculations.fdmnes.write import parse_keyword, parse_range
    from xanes_hpc.formats.fdmnes_input import Settings

    return Settings(energies=parse_range(energies), keywords=tuple(map(parse_keyword, keywords)), **others)


def _cluster(program: str, directives: tuple[str, ...], at_once: int) -> "Cluster":
    from xanes_hpc.calculations.fdmnes.write import Cluster

    return Cluster(program, directives or Cluster.directives, at_once)


@click.command("write", cls=JsonCommand)
@click.argument("store", type=PATH, metavar="STORE")
@output_option("Folder to write", required=True)
@gathered(
    "settings",
    _settings,
    click.option(
        "--radius",
        type=float,
        default=6.0,
        show_default=True,
        help="Set the radius of the cluster around the absorber, in Å",
    ),
    click.option(
        "--range",
        "energies",
        default="-15 0.2 60",
        show_default=True,
        metavar="'E STEP E …'",
        help="Set the energies from the edge and the steps between them, in eV, such as '-30 0.2 60 0.5 120'",
    ),
    click.option(
        "--scf/--no-scf",
        default=False,
        show_default=True,
        help="Make the potential self-consistent, which takes five times as long",
    ),
    click.option(
        "--quadrupole/--no-quadrupole", default=True, show_default=True, help="Include quadrupole transitions"
    ),
    click.option(
        "--green/--finite-differences",
        default=True,
        show_default=True,
        help="Use multiple scattering with muffin-tin potentials, or finite differences, which take far longer",
    ),
    click.option("--spin-orbit", is_flag=True, help="Include spin-orbit coupling"),
    click.option("--emission", is_flag=True, help="Also calculate the emission spectrum"),
    click.option(
        "--convolution/--no-convolution", default=True, show_default=True, help="Also broaden the spectra with FDMNES"
    ),
    click.option(
        "--keyword",
        "keywords",
        multiple=True,
        metavar="'NAME [VALUES]'",
        help="Add a keyword of FDMNES with its values, such as 'N_self 50' (repeatable)",
    ),
)
@click.option("--missing", is_flag=True, help="Write only sites that have no unbroadened spectrum yet")
@sites_option
@gathered(
    "cluster",
    _cluster,
    click.option(
        "--program", default="fdmnes", show_default=True, metavar="COMMAND", help="Run FDMNES with this command"
    ),
    click.option(
        "--sbatch",
        "directives",
        multiple=True,
        metavar="OPTION",
        help="Add a line to the SLURM script (repeatable)  [default: --time=12:00:00, --ntasks=1, --mem=4G]",
    ),
    click.option(
        "--at-once",
        type=click.IntRange(min=1),
        metavar="N",
        default=100,
        show_default=True,
        help="Run at most N tasks of SLURM at a time",
    ),
)
@click.option("--strict", is_flag=True, help="Stop at the first site that FDMNES cannot handle")
@overwrite_option
@json_option
def command(
    store: Path,
    output: Path,
    settings: "Settings",
    missing: bool,
    sites: Path | None,
    cluster: "Cluster",
    strict: bool,
    overwrite: bool,
    json_target: str | None,
) -> None:
    """Write an FDMNES calculation for every site of a store.

    Each site gets a folder of its own. The script run.sh runs them all, as a SLURM array or, without SLURM, one after
    another. The defaults are the settings of the published Fe K-edge set.
    """
    import numpy as np

    from xanes_hpc.calculations.fdmnes.write import without_spectrum, write_runs
    from xanes_hpc.stores.structures import StructureStore

    with StructureStore(store) as opened, console.progress("writing", "sites") as progress:
        rows = without_spectrum(opened) if missing else None
        listed = listed_rows(opened, sites)
        if listed is not None:
            rows = listed if rows is None else np.intersect1d(rows, listed)
        written = write_runs(opened, output, settings, rows, cluster, overwrite, strict, progress)
    if json_target != "-":
        first = written.folders[0]
        found = {"runs": f"{len(written.folders):,}", "first": str(Path(first) / f"{first}_in.txt")}
        console.table(str(output), found | ({"skipped": f"{n:,}"} if (n := written.skipped_count) else {}))
    console.reasons([f"skipped: {line}" for line in written.skipped], written.skipped_count)
    console.write_json(json_target, {"output": str(output), **written.as_dict()})
    console.next_step(f"sbatch run.sh in {shlex.quote(str(output))} (or bash run.sh); then "
                      f"{shlex.join(['xanes-hpc', 'fdmnes', 'ingest', str(output), str(store)])}")  # fmt: skip
