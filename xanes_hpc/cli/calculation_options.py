"""Options of the programs that calculate spectra, and of the scripts that run them."""

from typing import TYPE_CHECKING, Any

import click

from xanes_hpc.cli.options import gathered

if TYPE_CHECKING:
    from xanes_hpc.calculations.fdmnes.program import Fdmnes
    from xanes_hpc.calculations.write import Cluster


def _fdmnes(energies: str, keywords: tuple[str, ...], program: str, **others: Any) -> "Fdmnes":
    from xanes_hpc.calculations.fdmnes.program import Fdmnes, parse_keyword
    from xanes_hpc.calculations.write import parse_range
    from xanes_hpc.formats.fdmnes_input import Settings

    settings = Settings(energies=parse_range(energies), keywords=tuple(map(parse_keyword, keywords)), **others)
    return Fdmnes(settings, program)


fdmnes_options = gathered(
    "program",
    _fdmnes,
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
    click.option(
        "--program", default="fdmnes", show_default=True, metavar="COMMAND", help="Run FDMNES with this command"
    ),
)
"""Settings of FDMNES, as its ``Program``."""


def _cluster(directives: tuple[str, ...], at_once: int) -> "Cluster":
    from xanes_hpc.calculations.write import Cluster

    return Cluster(directives or Cluster.directives, at_once)


script_options = gathered(
    "cluster",
    _cluster,
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
"""Settings of the script that runs calculations."""
