"""``xanes-hpc plot``."""

from pathlib import Path
from typing import Any

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.choices import Choice, Known
from xanes_hpc.cli.command import Command
from xanes_hpc.cli.options import PATH, open_predictions, output_option, refuse, sites_option

KINDS = {
    "spectra": "predicted and reference spectra with their intervals, from best to worst or as chosen with --site",
    "errors": "error % at each energy, quartiles over sites",
    "parity": "predicted against reference intensity",
    "uncertainty": "reliability, rejection, coverage and error at each energy",
    "distance": "σ and error against the distance from the training set",
    "map": "sites beside the training set by their features, coloured by error, and by element or distance",
    "learning": "validation error and loss of every epoch of one or several models",
}
"""Kinds of figures and what they show."""

MOST_SHOWN = 6
"""Number of sites drawn if there are no references."""


@click.command("plot", cls=Command)
@click.argument("kind", type=Choice(list(KINDS)), metavar="KIND")
@click.argument("sources", type=PATH, nargs=-1, required=True, metavar="SOURCE...")
@sites_option
@click.option("--site", "named", multiple=True, metavar="NAME", help="With spectra: draw this site (repeatable)")
@click.option("--model", type=PATH, metavar="MODEL", help="With map: take descriptor and training set from this model")
@click.option(
    "--features", type=PATH, metavar="STORE", help="With map: take the sites from this feature or structure store"
)
@click.option(
    "--by",
    type=Known("analysis.site_map", "PROJECTIONS"),
    default="pca",
    show_default=True,
    help="With map: project with pca or umap",
)
@click.option(
    "--seed", type=click.IntRange(min=0), metavar="N", default=0, show_default=True, help="With map: seed of umap"
)
@output_option("Figure to write, as PNG, SVG or PDF  [default: KIND.png]")
def command(
    kind: str,
    sources: tuple[Path, ...],
    sites: Path | None,
    named: tuple[str, ...],
    model: Path | None,
    features: Path | None,
    by: str,
    seed: int,
    output: Path | None,
) -> None:
    """Draw a figure of predictions or of training.

    KIND is one of

    \b
    spectra      predicted and reference spectra with intervals,
                 from best to worst, or the sites of --site
    errors       error % at each energy, quartiles over sites
    parity       predicted against reference intensity
    uncertainty  reliability, rejection, coverage and error at each energy
    distance     σ and error against the distance from the training set
    map          sites beside the training set by their features, coloured by
                 error, and by element, or by distance if there is only one
                 element; needs --model and --features
    learning     validation error and loss of every epoch; with several models
                 also the error against the number of training sites

    SOURCE is a prediction store, or for learning one or several model folders. An existing figure is replaced.
    """
    from xanes_hpc.plotting.figures import check_figure

    if named and kind != "spectra":
        raise click.UsageError(f"--site: applies to spectra, received with {kind}", click.get_current_context())
    target = output or Path(f"{kind}.png")
    check_figure(target)
    if kind == "learning":
        refuse(("sites",), "applies to predictions, received with learning")
        from xanes_hpc.plotting.training import learning

        learning(sources, target)
    else:
        if len(sources) > 1:
            raise click.UsageError(f"{kind}: expected one prediction store, received {len(sources)}")
        _of_predictions(kind, sources[0], (sites, named), (model, features, by, seed), target)
    console.table(str(target), {"shows": KINDS[kind]})


def _of_predictions(
    kind: str,
    source: Path,
    chosen: tuple[Path | None, tuple[str, ...]],
    of_map: tuple[Any, ...],
    target: Path,
) -> None:
    from xanes_hpc.analysis.evaluate import evaluate
    from xanes_hpc.models.training_sites import USED_SETS
    from xanes_hpc.plotting import errors, spectra
    from xanes_hpc.plotting import sites as site_plots
    from xanes_hpc.plotting.words import of_predictions

    sites, named = chosen
    with open_predictions(source, sites) as store:
        trained = sum(own in USED_SETS for own in store.texts("part"))
        if trained and kind not in ("spectra", "map"):
            console.err.print(
                f"Note: {trained:,} of these {store.n_sites:,} sites were used to make the model, so the errors are "
                "too low; predict --split test leaves them out"
            )
        if kind == "spectra" and named:
            table = store.sites
            spectra.chosen_sites(store, [table.find(name, source) for name in named], target)
        elif kind == "spectra" and not store.has_reference:
            spectra.chosen_sites(store, range(min(MOST_SHOWN, store.n_sites)), target)
        elif kind == "spectra":
            spectra.predicted_against_reference(store, target)
        elif kind == "errors":
            errors.error_at_each_energy(evaluate(store), of_predictions(store), target)
        elif kind == "uncertainty":
            errors.calibration(evaluate(store), of_predictions(store), target)
        elif kind == "parity":
            site_plots.parity(store, target)
        elif kind == "distance":
            site_plots.distance(store, target)
        else:
            model, features, by, seed = of_map
            _map(store, model, features, by, seed, target)


def _map(store: Any, model: Path | None, features: Path | None, by: str, seed: int, target: Path) -> None:
    from xanes_hpc.analysis.site_map import map_sites
    from xanes_hpc.errors import ConfigError
    from xanes_hpc.models.model import Model
    from xanes_hpc.plotting.sites import site_map
    from xanes_hpc.prediction.sources import open_sources

    if model is None or features is None:
        raise ConfigError("map: expected --model MODEL and --features STORE, the store of the sites")
    with open_sources([features]) as source:
        found = map_sites(store, Model.open(model), source, by, seed)
    if found.from_model:
        console.err.print(
            f"Note: {features} holds no other site that was used to make {model}; grey are the {len(found.behind):,} "
            "training sites that the model keeps; predictions from the store it was trained on show the other sets too"
        )
    site_map(store, found, target)
