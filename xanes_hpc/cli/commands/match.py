"""``xanes-hpc match``."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from xanes_hpc.cli import combinations, console, matches
from xanes_hpc.cli.choices import Known
from xanes_hpc.cli.command import JsonCommand
from xanes_hpc.cli.options import (
    PATH,
    energy_options,
    figure_option,
    gathered,
    json_option,
    normalise_options,
    output_option,
    overwrite_option,
    reading_options,
    refuse,
    store_options,
    window_option,
)

if TYPE_CHECKING:
    from xanes_hpc.experiment.energy import EnergyOptions
    from xanes_hpc.experiment.match_options import MatchOptions
    from xanes_hpc.experiment.measured_set import MeasuredSet
    from xanes_hpc.experiment.normalised import NormaliseOptions
    from xanes_hpc.formats.read_options import ReadOptions

NOT_COMPARED = {"without_spectrum": "without such a spectrum", "short": "whose spectra do not cover the grid"}
OF_STRUCTURES = ("kind", "treatment")
OF_LIBRARY = ("sites", "scale", "by", "noise", *OF_STRUCTURES)
Window = tuple[float, float]


def _match_options(range: Window | None, **others: Any) -> "MatchOptions":
    from xanes_hpc.experiment.match_options import MatchOptions

    start, stop = range or (None, None)
    return MatchOptions(start=start, stop=stop, **others)


@click.command("match", cls=JsonCommand)
@click.argument("paths", type=PATH, nargs=-1, required=True, metavar="EXPERIMENT... STORE")
@gathered(
    "of_standards",
    dict,
    click.option(
        "--standards",
        type=PATH,
        multiple=True,
        metavar="FOLDER",
        help="Fit combinations of the measured standards in this folder or file; then there is no STORE",
    ),
    click.option(
        "--sum-to-one/--any-sum",
        default=True,
        show_default=True,
        help="Let the fractions of standards add up to 1",
    ),
)
@store_options
@gathered(
    "options",
    _match_options,
    click.option(
        "--scale",
        type=Known("experiment.match_options", "SCALES"),
        default="factor",
        help="Scale the measured spectrum by the best factor for each site (factor), after subtracting a straight line "
        "from both spectra (line), or both spectra by their area or min-max, or not at all (none)  [default: factor; "
        "line for a spectrum too short to be normalised]",
    ),
    click.option(
        "--by",
        type=Known("experiment.match_options", "CRITERIA"),
        default="likelihood",
        show_default=True,
        help="Rank sites and mixtures by likelihood, or by chi2, which favours a wide sigma",
    ),
    click.option(
        "--max-shift",
        type=click.FloatRange(min=0.0),
        metavar="EV",
        default=0.0,
        show_default=True,
        help="Try shifts of up to this many eV either way",
    ),
    click.option(
        "--noise",
        type=float,
        metavar="FRACTION",
        help="Assume this noise of the measured spectrum, as a fraction of the prediction's largest value, in addition "
        "to sigma  [default: 0.01; none if its file has standard deviations]",
    ),
    window_option("--range", "Compare only these energies, on the store's energy axis  [default: the whole overlap]"),
    click.option(
        "--mixture",
        type=click.IntRange(1, 3),
        metavar="N",
        default=1,
        show_default=True,
        help="Also try mixtures of up to N sites",
    ),
    click.option(
        "--keep", type=click.IntRange(min=1), metavar="N", default=20, show_default=True, help="List the best N"
    ),
)
@energy_options
@normalise_options
@reading_options
@figure_option("Draw the best matches")
@output_option("CSV file to write, with the ranking", ending=".csv")
@overwrite_option
@json_option
def command(
    paths: tuple[Path, ...],
    of_standards: dict[str, Any],
    of_store: dict[str, Any],
    options: "MatchOptions",
    energy: "EnergyOptions",
    normalisation: "NormaliseOptions",
    reading: "ReadOptions",
    plot: Path | None,
    output: Path | None,
    overwrite: bool,
    json_target: str | None,
) -> None:
    """Find the sites whose spectra best resemble measured ones.

    EXPERIMENT is a measured spectrum: XDI, NeXus, columns of energies and a spectrum or detector channels, or a group
    of an Athena project (NAME.prj:LABEL). A spectrum calculated with FEFF or FDMNES can be given too. Folders, patterns
    and whole projects stand for all their spectra; a spectrum that cannot be used does not stop the others. STORE is a
    prediction store, in which each energy is weighted by its sigma, or a structure store with spectra.

    The measured spectrum is normalised first, with windows chosen from its range. With --mixture, sums of two or three
    sites are fitted too, by non-negative least squares.

    With --standards, linear combinations of measured standards are fitted in place of sites: all those of up to three,
    or --mixture, from -20 to 30 eV or --range around the edge. With --max-shift each standard has a shift of its own.
    """
    from xanes_hpc.experiment.measured_set import MeasuredSet
    from xanes_hpc.plotting.figures import check_figure
    from xanes_hpc.runtime.outputs import check_output

    check_figure(plot)
    if output is not None:
        check_output(output, overwrite)
    outputs = matches.Outputs(plot, output, overwrite, json_target)
    if of_standards["standards"]:
        refuse(OF_LIBRARY, "does not apply to --standards")
        given = MeasuredSet(paths, None, reading, energy, normalisation)
        _against_standards(given, of_standards, of_store, options, outputs)
        return
    refuse(("sum_to_one",), "applies to --standards")
    if len(paths) < 2:
        raise click.UsageError("expected EXPERIMENT and STORE, or --standards", click.get_current_context())
    *experiments, store = paths
    given = MeasuredSet(experiments, None, reading, energy, normalisation)
    _against_store(given, store, of_store, options, outputs)


def _against_standards(
    given: "MeasuredSet", of_standards: dict[str, Any], of_store: dict[str, Any], options: "MatchOptions",
    outputs: matches.Outputs,
) -> None:  # fmt: skip
    """Fit combinations of standards."""
    from xanes_hpc.experiment.combinations import CombinationOptions
    from xanes_hpc.structures.absorbers import given_element

    own = CombinationOptions(sum_to_one=of_standards["sum_to_one"], max_shift=options.max_shift, keep=options.keep)
    if click.get_current_context().get_parameter_source("mixture") is ParameterSource.COMMANDLINE:
        own = replace(own, most=options.mixture)
    if options.start is not None and options.stop is not None:
        own = replace(own, start=options.start, stop=options.stop)
    element = given_element(of_store["absorber"])
    kind = element, of_store["edge"] and of_store["edge"].upper()
    combinations.run(given, of_standards["standards"], kind, own, outputs)


def _against_store(
    given: "MeasuredSet", store: Path, of_store: dict[str, Any], options: "MatchOptions", outputs: matches.Outputs
) -> None:
    """Match the sites of a store."""
    from xanes_hpc.experiment.kinds import kinds_of
    from xanes_hpc.experiment.library import open_library
    from xanes_hpc.experiment.match_set import match_set, placing
    from xanes_hpc.experiment.measured import read_experiment
    from xanes_hpc.experiment.measured_files import check_some, each_usable, measured_files
    from xanes_hpc.plotting.words import of_absorber
    from xanes_hpc.stores.hdf5 import is_kind

    chosen_scale = click.get_current_context().get_parameter_source("scale") is ParameterSource.COMMANDLINE
    if is_kind(store, "predictions"):
        refuse(OF_STRUCTURES, f"applies to structure stores; {store} is a prediction store")
    files = measured_files(given.paths)
    with open_library(store, of_store["kind"], of_store["treatment"], given.normalisation) as library:
        kinds = kinds_of(library, of_store["sites"], store, of_store["absorber"], of_store["edge"])
        place = placing(kinds, given.energy, given.normalisation)
        usable, left_out = each_usable(files, lambda own: place(own.name, read_experiment(own.path, given.reading)))
        check_some(usable, left_out)
        with console.progress("matching", "sites" if len(files) == 1 else "comparisons") as progress:
            found, failed = match_set(
                usable, library, options, options.scale if chosen_scale else None, progress, try_shifts=True
            )
        every = [matches.Listed(one, library.distrust) for one in found]
        not_compared = [f"{n:,} sites {NOT_COMPARED[why]}" for why, n in library.not_compared.items() if n]
        treated = library.treated
    console.notes_of_all(one.normal.raw.choices for one in usable)
    check_some(every, failed)
    left_out += failed
    of = ", ".join([*dict.fromkeys(of_absorber(one.kind.element, one.kind.edge) for one in every), store.name])
    alone = len(files) == 1
    if outputs.plot is not None:
        from xanes_hpc.plotting.experiment import best_matches, matched_spectra

        if alone:
            matched_spectra(every[0].found, every[0].name, outputs.plot, of, library.distrust)
        else:
            best_matches([(one.name, one.found) for one in every], outputs.plot, of, library.distrust)
    if outputs.table is not None:
        table = matches.csv_of_one(every[0]) if alone else matches.csv_of_all(every, left_out)
        matches.write_csv(outputs.table, *table, outputs.overwrite)
    if outputs.json != "-" and alone:
        matches.show_one(every[0], not_compared, treated)
    elif outputs.json != "-":
        matches.show_summary(every, left_out, not_compared, treated)
    figures = every[0].as_dict() if alone else matches.every_as_dict(every, left_out)
    console.write_json(outputs.json, figures | {"not_compared": library.not_compared, "library": treated})
