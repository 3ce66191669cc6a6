"""``xanes-hpc fdmnes write``."""

import shlex
from pathlib import Path

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.command import Command
from xanes_hpc.cli.options import PATH, output_option, overwrite_option


@click.command("write", cls=Command)
@click.argument("store", type=PATH, metavar="STORE")
@output_option("Folder to write.", required=True)
@click.option("--radius", type=float, default=6.0, show_default=True, help="Of the cluster around the absorber, in Å.")
@click.option(
    "--range",
    "energies",
    default="-15 0.2 60",
    show_default=True,
    metavar="'E STEP E …'",
    help="Energies from the edge and the steps between them, in eV, such as '-30 0.2 60 0.5 120'.",
)
@click.option("--scf/--no-scf", default=False, show_default=True, help="Self-consistent potential: five times as long.")
@click.option("--quadrupole/--no-quadrupole", default=True, show_default=True, help="Quadrupole transitions.")
@click.option(
    "--green/--finite-differences",
    default=True,
    show_default=True,
    help="Multiple scattering in muffin-tin potentials, or finite differences, which take far longer.",
)
@click.option("--spin-orbit", is_flag=True, help="Spin-orbit coupling.")
@click.option("--emission", is_flag=True, help="The emission spectrum as well.")
@click.option(
    "--convolution/--no-convolution", default=True, show_default=True, help="FDMNES's own broadening as well."
)
@click.option(
    "--keyword",
    "keywords",
    multiple=True,
    metavar="'NAME [VALUES]'",
    help="A further keyword of FDMNES with its values, such as 'N_self 50'. May be repeated.",
)
@click.option("--missing", is_flag=True, help="Only sites that have no spectrum as calculated yet.")
@click.option(
    "--sites", "chosen", type=PATH, metavar="FILE.csv", help="Only sites named in the column site of a table."
)
@click.option("--program", default="fdmnes", show_default=True, help="FDMNES, as the script is to call it.")
@click.option(
    "--sbatch",
    "directives",
    multiple=True,
    metavar="'--OPTION=VALUE'",
    help="A line of the script for SLURM. May be repeated. Default: --time=12:00:00, --ntasks=1, --mem=4G.",
)
@click.option(
    "--at-once", type=click.IntRange(min=1), default=100, show_default=True, help="SLURM tasks that run at a time."
)
@overwrite_option
def command(
    store: Path,
    output: Path,
    radius: float,
    energies: str,
    scf: bool,
    quadrupole: bool,
    green: bool,
    spin_orbit: bool,
    emission: bool,
    convolution: bool,
    keywords: tuple[str, ...],
    missing: bool,
    chosen: Path | None,
    program: str,
    directives: tuple[str, ...],
    at_once: int,
    overwrite: bool,
) -> None:
    """Write a runnable folder for every site of a store.

    The defaults are those with which the published Fe K-edge set was calculated. Beside the folders stands run.sh:
    a SLURM array script that also runs them one after another where there is no SLURM.
    """
    import numpy as np

    from xanes_hpc.calculations.fdmnes.write import (
        Cluster,
        parse_keyword,
        parse_range,
        rows_named,
        without_spectrum,
        write_runs,
    )
    from xanes_hpc.formats.fdmnes_input import Settings
    from xanes_hpc.stores.structures import StructureStore

    settings = Settings(
        radius,
        parse_range(energies),
        scf,
        quadrupole,
        green,
        spin_orbit=spin_orbit,
        emission=emission,
        convolution=convolution,
        keywords=tuple(map(parse_keyword, keywords)),
    )
    cluster = Cluster(program, directives or Cluster.directives, at_once)
    with StructureStore(store) as opened, console.progress("writing", "sites") as progress:
        rows = without_spectrum(opened) if missing else None
        if chosen is not None:
            named = rows_named(opened, chosen)
            rows = named if rows is None else np.intersect1d(rows, named)
        folders = write_runs(opened, output, settings, rows, cluster, overwrite, progress)
    console.table(str(output), {"runs": f"{len(folders):,}", "first": str(Path(folders[0]) / f"{folders[0]}_in.txt")})
    console.next_step(f"sbatch run.sh in {shlex.quote(str(output))} (or bash run.sh); then "
                      f"{shlex.join(['xanes-hpc', 'fdmnes', 'ingest', str(output), str(store)])}")  # fmt: skip
