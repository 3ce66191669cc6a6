"""How ``xanes-hpc import`` reads a ``.npz`` file of features: its options, and what it prints."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.choices import PRESET
from xanes_hpc.cli.options import PATH, gathered, refuse

if TYPE_CHECKING:
    from xanes_hpc.descriptors import Descriptor
    from xanes_hpc.features.from_arrays import FeaturesOptions

OF_ARRAYS = ("element", "preset", "description", "energies", "source", "beside")
"""Options that apply only to a file of arrays."""
OF_FOREIGN = ("source", "beside")
OF_ALONE = ("element", "edge", "energies", "e0", "shift", "treatment")
"""Options for features that another program made, and for those without a structure store."""
E0_SOURCES = {"given": "as given", "file": "from the file", "xraydb": "from XrayDB"}

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
        help="With a .npz file: pair its rows by name with the sites of this structure store, which holds the spectra",
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


def import_arrays(
    source: Path,
    output: Path,
    arrays: dict[str, Any],
    of_spectra: dict[str, Any],
    overwrite: bool,
    json_target: str | None,
) -> None:
    """Import features of one of our descriptors, if one is named, or else of another program.

    Parameters
    ----------
    arrays
        Values of ``array_options``.
    of_spectra
        Edge, e0, shift and treatment.
    """
    from xanes_hpc.features.from_arrays import FeaturesOptions, energy_range

    energies = None if arrays["energies"] is None else energy_range(arrays["energies"])
    options = FeaturesOptions(arrays["element"], energies=energies, source=arrays["source"], **of_spectra)
    if arrays["preset"] is None and arrays["description"] is None:
        _import_foreign(source, output, options, arrays["beside"], overwrite, json_target)
        return
    refuse(OF_FOREIGN, f"is for features of another program; {source} has those of --preset or --descriptor")
    _import_features(source, output, _descriptor_of(arrays, source), options, overwrite, json_target)


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
