"""``xanes-hpc structures substitute``."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.command import JsonCommand
from xanes_hpc.cli.options import PATH, gathered, json_option, output_option, overwrite_option

if TYPE_CHECKING:
    from xanes_hpc.generation.substitute import SubstituteOptions


def _options(old: str, new: str, scale_bonds: bool, even: bool, donors_of: str | None) -> "SubstituteOptions":
    from xanes_hpc.generation.substitute import SubstituteOptions
    from xanes_hpc.importing.selection import parse_elements
    from xanes_hpc.structures.absorbers import named_element

    elements = tuple(sorted(parse_elements(new, "new")))
    donors = None if donors_of is None else named_element(donors_of, "donors_of")
    return SubstituteOptions(named_element(old, "old"), elements, scale_bonds, even, donors)


substitute_options = gathered(
    "options",
    _options,
    click.option("--from", "old", metavar="SYMBOL", required=True, help="Replace this element"),
    click.option(
        "--to", "new", metavar="SYMBOLS", required=True, help="Put these in its place, such as Co,Ni: a structure each"
    ),
    click.option(
        "--scale-bonds", is_flag=True, help="Scale its bond lengths with the sums of covalent radii; molecules only"
    ),
    click.option("--even", is_flag=True, help="Change the charge by 1 where the number of electrons is odd"),
    click.option("--donors-of", metavar="SYMBOL", help="Replace only atoms bonded to this element"),
)


@click.command("substitute", cls=JsonCommand)
@click.argument("store", type=PATH, metavar="STORE")
@output_option("Structure store to write", required=True)
@substitute_options
@overwrite_option
@json_option
def command(store: Path, output: Path, options: "SubstituteOptions", overwrite: bool, json_target: str | None) -> None:
    """Exchange an element in the structures of a store.

    The new structures have the same sites and charge, and no spectra. A spin that the new number of electrons cannot
    have is dropped. Structures without the element are left out.
    """
    from xanes_hpc.generation.substitute import substitute
    from xanes_hpc.stores.structures import StructureStore

    with StructureStore(store) as source:
        with console.progress("substituting", "structures") as progress:
            made = substitute(source, output, options, overwrite, progress)
        with made:
            found, words = made.summary, made.sites.in_words
    if json_target != "-":
        rows = {"structures": f"{found.written:,}", "sites": words}
        if found.charges_changed:
            rows["charges"] = f"{found.charges_changed:,} changed"
        if found.spins_dropped:
            rows["spins"] = f"{found.spins_dropped:,} dropped, which the number of electrons does not allow"
        if found.without:
            rows["without it"] = f"{found.without:,}, left out"
        if found.skipped_count:
            rows["skipped"] = f"{found.skipped_count:,}"
        console.table(str(output), rows)
    console.reasons([f"skipped: {line}" for line in found.skipped], found.skipped_count)
    console.write_json(json_target, {"output": str(output), **found.as_dict()})
    console.next_step(f"xanes-hpc relax {shlex.quote(str(output))} -o relaxed.h5")
