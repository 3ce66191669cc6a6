"""``xanes-hpc import``."""

import shlex
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.choices import PRESET
from xanes_hpc.cli.command import JsonCommand
from xanes_hpc.cli.options import PATH, json_option, output_option, overwrite_option, refuse, site_options

if TYPE_CHECKING:
    from xanes_hpc.descriptors import Descriptor
    from xanes_hpc.features.from_arrays import FeaturesOptions
    from xanes_hpc.importing.options import ImportSummary

OF_STRUCTURES = (
    "spectra", "absorber", "keep_unpaired", "strict", "properties", "elements", "charge", "max_atoms", "sample", "seed",
    "unique", "symprec",
)  # fmt: skip
OF_FEATURES = ("element", "preset", "description", "energies")
"""Options that apply to the one kind of source only."""


@click.command("import", cls=JsonCommand)
@click.argument("sources", type=PATH, nargs=-1, metavar="SOURCE...")
@output_option("Structure store to write, such as tmqm.h5; of a .npz file a feature store.", required=True)
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
@click.option(
    "--properties",
    type=PATH,
    multiple=True,
    metavar="FILE.csv",
    help="Table of properties by name or CSD_code, such as tmQM_y.csv; or charges of atoms, such as tmQM_X.q.",
)
@click.option("--elements", metavar="Ti-Zn", help="Take absorbers of these elements only: symbols and ranges.")
@click.option("--charge", metavar="Q", help="Take structures of these charges only, such as -1,0.")
@click.option("--max-atoms", type=click.IntRange(min=1), metavar="N", help="Take structures of at most N atoms.")
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    metavar="N",
    help="Take N of them, drawn at random, each absorber's element in proportion.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the sample.")
@click.option("--unique", is_flag=True, help="Of a crystal's equal sites take one, with how many there are as weight.")
@click.option("--symprec", type=float, default=0.01, show_default=True, help="Tolerance of its symmetry, in Å.")
@click.option("--keep-unpaired", is_flag=True, help="Keep structures that have no spectrum.")
@click.option("--strict", is_flag=True, help="Stop at the first structure that cannot be used.")
@click.option("--element", metavar="SYMBOL", help="Absorber of a .npz file's sites, such as V.")
@click.option("--preset", type=PRESET, help="Descriptor of a .npz file's features, by preset, such as xanesnet-2022.")
@click.option(
    "--descriptor",
    "description",
    type=PATH,
    metavar="FILE.toml",
    help="Descriptor of a .npz file's features, by its description.",
)
@click.option(
    "--energies",
    metavar="START:STOP",
    help="First and last energy of a .npz file's spectra, evenly spaced, in eV from e0, such as -15:60. "
    "Default: its array e.",
)
@overwrite_option
@json_option
@click.pass_context
def command(
    context: click.Context,
    sources: tuple[Path, ...],
    output: Path,
    spectra: tuple[Path, ...],
    absorber: str | None,
    edge: str | None,
    e0: float | None,
    shift: float | None,
    treatment: str | None,
    properties: tuple[Path, ...],
    elements: str | None,
    charge: str | None,
    max_atoms: int | None,
    sample: int | None,
    seed: int,
    unique: bool,
    symprec: float,
    keep_unpaired: bool,
    strict: bool,
    element: str | None,
    preset: str | None,
    description: Path | None,
    energies: str | None,
    overwrite: bool,
    json_target: str | None,
) -> None:
    """Read structures, and spectra by name, into a structure store.

    SOURCE is a file or folder: XYZ (symbols or atomic numbers, many frames, gzipped, tmQM's), extended XYZ,
    CIF, POSCAR, trajectories and databases of ASE. A spectrum belongs to the structure whose name its file
    bears: NAME.txt, NAME_conv.txt, NAME.csv, NAME.dat, …

    Features and spectra that come without structures, in a .npz file with arrays x (n_sites, n_features) and
    y (n_sites, n_energies), go into a feature store: give --element, --preset or --descriptor, and --energies.
    """
    from xanes_hpc.formats import npz
    from xanes_hpc.importing.from_files import import_structures
    from xanes_hpc.importing.options import ImportOptions
    from xanes_hpc.importing.selection import Selection, parse_charges, parse_elements
    from xanes_hpc.spectra.spectrum import parse_treatment

    edge, treatment = (edge or "K").upper(), parse_treatment(treatment)
    arrays = next((s for s in sources if npz.recognises(s)), None)
    if arrays is not None:
        from xanes_hpc.descriptors import choose
        from xanes_hpc.features.from_arrays import FeaturesOptions, energy_range

        refuse(OF_STRUCTURES, f"does not apply to features without structures ({arrays})")
        missing = {"--element": element, "--preset or --descriptor": preset or description}
        asked = " and ".join(name for name, value in missing.items() if value is None)
        if len(sources) > 1:
            raise click.UsageError(f"{arrays}: expected as the only source, received {len(sources)} sources", context)
        if element is None or asked:
            raise click.UsageError(f"{arrays}: features without structures: give {asked}", context)
        limits = None if energies is None else energy_range(energies)
        of_all = FeaturesOptions(element, edge, limits, e0, shift, treatment)
        _import_features(arrays, output, choose(preset, description), of_all, overwrite, json_target)
        return
    refuse(OF_FEATURES, "applies to a .npz file of features and spectra only")
    selection = Selection(
        None if elements is None else parse_elements(elements),
        None if charge is None else parse_charges(charge),
        max_atoms,
        sample,
        seed,
    )
    options = ImportOptions(
        absorber, edge, spectra, e0, shift, treatment, keep_unpaired, strict,
        selection=selection, unique=unique, symprec=symprec, properties=properties,
    )  # fmt: skip
    with console.progress("importing", "files") as progress:
        summary = import_structures(sources, output, options, overwrite, progress)
    _tell(output, summary, edge, json_target)


def _import_features(
    source: Path,
    output: Path,
    descriptor: "Descriptor",
    options: "FeaturesOptions",
    overwrite: bool,
    json_target: str | None,
) -> None:
    from xanes_hpc.features.from_arrays import import_features

    summary = import_features(source, output, descriptor, options, overwrite)
    if json_target != "-":
        rows = {
            "sites": f"{summary.sites:,} ({summary.element} {summary.edge})",
            "features": f"{summary.features:,} a site ({summary.descriptor}, {summary.dtype})",
            "descriptor": summary.descriptor_hash,
            "spectra": f"{summary.spectra:,} of {summary.energies:,} energies, "
            f"{summary.energy_start:g} to {summary.energy_stop:g} eV from e0 = {summary.e0:g} eV ({summary.e0_source})",
            "treatment": summary.treatment,
        }
        if summary.unused_arrays:
            rows["other arrays"] = f"{', '.join(summary.unused_arrays)} (not used)"
        console.table(str(output), rows)
    console.write_json(json_target, {"output": str(output), **summary.as_dict()})
    console.next_step(f"xanes-hpc train {shlex.quote(str(output))} --group cluster")


def _tell(output: Path, summary: "ImportSummary", edge: str, json_target: str | None) -> None:
    if json_target != "-":
        rows = {
            "structures": f"{summary.structures:,} ({summary.atoms:,} atoms)",
            "sites": f"{summary.sites:,} ({_counts(summary.elements)} {edge})",
            "spectra": f"{summary.spectra:,}" + (f" (e0: {_counts(summary.e0_sources)})" if summary.spectra else ""),
            "skipped": f"{summary.skipped_count:,}",
        }
        if summary.not_selected:
            rows["not selected"] = _counts(summary.not_selected, "by ")
        if summary.unused_properties or summary.without_properties:
            first = summary.first_without_properties
            more = ", …" if summary.without_properties > len(first) else ""
            rows["properties"] = (
                f"{summary.without_properties:,} structures have no row in the tables"
                + (f" ({', '.join(first)}{more})" if first else "")
                + f", {summary.unused_properties:,} rows are of no structure read"
            )
        if summary.properties_replaced:
            rows["replaced"] = f"by tables, what structure files tell: {_counts(summary.properties_replaced, 'times ')}"
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
    console.reasons([f"skipped: {item['reason']}" for item in summary.skipped], summary.skipped_count)
    console.write_json(json_target, {"output": str(output), **summary.as_dict()})
    console.next_step(f"xanes-hpc featurise {shlex.quote(str(output))}")


def _counts(counter: Counter[str], between: str = "") -> str:
    return ", ".join(f"{n:,} {between}{name}" for name, n in counter.most_common(8))
