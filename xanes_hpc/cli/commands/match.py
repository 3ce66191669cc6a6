"""``xanes-hpc match``."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from xanes_hpc.cli import console
from xanes_hpc.cli.choices import EDGE, Known
from xanes_hpc.cli.command import JsonCommand
from xanes_hpc.cli.options import (
    PATH,
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
    from xanes_hpc.experiment.normalised import NormaliseOptions
    from xanes_hpc.formats.read_options import ReadOptions

NOT_COMPARED = {"without_spectrum": "without such a spectrum", "short": "whose spectra do not cover the grid"}
SCORES = {
    "likelihood": "score: -2 ln(likelihood) but for a constant, lowest first; * a shift as large as allowed",
    "chi2": "score: chi-square over all energies, lowest first; * a shift as large as allowed",
}
POOR = 50.0
"""Error in % above which even the best site does not resemble the measured spectrum."""
Window = tuple[float, float]


def _match_options(range: Window | None, **others: Any) -> "MatchOptions":
    from xanes_hpc.experiment.compare import MatchOptions

    start, stop = range or (None, None)
    return MatchOptions(start=start, stop=stop, **others)


@click.command("match", cls=JsonCommand)
@click.argument("experiment", type=PATH, metavar="EXPERIMENT")
@click.argument("store", type=PATH, metavar="STORE")
@click.option("--absorber", metavar="SYMBOL", help="Compare only sites of this element")
@click.option("--edge", type=EDGE, metavar="EDGE", help="Compare only sites of this edge")
@sites_option
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
        default=0.01,
        show_default=True,
        help="Assume this noise, as a fraction of the prediction's largest value, in addition to sigma",
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
@normalise_options
@reading_options
@click.option("--kind", default="xanes", show_default=True, help="Compare spectra of this kind in a structure store")
@click.option("--treatment", help="Compare spectra with this treatment in a structure store whose sites have several")
@figure_option("Draw the best matches")
@output_option("CSV file to write, with the ranking", ending=".csv")
@overwrite_option
@json_option
def command(
    experiment: Path,
    store: Path,
    absorber: str | None,
    edge: str | None,
    sites: Path | None,
    options: "MatchOptions",
    normalisation: "NormaliseOptions",
    reading: "ReadOptions",
    kind: str,
    treatment: str | None,
    plot: Path | None,
    output: Path | None,
    overwrite: bool,
    json_target: str | None,
) -> None:
    """Find the sites whose spectra best resemble a measured one.

    EXPERIMENT is a measured spectrum: XDI, NeXus, columns of energies and a spectrum or detector channels, or a group
    of an Athena project (NAME.prj:LABEL). A spectrum calculated with FEFF or FDMNES can be given too. STORE is a
    prediction store, in which each energy is weighted by its sigma, or a structure store with spectra.

    The measured spectrum is normalised first, with windows chosen from its range. With --mixture, sums of two or three
    sites are fitted too, by non-negative least squares.
    """
    import numpy as np

    from xanes_hpc.experiment.library import chosen_rows, open_library, rows_of
    from xanes_hpc.experiment.match import match
    from xanes_hpc.experiment.measured import held_to, read_experiment
    from xanes_hpc.experiment.normalised import normalised, scale_for
    from xanes_hpc.plotting.spectra import check_figure
    from xanes_hpc.runtime.outputs import check_output
    from xanes_hpc.stores.hdf5 import is_kind

    context = click.get_current_context()
    check_figure(plot)
    if is_kind(store, "predictions"):
        refuse(("kind", "treatment"), f"applies to structure stores; {store} is a prediction store")
    if output is not None:
        check_output(output, overwrite)
    measured = read_experiment(experiment, reading)
    with open_library(store, kind, treatment) as library, console.progress("matching", "sites") as progress:
        rows = rows_of(library.sites, chosen_rows(library, sites, store), absorber, edge)
        e0 = float(np.nanmedian(library.e0[rows]))
        element, own_edge = int(library.sites.element[rows[0]]), library.sites.edge[rows[0]]
        measured = held_to(measured, element, own_edge, e0)
        normal = normalised(measured, normalisation, element, own_edge)
        if context.get_parameter_source("scale") is not ParameterSource.COMMANDLINE:
            options = replace(options, scale=scale_for(normal))
        found = match(normal.spectrum, library, options, rows, progress)
        distrust = library.distrust
        not_compared = [f"{n:,} sites {NOT_COMPARED[why]}" for why, n in library.not_compared.items() if n]
    least_limited = options.max_shift - float(np.median(np.diff(found.energies))) + 1e-6
    shifts = [*(m.shift for m in found.ranked), *(m.shift for m in found.mixtures)]
    limited = [options.max_shift > 0 and abs(shift) > least_limited for shift in shifts]
    columns = ("rank", "site", "score", "chi2", "error %", "factor", "shift", "flag")
    ranked = [[str(k), m.site, *_figures(m), distrust[m.row]] for k, m in enumerate(found.ranked, 1)]
    mixed = []
    for k, m in enumerate(found.mixtures, 1):
        parts = " + ".join(f"{f:.2f} {s}" for f, s in zip(m.fractions, m.sites, strict=True))
        flags = dict.fromkeys(distrust[row] for row in m.rows if distrust[row])
        mixed.append([str(k), parts, *_figures(m), "; ".join(flags)])
    if plot is not None:
        from xanes_hpc.plotting.experiment import matched_spectra

        matched_spectra(found, experiment.name, plot)
    if output is not None:
        from xanes_hpc.runtime.outputs import whole_output

        with whole_output(output, overwrite) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(("kind", *columns))
            writer.writerows([["site", *row] for row in ranked] + [["mixture", *row] for row in mixed])
    console.notes(measured.choices)
    if json_target != "-":
        console.table(
            f"{experiment.name} among {found.n_compared:,} sites",
            {
                "measured": f"e0 {normal.e0:.2f} eV, {normal.in_words}",
                "compared": f"{found.energies[0]:g} to {found.energies[-1]:g} eV, {found.energies.size} energies, "
                f"scaled by {options.scale}",
            }
            | ({"for comparison": found.held_out.in_words} if found.held_out is not None else {})
            | ({"left out": f"{found.n_left_out:,} sites, not finite or inverted"} if found.n_left_out else {})
            | ({"not compared": ", ".join(not_compared)} if not_compared else {}),
        )
        console.listing(columns, _short(ranked, limited[: len(ranked)]))
        console.out.print(SCORES[options.by])
        for row in ranked:
            if row[-1]:
                console.err.print(f"Note: {row[1]} is out of domain: {row[-1]}")
        if limited[0]:
            console.err.print("Note: the best shift is as large as --max-shift allows; the true one may be larger")
        verdict = "" if found.held_out is None else found.held_out.verdict(found.ranked[0].error_percent)
        if not verdict and found.ranked[0].error_percent > POOR:
            verdict = f"no site resembles it; the best error is {found.ranked[0].error_percent:.0f} %"
        if verdict:
            console.err.print(f"Note: {verdict}")
        if mixed:
            console.listing(("rank", "mixture", *columns[2:]), _short(mixed, limited[len(ranked) :]))
        elif options.mixture > 1:
            console.out.print("no mixture beats its best single component")
    figures = _plain(found, ranked, mixed) | {"not_compared": library.not_compared}
    console.write_json(json_target, figures | normal.as_dict() | {"choices": dict(measured.choices)})


def _short(rows: list[list[str]], limited: list[bool]) -> list[list[str]]:
    """Return rows of the table with a word for each flag, and an asterisk after a shift that is as large as allowed."""
    return [
        [*row[:-2], row[-2] + "*" * at_limit, "out of domain" if row[-1] else ""]
        for row, at_limit in zip(rows, limited, strict=True)
    ]


def _figures(found: Any) -> list[str]:
    score, chi2 = f"{found.score:.5g}", f"{found.chi2:.4g}"
    return [score, chi2, f"{found.error_percent:.2f}", f"{found.factor:.4g}", f"{found.shift:+.2f}"]


def _plain(found: Any, ranked: list[list[str]], mixed: list[list[str]]) -> dict[str, Any]:
    held_out = found.held_out
    return {
        "compared": found.n_compared,
        "held_out_errors_percent": None if held_out is None else held_out.errors.tolist(),
        "verdict": "" if held_out is None else held_out.verdict(found.ranked[0].error_percent),
        "left_out": found.n_left_out,
        "start_ev": float(found.energies[0]),
        "stop_ev": float(found.energies[-1]),
        "ranked": [
            {"site": m.site, "chi2": m.chi2, "score": m.score, "error_percent": m.error_percent, "factor": m.factor,
             "shift_ev": m.shift, "flag": row[-1]}
            for m, row in zip(found.ranked, ranked, strict=True)
        ],
        "mixtures": [
            {"sites": list(m.sites), "fractions": list(m.fractions), "chi2": m.chi2, "score": m.score,
             "error_percent": m.error_percent, "factor": m.factor, "shift_ev": m.shift, "flag": row[-1]}
            for m, row in zip(found.mixtures, mixed, strict=True)
        ],
    }  # fmt: skip
