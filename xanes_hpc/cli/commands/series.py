"""``xanes-hpc series``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xanes_hpc.cli import console, matches, series_tables
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
    from xanes_hpc.experiment.joint_fit import SeriesOptions
    from xanes_hpc.experiment.normalised import NormaliseOptions
    from xanes_hpc.formats.read_options import ReadOptions

OF_STRUCTURES = ("kind", "treatment")
OF_LIBRARY = ("sites", *OF_STRUCTURES)
OF_SETS = ("by", "max_shift", "noise", "keep", "plot", "output")


def _series_options(range: tuple[float, float] | None, **others: Any) -> "SeriesOptions":
    from xanes_hpc.experiment.joint_fit import SeriesOptions

    start, stop = range or (None, None)
    options = SeriesOptions(start=start, stop=stop, **others)
    options.check()
    return options


@click.command("series", cls=JsonCommand)
@click.argument("files", type=PATH, nargs=-1, required=True, metavar="FILE...")
@click.option("--library", type=PATH, metavar="STORE", help="Explain the series by sites of this store")
@click.option(
    "--standards", type=PATH, multiple=True, metavar="FOLDER", help="Explain it by measured standards: folders or files"
)
@click.option(
    "--along",
    "table",
    type=PATH,
    metavar="FILE.csv",
    help="Order the spectra by this table: a column file, and one of numbers, such as time (s)  [default: by name]",
)
@store_options
@gathered(
    "options",
    _series_options,
    click.option(
        "--components",
        type=click.IntRange(1, 4),
        metavar="N",
        help="Set the number of components, and so of sites  [default: by their eigenvalues]",
    ),
    click.option(
        "--by",
        type=Known("experiment.match_options", "CRITERIA"),
        default="chi2",
        show_default=True,
        help="Rank sets of sites by chi2, or by likelihood, which favours a narrow sigma",
    ),
    click.option(
        "--max-shift",
        type=click.FloatRange(min=0.0),
        metavar="EV",
        default=0.0,
        show_default=True,
        help="Try shifts of the whole series of up to this many eV either way",
    ),
    click.option(
        "--noise",
        type=float,
        metavar="FRACTION",
        help="Assume this misfit of each site, as a fraction of its largest value, in addition to sigma  "
        "[default: 0.01; 0.002 for standards]",
    ),
    window_option("--range", "Compare only these energies, on the library's energy axis  [default: the whole overlap]"),
    click.option(
        "--keep", type=click.IntRange(min=1), metavar="N", default=10, show_default=True, help="List N other sets"
    ),
)
@energy_options
@normalise_options
@reading_options
@figure_option("Draw the fractions along the series")
@output_option("CSV file to write, with the fractions", ending=".csv")
@overwrite_option
@json_option
def command(
    files: tuple[Path, ...],
    library: Path | None,
    standards: tuple[Path, ...],
    table: Path | None,
    of_store: dict[str, Any],
    options: "SeriesOptions",
    energy: "EnergyOptions",
    normalisation: "NormaliseOptions",
    reading: "ReadOptions",
    plot: Path | None,
    output: Path | None,
    overwrite: bool,
    json_target: str | None,
) -> None:
    """Find the components of a measured series, and their fractions along it.

    FILE is one of the measured spectra, a folder, a pattern or an Athena project with all of them. Their principal
    components tell how many different sites contribute: without a library, from -20 to 80 eV or --range around the
    edge. With --library, the sites of a prediction store or structure store are found whose mixtures explain all
    spectra, at one shift; with --standards, measured ones.
    """
    from xanes_hpc.experiment.kinds import selected
    from xanes_hpc.experiment.library import open_library
    from xanes_hpc.experiment.measured_set import MeasuredSet
    from xanes_hpc.experiment.series_analysis import alone, with_library, with_standards
    from xanes_hpc.plotting.figures import check_figure
    from xanes_hpc.plotting.words import of_absorber
    from xanes_hpc.runtime.outputs import check_output
    from xanes_hpc.stores.hdf5 import is_kind
    from xanes_hpc.structures.absorbers import given_element

    if library is not None and standards:
        raise click.UsageError("expected either --library or --standards", click.get_current_context())
    check_figure(plot)
    if output is not None:
        check_output(output, overwrite)
    own = MeasuredSet(files, table, reading, energy, normalisation)
    if library is None:
        refuse(OF_LIBRARY, "applies to --library")
        element = given_element(of_store["absorber"])
        edge = of_store["edge"] and of_store["edge"].upper()
    if library is None and not standards:
        refuse(OF_SETS, "expected with --library or --standards")
        only = alone(own, (element, edge), options)
        console.notes_of_all([*only.series.choices, only.series.normal.raw.choices])
        if json_target != "-":
            series_tables.show_components(only)
            matches.show_left_out(only.series.left_out)
        console.write_json(json_target, series_tables.components_as_dict(only))
        return
    if library is None:
        with console.progress("searching", "standards") as progress:
            found, left_out = with_standards(own, standards, (element, edge), options, progress)
        distrust, of = [""] * found.n_compared, ""
    else:
        if is_kind(library, "predictions"):
            refuse(OF_STRUCTURES, f"applies to structure stores; {library} is a prediction store")
        with (
            open_library(library, of_store["kind"], of_store["treatment"], normalisation) as store,
            console.progress("searching", "sites") as progress,
        ):
            rows, number, edge = selected(store, of_store["sites"], library, of_store["absorber"], of_store["edge"])
            found, left_out = with_library(own, store, (number, edge), rows, options, progress), []
            distrust, of = store.distrust, f", {of_absorber(number, edge)}, {library.name}"
    if plot is not None:
        from xanes_hpc.plotting.series import fractions_along

        fractions_along(found, f"{len(found.series.names)} measured spectra{of}", plot)
    if output is not None:
        matches.write_csv(output, *series_tables.csv_rows(found), overwrite)
    console.notes_of_all([*found.series.choices, found.series.normal.raw.choices])
    if json_target != "-":
        series_tables.show(found, series_tables.STANDARDS if library is None else "sites", distrust, options.max_shift)
        matches.show_left_out([*found.series.left_out, *left_out])
    console.write_json(json_target, series_tables.as_dict(found, distrust))
