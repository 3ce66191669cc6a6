"""``xanes-hpc structures build``."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.choices import EDGE
from xanes_hpc.cli.command import JsonCommand
from xanes_hpc.cli.options import gathered, json_option, output_option, overwrite_option

if TYPE_CHECKING:
    from xanes_hpc.generation.complexes import ComplexOptions


def _words(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(word.strip() for word in text.split(","))


def _options(metals: str | None, oxidation: str, **others: Any) -> "ComplexOptions":
    from xanes_hpc.generation.complexes import ComplexOptions
    from xanes_hpc.importing.selection import parse_charges, parse_elements

    given = {name: value for name, value in others.items() if value is not None}
    if metals is not None:
        given["metals"] = tuple(sorted(parse_elements(metals, "metals")))
    states = tuple(sorted(map(int, parse_charges(oxidation, "oxidation"))))
    return ComplexOptions(oxidation=states, **given)


complex_options = gathered(
    "options",
    _options,
    click.option("--metals", metavar="SYMBOLS", help="Take these metals, such as Ti-Zn,Mo  [default: Cr-Cu]"),
    click.option(
        "--geometries",
        metavar="NAMES",
        callback=_words,
        help="Take some of octahedral, tetrahedral, square_planar, trigonal_bipyramidal, square_pyramidal  "
        "[default: all]",
    ),
    click.option(
        "--ligands",
        metavar="NAMES",
        callback=_words,
        help="Take some of CO, CN, NH3, OH2, F, Cl, Br, PH3, NCS, py  [default: all]",
    ),
    click.option(
        "--oxidation",
        metavar="NUMBERS",
        default="2",
        show_default=True,
        help="Draw the metal's oxidation state from these, such as 2,3; it sets the charge",
    ),
    click.option("--even", is_flag=True, help="Change the oxidation state by 1 where the number of electrons is odd"),
    click.option("--prefix", metavar="TEXT", default="complex", show_default=True, help="Begin names with this"),
)


@click.command("build", cls=JsonCommand)
@output_option("Structure store to write", required=True)
@click.option("-n", "--number", "n", type=int, metavar="N", default=100, show_default=True, help="Build N complexes")
@complex_options
@click.option("--edge", type=EDGE, metavar="EDGE", default="K", show_default=True, help="Set the sites' edge")
@click.option("--seed", type=int, metavar="N", default=0, show_default=True, help="Seed of all that is drawn")
@overwrite_option
@json_option
def command(
    output: Path,
    n: int,
    options: "ComplexOptions",
    edge: str,
    seed: int,
    overwrite: bool,
    json_target: str | None,
) -> None:
    """Build complexes of one metal with four to six ligands.

    Geometry, ligands, bond lengths and directions are drawn at random. Bond lengths are typical ones, whatever the
    metal: relax the structures before you calculate spectra. Charges are recorded.
    """
    from xanes_hpc.generation.build import build

    with build(output, n, seed, options, edge.upper(), overwrite) as store:
        words = store.sites.in_words
    if json_target != "-":
        console.table(str(output), {"structures": f"{n:,}", "sites": words})
    console.write_json(json_target, {"output": str(output), "structures": n})
    console.next_step(f"xanes-hpc relax {shlex.quote(str(output))} -o relaxed.h5")
