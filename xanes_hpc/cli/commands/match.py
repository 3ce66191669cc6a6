"""``xanes-hpc match``."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from xanes_hpc.cli import console, matches
from xanes_hpc.cli.choices import EDGE, Known
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
    sites_option,
    window_option,
)

if TYPE_CHECKING:
    from xanes_hpc.experiment.compare import MatchOptions
    from xanes_hpc.experiment.energy import EnergyOptions
    from xanes_hpc.experiment.normalised import NormaliseOptions
    from xanes_hpc.formats.read_options import ReadOptions

NOT_COMPARED = {"without_spectrum": "without such a spectrum", "short": "whose spectra do not cover the grid"}
Window = tuple[float, float]


def _match_options(range: Window | None, **others: Any) -> "MatchOptions":
    from xanes_hpc.experiment.compare import MatchOptions

    start, stop = range or (None, None)
    return MatchOptions(start=start, stop=stop, **others)


@click.command("match", cls=JsonCommand)
@click.argument("experiments", type=PATH, nargs=-1, required=True, metavar="EXPERIMENT...")
@click.argument("store", type=PATH, metavar="STORE")
@gathered(
    "of_store",
    dict,
    click.option("--absorber", metavar="SYMBOL", help="Compare only sites of this element"),
    click.option("--edge", type=EDGE, metavar="EDGE", help="Compare only sites of this edge"),
    sites_option,
    click.option(
        "--kind", default="xanes", show_default=True, help="Compare spectra of this kind in a structure store"
    ),
    click.option(
        "--treatment", help="Compare spectra with this treatment in a structure store whose sites have several"
    ),
)
@gathered(
    "options",
    _match_options,
    click.option(
        "--scale",
        type=Known("experiment.compare", "SCALES"),
        default="factor",
        help="Scale the measured spectrum by the best factor for each site (factor), or both spectra by their area or "
        "min-max, or not at all (none)  [default: factor; min-max for a spectrum too short to be normalised]",
    ),
    click.option(
        "--by",
        type=Known("experiment.compare", "CRITERIA"),
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
    experiments: tuple[Path, ...],
    store: Path,
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
    """
    import numpy as np

    from xanes_hpc.errors import SpectrumError
    from xanes_hpc.experiment.energy import correction
    from xanes_hpc.experiment.library import chosen_rows, open_library, rows_of
    from xanes_hpc.experiment.match import match_each
    from xanes_hpc.experiment.measured import held_to, read_experiment
    from xanes_hpc.experiment.measured_files import LeftOut, measured_files, read_usable
    from xanes_hpc.experiment.normalised import NormalisedSpectrum, normalised, scale_for
    from xanes_hpc.plotting.spectra import check_figure
    from xanes_hpc.runtime.outputs import check_output
    from xanes_hpc.stores.hdf5 import is_kind

    chosen_scale = click.get_current_context().get_parameter_source("scale") is ParameterSource.COMMANDLINE
    check_figure(plot)
    if is_kind(store, "predictions"):
        refuse(("kind", "treatment"), f"applies to structure stores; {store} is a prediction store")
    if output is not None:
        check_output(output, overwrite)
    files = measured_files(experiments)
    with open_library(store, of_store["kind"], of_store["treatment"]) as library:
        rows = chosen_rows(library, of_store["sites"], store)
        rows = rows_of(library.sites, rows, of_store["absorber"], of_store["edge"])
        e0 = float(np.nanmedian(library.e0[rows]))
        element, edge = int(library.sites.element[rows[0]]), library.sites.edge[rows[0]]

        correct = correction(energy, element, edge)

        def read(path: Path) -> NormalisedSpectrum:
            measured = correct(held_to(read_experiment(path, reading), element, edge, e0))
            return normalised(measured, normalisation, element, edge)

        usable, left_out = read_usable(files, read)
        how = [options if chosen_scale else replace(options, scale=scale_for(normal)) for _, normal in usable]
        with console.progress("matching", "sites" if len(files) == 1 else "comparisons") as progress:
            pairs = [(normal.spectrum, own) for (_, normal), own in zip(usable, how, strict=True)]
            results = match_each(pairs, library, rows, progress)
        every = []
        for (file, normal), own, found in zip(usable, how, results, strict=True):
            if isinstance(found, SpectrumError):
                left_out.append(LeftOut(file.name, str(found)))
            else:
                every.append(matches.MatchedSpectrum(file.name, normal, found, own, library.distrust))
        not_compared = [f"{n:,} sites {NOT_COMPARED[why]}" for why, n in library.not_compared.items() if n]
    if not every:
        raise next(found for found in results if isinstance(found, SpectrumError))
    console.notes_of_all(one.normal.raw.choices for one in every)
    if len(files) == 1:
        if plot is not None:
            from xanes_hpc.plotting.experiment import matched_spectra

            matched_spectra(every[0].found, every[0].name, plot)
        matches.write_one(output, overwrite, every[0])
        if json_target != "-":
            matches.show_one(every[0], not_compared)
        console.write_json(json_target, {**every[0].as_dict(), "not_compared": library.not_compared})
        return
    if plot is not None:
        from xanes_hpc.plotting.experiment import best_matches

        best_matches([(one.name, one.found) for one in every], plot)
    matches.write_every(output, overwrite, every, left_out)
    if json_target != "-":
        matches.show_summary(every, left_out, not_compared)
    console.write_json(json_target, matches.every_as_dict(every, left_out, library.not_compared))
