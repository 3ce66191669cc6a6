"""``xanes-hpc import``."""

import shlex
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.choices import PRESET, Choice, Known
from xanes_hpc.cli.command import JsonCommand
from xanes_hpc.cli.options import (
    PATH,
    disorder_option,
    gathered,
    json_option,
    output_option,
    overwrite_option,
    reading_options,
    refuse,
    site_options,
    sites_option,
)

if TYPE_CHECKING:
    from xanes_hpc.descriptors import Descriptor
    from xanes_hpc.features.from_arrays import FeaturesOptions
    from xanes_hpc.formats.read_options import ReadOptions
    from xanes_hpc.importing.options import ImportOptions, ImportSummary

OF_STRUCTURES = (
    "spectra", "absorber", "keep_unpaired", "strict", "properties", "elements", "charge", "max_atoms", "sample", "seed",
    "sites", "unique", "symprec", "disorder", "layout", "calculation", "feff_mu", "columns", "mu", "d_spacing",
    "only_paired", "spectra_suffix",
)  # fmt: skip
OF_ARRAYS = ("element", "preset", "description", "energies", "source", "beside")
"""Options that apply to one kind of source only."""
OF_FOREIGN = ("source", "beside")
OF_ALONE = ("element", "edge", "energies", "e0", "shift", "treatment")
"""Options for features that another program made, and for those without a structure store."""
E0_SOURCES = {"given": "as given", "file": "from the file", "xraydb": "from XrayDB"}


def _import_options(
    elements: str | None, charge: str | None, max_atoms: int | None, sample: int | None, seed: int, feff_mu: str,
    disorder: str | None, **others: Any,
) -> "ImportOptions":  # fmt: skip
    from xanes_hpc.formats.read_options import ReadOptions
    from xanes_hpc.importing.options import ImportOptions
    from xanes_hpc.importing.selection import Selection, parse_charges, parse_elements
    from xanes_hpc.structures.ordering import parse_disorder

    selection = Selection(
        None if elements is None else parse_elements(elements),
        None if charge is None else parse_charges(charge),
        max_atoms,
        sample,
        seed,
    )
    return ImportOptions(
        selection=selection, reading=ReadOptions(feff_mu=feff_mu), disorder=parse_disorder(disorder, seed), **others
    )


structure_options = gathered(
    "structures",
    _import_options,
    sites_option,
    click.option(
        "--properties",
        type=PATH,
        multiple=True,
        metavar="FILE.csv",
        help="Read properties of structures from a table with a column name or CSD_code, such as tmQM_y.csv, or atomic "
        "charges from tmQM_X.q (repeatable)",
    ),
    click.option("--elements", metavar="Ti-Zn", help="Keep only absorbers of these elements: symbols and ranges"),
    click.option("--charge", metavar="Q", help="Keep only structures with these charges, such as -1,0"),
    click.option(
        "--max-atoms", type=click.IntRange(min=1), metavar="N", help="Keep only structures of at most N atoms"
    ),
    click.option(
        "--sample",
        type=click.IntRange(min=1),
        metavar="N",
        help="Keep a random sample of N structures, with the elements of the absorbers in proportion",
    ),
    disorder_option,
    click.option(
        "--seed", type=int, metavar="N", default=0, show_default=True, help="Seed of --sample and of --disorder sample"
    ),
    click.option(
        "--unique",
        is_flag=True,
        help="Keep one of a crystal's symmetry-equivalent sites, weighted by their number",
    ),
    click.option(
        "--symprec", type=float, default=0.01, show_default=True, help="Set the tolerance of --unique's symmetry, in Å"
    ),
    click.option(
        "--layout",
        type=Choice(["lightshow"]),
        help="Read a folder of materials, ID/POSCAR and ID/FEFF-XANES/NNN_El/xmu.dat: the sites that have a spectrum",
    ),
    click.option(
        "--calculation",
        type=Known("importing.lightshow", "CALCULATIONS"),
        metavar="PROGRAM",
        help="With --layout: take the spectra of feff, vasp, ocean, exciting or xspectra  [default: feff, or the only "
        "one that is there]",
    ),
    click.option(
        "--feff-mu",
        type=Choice(["absolute", "normalised"]),
        default="absolute",
        show_default=True,
        help="Take FEFF's absorption in Å², or as FEFF normalised it",
    ),
    click.option("--keep-unpaired", is_flag=True, help="Keep structures that have no spectrum"),
    click.option("--only-paired", is_flag=True, help="Keep only the sites that have a spectrum"),
    click.option(
        "--spectra-suffix",
        multiple=True,
        metavar="ENDING",
        help="Also take spectra whose names end so after the structure's name, such as _mine.dat (repeatable)",
    ),
    click.option("--strict", is_flag=True, help="Stop at the first structure that cannot be used"),
)
array_options = gathered(
    "arrays",
    dict,
    click.option("--element", metavar="SYMBOL", help="With a .npz file: set the absorber, such as V"),
    click.option(
        "--preset", type=PRESET, metavar="NAME", help="With a .npz file: name the preset of the descriptor that made it"
    ),
    click.option(
        "--descriptor",
        "description",
        type=PATH,
        metavar="FILE.toml",
        help="With a .npz file: name the description of the descriptor that made it",
    ),
    click.option(
        "--structures",
        "beside",
        type=PATH,
        metavar="STRUCTURES.h5",
        help="With a .npz file: pair its rows by name with the sites of this structure store, which has the spectra",
    ),
    click.option(
        "--source",
        metavar="NAME",
        help="With a .npz file: name what made its features  [default: its array source, or the file's name]",
    ),
    click.option(
        "--energies",
        metavar="START:STOP",
        help="With a .npz file: set the first and last of the evenly spaced energies, in eV from e0, such as -15:60  "
        "[default: its array e]",
    ),
)


@click.command("import", cls=JsonCommand)
@click.argument("sources", type=PATH, nargs=-1, metavar="SOURCE...")
@output_option("Store to write, such as tmqm.h5", required=True)
@click.option(
    "--spectra",
    type=PATH,
    multiple=True,
    metavar="DIR",
    help="Take spectra from this folder, matched by structure name (repeatable)",
)
@site_options
@click.option("--e0", type=float, help="Set the edge energy in eV  [default: from the spectrum's file, or XrayDB]")
@click.option(
    "--shift", type=float, help="Add this to the spectra's energies, in eV, to align them with e0; the store records it"
)
@click.option(
    "--treatment", help="State how the spectra were broadened and normalised: none, a name, or JSON with a name"
)
@reading_options
@structure_options
@array_options
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
    reading: "ReadOptions",
    structures: "ImportOptions",
    arrays: dict[str, Any],
    overwrite: bool,
    json_target: str | None,
) -> None:
    """Read structures, and spectra matched by name, into a structure store.

    SOURCE is a file or folder: XYZ (symbols or atomic numbers, many frames, gzipped, tmQM), extended XYZ, CIF,
    POSCAR, trajectories and databases of ASE. The spectrum of the structure NAME is the file NAME.txt,
    NAME_conv.txt, NAME.csv, NAME.dat, …

    SOURCE may also be a .npz file with features, which becomes a feature store: an array x (n_sites, n_features), and
    optionally spectra y (n_sites, n_energies) at energies e. If another program made the features, arrays names,
    formulas, elements, edges, labels and source describe them. If a descriptor of ours did, name it with --preset or
    --descriptor.
    """
    from xanes_hpc.formats import npz
    from xanes_hpc.importing.from_files import import_structures
    from xanes_hpc.spectra.spectrum import parse_treatment

    treatment = parse_treatment(treatment)
    array_file = next((s for s in sources if npz.recognises(s)), None)
    if array_file is not None:
        from xanes_hpc.features.from_arrays import FeaturesOptions, energy_range

        refuse(OF_STRUCTURES, f"does not apply to features without structures ({array_file})")
        if len(sources) > 1:
            context = click.get_current_context()
            raise click.UsageError(f"{array_file}: expected as the only source, received {len(sources)}", context)
        limits = None if arrays["energies"] is None else energy_range(arrays["energies"])
        own_edge = None if edge is None else edge.upper()
        of_all = FeaturesOptions(arrays["element"], own_edge, limits, e0, shift, treatment, arrays["source"])
        if arrays["preset"] is None and arrays["description"] is None:
            _import_foreign(array_file, output, of_all, arrays["beside"], overwrite, json_target)
        else:
            refuse(
                OF_FOREIGN, f"is for features of another program; {array_file} has those of --preset or --descriptor"
            )
            descriptor = _descriptor_of(arrays, array_file)
            _import_features(array_file, output, descriptor, of_all, overwrite, json_target)
        return
    edge = (edge or "K").upper()
    refuse(OF_ARRAYS, "applies only to a .npz file of features and spectra")
    options = replace(
        structures, spectra=spectra, absorber=absorber, edge=edge, e0=e0, shift=shift, treatment=treatment,
        reading=replace(reading, feff_mu=structures.reading.feff_mu),
    )  # fmt: skip
    with console.progress("importing", "files") as progress:
        summary = import_structures(sources, output, options, overwrite, progress)
    _print_summary(output, summary, edge, json_target)


def _descriptor_of(arrays: dict[str, Any], source: Path) -> "Descriptor":
    """Return the descriptor of a .npz file, after a check that the file is fully described."""
    from xanes_hpc.descriptors import choose

    if arrays["element"] is None:
        context = click.get_current_context()
        raise click.UsageError(f"{source}: has features without structures: give --element", context)
    return choose(arrays["preset"], arrays["description"])


def _import_foreign(
    source: Path,
    output: Path,
    options: "FeaturesOptions",
    beside: Path | None,
    overwrite: bool,
    json_target: str | None,
) -> None:
    """Import features that another program made, alone or for the sites of a structure store."""
    from xanes_hpc.features.foreign_store import import_beside, import_foreign
    from xanes_hpc.spectra.spectrum import treatment_name
    from xanes_hpc.stores.structures import StructureStore

    unpaired: dict[str, str] = {}
    if beside is None:
        summary = import_foreign(source, output, options, overwrite)
    else:
        refuse(OF_ALONE, f"does not apply to the sites of a structure store ({beside})")
        with StructureStore(beside) as structures, console.progress("importing", "sites") as progress:
            summary, paired = import_beside(source, structures, output, options.source, overwrite, progress)
            has_spectra, unpaired = structures.has_spectra, paired.in_words()
    if json_target != "-":
        rows = {
            "sites": f"{summary.sites:,} ({', '.join(f'{n:,} {kind}' for kind, n in summary.absorbers.items())})",
            "features": f"{summary.features:,} per site (foreign, float32)",
            "source": summary.source
            + ("" if summary.source_given else " (the file's name; set another with --source)"),
            "from the file": ", ".join(summary.from_file) or "features only",
            "file": f"SHA-256 {summary.digest}",
        }
        if summary.spectra:
            rows["spectra"] = (
                f"{summary.spectra:,} with {summary.energies:,} energies, {summary.energy_start:g} to "
                f"{summary.energy_stop:g} eV from e0, treatment {treatment_name(str(summary.treatment))}"
            )
        rows |= unpaired
        if summary.unused_arrays:
            rows["other arrays"] = f"{', '.join(summary.unused_arrays)} (not used)"
        console.table(str(output), rows)
    console.write_json(json_target, {"output": str(output), **summary.as_dict()})
    if summary.spectra or (beside is not None and has_spectra):
        grouped = "" if beside is not None or "formulas" in summary.from_file else " --group cluster"
        console.next_step(f"xanes-hpc train {shlex.quote(str(output))}{grouped}")
    else:
        console.next_step(f"xanes-hpc predict {shlex.quote(str(output))} --model MODEL")


def _import_features(
    source: Path,
    output: Path,
    descriptor: "Descriptor",
    options: "FeaturesOptions",
    overwrite: bool,
    json_target: str | None,
) -> None:
    from xanes_hpc.features.from_arrays import import_features
    from xanes_hpc.spectra.spectrum import treatment_name

    summary = import_features(source, output, descriptor, options, overwrite)
    if json_target != "-":
        e0_source = E0_SOURCES.get(summary.e0_source, summary.e0_source)
        rows = {
            "sites": f"{summary.sites:,} ({summary.element} {summary.edge})",
            "features": f"{summary.features:,} per site ({summary.descriptor}, {summary.dtype})",
            "descriptor": summary.descriptor_hash,
            "spectra": f"{summary.spectra:,} with {summary.energies:,} energies, "
            f"{summary.energy_start:g} to {summary.energy_stop:g} eV from e0 = {summary.e0:g} eV ({e0_source})",
            "treatment": treatment_name(summary.treatment),
        }
        if summary.unused_arrays:
            rows["other arrays"] = f"{', '.join(summary.unused_arrays)} (not used)"
        console.table(str(output), rows)
    console.write_json(json_target, {"output": str(output), **summary.as_dict()})
    console.next_step(f"xanes-hpc train {shlex.quote(str(output))} --group cluster")


def _print_summary(output: Path, summary: "ImportSummary", edge: str, json_target: str | None) -> None:
    from xanes_hpc.spectra.spectrum import treatment_name

    if json_target != "-":
        e0_sources = Counter({E0_SOURCES.get(source, source): n for source, n in summary.e0_sources.items()})
        treatments: Counter[str] = Counter()
        for treatment, n in summary.treatments.items():
            treatments[treatment_name(treatment)] += n
        rows = {
            "structures": f"{summary.structures:,} ({summary.atoms:,} atoms)",
            "sites": f"{summary.sites:,} at the {edge} edge ({_counts(summary.elements)})",
            "spectra": f"{summary.spectra:,}" + (f" (e0: {_counts(e0_sources)})" if summary.spectra else ""),
            "skipped": f"{summary.skipped_count:,}",
        }
        if summary.not_selected:
            rows["not selected"] = _counts(summary.not_selected, "by ")
        if summary.unused_properties or summary.without_properties:
            first = summary.first_without_properties
            more = ", …" if summary.without_properties > len(first) else ""
            rows["properties"] = (
                f"structures without a row in the tables: {summary.without_properties:,}"
                + (f" ({', '.join(first)}{more})" if first else "")
                + f"; rows without a structure: {summary.unused_properties:,}"
            )
        if summary.properties_replaced:
            rows["replaced"] = f"values of structure files, by the tables: {_counts(summary.properties_replaced, '× ')}"
        if summary.spectra:
            rows["treatment"] = _counts(treatments)
        if summary.properties_left_out:
            left_out = _counts(summary.properties_left_out)
            rows["left out"] = f"properties with an odd name, or text where others have numbers: {left_out}"
        if summary.ignored_files:
            rows["ignored files"] = f"{summary.ignored_files:,} (not structure files by name)"
        if summary.unused_spectra > 0:
            rows["unused spectra"] = f"{summary.unused_spectra:,}"
        console.table(str(output), rows)
    console.reading(summary)
    console.write_json(json_target, {"output": str(output), **summary.as_dict()})
    console.next_step(f"xanes-hpc featurise {shlex.quote(str(output))}")


def _counts(counter: Counter[str], between: str = "") -> str:
    return ", ".join(f"{n:,} {between}{name}" for name, n in counter.most_common(8))
