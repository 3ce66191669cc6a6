"""``xanes-hpc match``."""

import csv
from pathlib import Path
from typing import Any

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.choices import EDGE, Known
from xanes_hpc.cli.command import JsonCommand
from xanes_hpc.cli.options import (
    PATH,
    figure_option,
    json_option,
    output_option,
    overwrite_option,
    refuse,
    window_option,
)

POOR = 50.0
"""% of error from which on nothing is like a measured spectrum."""


@click.command("match", cls=JsonCommand)
@click.argument("experiment", type=PATH, metavar="EXPERIMENT")
@click.argument("store", type=PATH, metavar="STORE")
@click.option("--absorber", metavar="SYMBOL", help="Sites of this element only.")
@click.option("--edge", type=EDGE, help="Sites of this edge only.")
@click.option(
    "--scale",
    type=Known("experiment.compare", "SCALES"),
    default="factor",
    show_default=True,
    help="factor (the best for each site), none, area, or min-max.",
)
@click.option(
    "--by",
    type=Known("experiment.compare", "CRITERIA"),
    default="likelihood",
    show_default=True,
    help="likelihood, or chi2: a wide sigma is a merit then. Of mixtures too.",
)
@click.option("--max-shift", type=click.FloatRange(min=0.0), default=0.0, show_default=True, help="In eV, either way.")
@click.option("--noise", type=float, default=0.01, show_default=True, help="Share of the largest value, beside sigma.")
@window_option("--pre", "First take off the line through this window before the edge, in eV from it; with --post.")
@window_option("--post", "And divide by the edge step to the polynomial through this window after it.")
@click.option("--order", type=click.IntRange(0, 3), default=1, show_default=True, help="Degree of that polynomial.")
@window_option("--range", "Energies compared, as the store counts them. Default: all that both have.")
@click.option("--mixture", type=click.IntRange(1, 3), default=1, show_default=True, help="The most sites in a mixture.")
@click.option("--keep", type=click.IntRange(min=1), default=20, show_default=True, help="How many are told.")
@click.option("--kind", default="xanes", show_default=True, help="Kind of spectrum of a structure store.")
@click.option("--treatment", help="Treatment of a structure store's spectra, where sites have several.")
@figure_option("Figure of the best")
@output_option("CSV file of the ranks.", ending=".csv")
@overwrite_option
@json_option
def command(
    experiment: Path,
    store: Path,
    absorber: str | None,
    edge: str | None,
    scale: str,
    by: str,
    max_shift: float,
    noise: float,
    pre: tuple[float, float] | None,
    post: tuple[float, float] | None,
    order: int,
    range: tuple[float, float] | None,
    mixture: int,
    keep: int,
    kind: str,
    treatment: str | None,
    plot: Path | None,
    output: Path | None,
    overwrite: bool,
    json_target: str | None,
) -> None:
    """Find the sites whose spectra are most like a measured one.

    EXPERIMENT is a spectrum's file: XDI, NeXus, an Athena project, or columns. STORE is a prediction store, whose
    sigma weighs the points, or a structure store with spectra. A spectrum as measured is normalised first with
    --pre=-50:-20 --post 30:150. With --mixture, sums of two or three sites are sought
    too, by non-negative least squares.
    """
    import numpy as np

    from xanes_hpc.experiment.compare import MatchOptions
    from xanes_hpc.experiment.library import open_library, rows_of
    from xanes_hpc.experiment.match import match
    from xanes_hpc.experiment.measured import normalised, read_experiment
    from xanes_hpc.plotting.spectra import check_figure
    from xanes_hpc.runtime.outputs import check_output
    from xanes_hpc.spectra.recipe import EDGE_STEP, NormalisationConfig
    from xanes_hpc.stores.hdf5 import is_kind

    if (pre is None) != (post is None):
        raise click.UsageError("--pre, --post: expected both or none")
    if pre is None:
        refuse(("order",), "is of a normalisation: expected together with --pre and --post")
    check_figure(plot)
    if is_kind(store, "predictions"):
        refuse(("kind", "treatment"), f"applies to structure stores, {store} has predictions")
    if output is not None:
        check_output(output, overwrite)
    measured = read_experiment(experiment)
    start, stop = range or (None, None)
    options = MatchOptions(scale, by, max_shift, noise, start, stop, keep, mixture)
    with open_library(store, kind, treatment) as library, console.progress("matching", "sites") as progress:
        rows = rows_of(library.sites, library.rows, absorber, edge)
        if pre is not None and post is not None:
            recipe = NormalisationConfig(EDGE_STEP, *pre, *post, order=order)
            measured = normalised(measured, float(np.nanmedian(library.e0[rows])), recipe)
        found = match(measured, library, options, rows, progress)
        distrust = library.distrust
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
    if json_target != "-":
        console.table(
            f"{experiment.name} among {found.n_compared:,} sites",
            {"compared": f"{found.energies[0]:g} to {found.energies[-1]:g} eV, {found.energies.size} energies"}
            | ({"left out": f"{found.n_left_out:,} sites, not finite or upside down"} if found.n_left_out else {}),
        )
        console.listing(columns, ranked)
        if found.ranked[0].error_percent > POOR:
            console.err.print(f"note: nothing is like it: the best error is {found.ranked[0].error_percent:.0f} %")
        if mixed:
            console.listing(("rank", "mixture", *columns[2:]), mixed)
        elif mixture > 1:
            click.echo("no mixture is more like it than the best of its sites alone")
    console.write_json(json_target, _plain(found, ranked, mixed))


def _figures(found: Any) -> list[str]:
    score, chi2 = f"{found.score:.5g}", f"{found.chi2:.4g}"
    return [score, chi2, f"{found.error_percent:.2f}", f"{found.factor:.4g}", f"{found.shift:+.2f}"]


def _plain(found: Any, ranked: list[list[str]], mixed: list[list[str]]) -> dict[str, Any]:
    return {
        "compared": found.n_compared,
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
