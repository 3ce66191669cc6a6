"""``xanes-hpc import``."""

import shlex
from collections import Counter
from pathlib import Path

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.options import PATH, JsonCommand, json_option, output_option, overwrite_option, site_options

MOST_SHOWN = 10


@click.command("import", cls=JsonCommand)
@click.argument("sources", type=PATH, nargs=-1, metavar="SOURCE...")
@output_option("Structure store to write, such as tmqm.h5.", required=True)
@click.option(
    "--spectra",
    type=PATH,
    multiple=True,
    metavar="DIR",
    help="Folder of spectra, found by structure name. May be repeated.",
)
@site_options
@click.option("--e0", type=float, help="Edge energy in eV. Default: the file's own, else XrayDB's.")
@click.option(
    "--shift",
    type=float,
    help="Added to the spectra's energies (eV) to bring them to the scale of e0; stored beside them.",
)
@click.option("--treatment", help="How the spectra were broadened and normalised: none, a name, or JSON with a name.")
@click.option("--keep-unpaired", is_flag=True, help="Keep structures that have no spectrum.")
@click.option("--strict", is_flag=True, help="Stop at the first structure that cannot be used.")
@overwrite_option
@json_option
def command(
    sources: tuple[Path, ...],
    output: Path,
    spectra: tuple[Path, ...],
    absorber: str | None,
    edge: str | None,
    e0: float | None,
    shift: float | None,
    treatment: str | None,
    keep_unpaired: bool,
    strict: bool,
    overwrite: bool,
    json_target: str | None,
) -> None:
    """Read structures, and spectra by name, into a structure store.

    SOURCE is a file or folder: XYZ (symbols or atomic numbers, many frames, gzipped, tmQM's), extended XYZ,
    CIF, POSCAR, trajectories and databases of ASE. A spectrum belongs to the structure whose name its file
    bears: NAME.txt, NAME_conv.txt, NAME.csv, NAME.dat, …
    """
    from xanes_hpc.importing import ImportOptions, import_structures
    from xanes_hpc.records import parse_treatment

    options = ImportOptions(
        absorber, (edge or "K").upper(), spectra, e0, shift, parse_treatment(treatment), keep_unpaired, strict
    )
    with console.progress("importing", "files") as progress:
        summary = import_structures(sources, output, options, overwrite, progress)
    if json_target != "-":
        rows = {
            "structures": f"{summary.structures:,} ({summary.atoms:,} atoms)",
            "sites": f"{summary.sites:,} ({_counts(summary.elements)} {options.edge})",
            "spectra": f"{summary.spectra:,}" + (f" (e0: {_counts(summary.e0_sources)})" if summary.spectra else ""),
            "skipped": f"{summary.skipped_count:,}",
        }
        if summary.spectra:
            rows["treatment"] = _counts(summary.treatments)
        if summary.properties_left_out:
            rows["left out"] = (
                f"properties that others have as numbers, or odd names: {_counts(summary.properties_left_out)}"
            )
        if summary.ignored_files:
            rows["other files"] = f"{summary.ignored_files:,} (not structures by their names)"
        if summary.unused_spectra > 0:
            rows["unused"] = f"{summary.unused_spectra:,} spectrum files not used"
        console.table(str(output), rows)
    for item in summary.skipped[:MOST_SHOWN]:
        console.err.print(f"skipped: {item['reason']}")
    if summary.skipped_count > MOST_SHOWN:
        console.err.print(f"… and {summary.skipped_count - MOST_SHOWN} more; --json lists them")
    console.write_json(json_target, {"output": str(output), **summary.as_dict()})
    console.next_step(f"xanes-hpc featurise {shlex.quote(str(output))}")


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{n:,} {name}" for name, n in counter.most_common(8))
