"""``xanes-hpc import``."""

import shlex
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.array_import import E0_SOURCES, OF_ARRAYS, array_options, import_arrays
from xanes_hpc.cli.choices import Choice, Known
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
    from xanes_hpc.formats.read_options import ReadOptions
    from xanes_hpc.importing.options import ImportOptions, ImportSummary

OF_STRUCTURES = (
    "spectra", "absorber", "keep_unpaired", "strict", "properties", "elements", "charge", "max_atoms", "sample", "seed",
    "sites", "unique", "symprec", "disorder", "layout", "calculation", "feff_mu", "columns", "mu", "d_spacing",
    "only_paired", "spectra_suffix",
)  # fmt: skip


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

    SOURCE is a file or folder of structures: XYZ (plain, extended, tmQM), CIF, mmCIF, PDB, SDF, MOL, POSCAR, or
    trajectories and databases of ASE; text files may be compressed. The spectrum of the structure NAME is the file
    NAME.txt, NAME_conv.txt, NAME.csv, NAME.xdi, … in a folder of --spectra: XDI, NeXus, FDMNES, FEFF, an Athena project
    (NAME.prj), or columns of energies, spectra or detector channels.

    SOURCE may also be a .npz file with features, which becomes a feature store: an array x (n_sites, n_features), and
    optionally spectra y (n_sites, n_energies) at energies e. If another program made the features, the arrays
    names, formulas, elements, edges, labels and source describe them. If one of xanes-hpc's descriptors made them, name
    it with --preset or --descriptor.
    """
    from xanes_hpc.formats import npz
    from xanes_hpc.importing.from_files import import_structures
    from xanes_hpc.spectra.spectrum import parse_treatment

    treatment = parse_treatment(treatment)
    array_file = next((s for s in sources if npz.recognises(s)), None)
    if array_file is not None:
        refuse(OF_STRUCTURES, f"does not apply to features without structures ({array_file})")
        if len(sources) > 1:
            context = click.get_current_context()
            raise click.UsageError(f"{array_file}: expected as the only source, received {len(sources)}", context)
        of_spectra = {"edge": edge and edge.upper(), "e0": e0, "shift": shift, "treatment": treatment}
        import_arrays(array_file, output, arrays, of_spectra, overwrite, json_target)
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
            rows["unit"] = _counts(summary.units)
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
