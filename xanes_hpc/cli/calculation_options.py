"""Options of the programs that calculate spectra, and of the scripts that run them."""

from typing import TYPE_CHECKING, Any

import click

from xanes_hpc.cli.choices import Known
from xanes_hpc.cli.options import PATH, gathered, json_option, several

if TYPE_CHECKING:
    from xanes_hpc.calculations.fdmnes.program import Fdmnes
    from xanes_hpc.calculations.feff.program import Feff
    from xanes_hpc.calculations.write import Cluster


def _fdmnes(range_: str, keywords: tuple[str, ...], program: str, **others: Any) -> "Fdmnes":
    from xanes_hpc.calculations.fdmnes.program import Fdmnes, parse_keyword
    from xanes_hpc.calculations.write import parse_numbers
    from xanes_hpc.formats.fdmnes_input import Settings

    settings = Settings(
        energies=parse_numbers("range_", range_, "-15 0.2 60"), keywords=tuple(map(parse_keyword, keywords)), **others
    )
    return Fdmnes(settings, program)


fdmnes_options = gathered(
    "fdmnes",
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
        "range_",
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


def _feff(energies: str, debye_waller: str, cards: tuple[str, ...], **others: Any) -> "Feff":
    from xanes_hpc.calculations.feff.program import Feff
    from xanes_hpc.calculations.write import parse_numbers
    from xanes_hpc.formats.feff_input import Settings

    grid = parse_numbers("energies", energies, "-15 0.2 60")
    damping = parse_numbers("debye_waller", debye_waller, "0.005, or 300 400")
    return Feff(Settings(energies=grid, debye_waller=damping, cards=cards, **others))


feff_options = gathered(
    "feff",
    _feff,
    click.option(
        "--scf-radius",
        type=click.FloatRange(min=0),
        default=5.0,
        show_default=True,
        help="Make the potential self-consistent within this radius, in Å; 0 overlaps the potentials of free atoms",
    ),
    click.option(
        "--fms-radius",
        type=click.FloatRange(min=0, min_open=True),
        default=6.0,
        show_default=True,
        help="Set the radius of full multiple scattering, in Å",
    ),
    click.option(
        "--core-hole",
        type=Known("formats.feff_input", "CORE_HOLES"),
        default="rpa",
        show_default=True,
        help="Screen the core hole in the random-phase approximation (rpa) or by relaxed orbitals (fsr), or have none",
    ),
    click.option(
        "--exchange",
        type=Known("formats.feff_input", "EXCHANGES"),
        default="hedin-lundin",
        show_default=True,
        help="Set the exchange-correlation potential",
    ),
    click.option(
        "--debye-waller",
        default="",
        metavar="'SIGMA2' | 'T THETA'",
        help="Damp by disorder: a mean square displacement in Å², or temperature and Debye temperature in K",
    ),
    click.option(
        "--energies",
        default="-15 1 -5 0.25 25 0.5 60",
        show_default=True,
        metavar="'E STEP E …'",
        help="Set the energies from the Fermi level and the steps between them, in eV",
    ),
    click.option(
        "--potentials",
        type=Known("formats.feff_input", "POTENTIALS"),
        default="element",
        show_default=True,
        help="Give each element a potential, or its bonded and other atoms one each (shell)",
    ),
    click.option(
        "--kind",
        type=Known("formats.feff_input", "KINDS"),
        default="xanes",
        show_default=True,
        help="Calculate absorption (xanes) or valence-to-core emission (xes)",
    ),
    click.option(
        "--card",
        "cards",
        multiple=True,
        metavar="'NAME [VALUES]'",
        help="Add a card of FEFF, or replace one, such as 'XANES 4 0.04 0.1' (repeatable)",
    ),
)
"""Settings of FEFF, as its ``Program``."""


ingest_options = several(
    click.argument("folder", type=PATH, metavar="DIR"),
    click.argument("store", type=PATH, metavar="STORE"),
    click.option("--replace", is_flag=True, help="Replace spectra of the same kind and treatment"),
    click.option("--look-only", is_flag=True, help="Report the state of the runs without changing the store"),
    json_option,
)


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
