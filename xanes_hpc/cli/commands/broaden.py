"""``xanes-hpc broaden``."""

import shlex
from pathlib import Path
from typing import Any

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.choices import BROADENING, Known
from xanes_hpc.cli.command import JsonCommand
from xanes_hpc.cli.options import (
    PATH,
    WIDTHS,
    json_option,
    open_predictions,
    output_option,
    overwrite_option,
    refuse,
    sites_option,
    width_options,
    window_option,
)


@click.command("broaden", cls=JsonCommand)
@click.argument("store", type=PATH, metavar="STORE")
@output_option("Store to write", required=True)
@click.option(
    "--recipe",
    "broadening",
    type=BROADENING,
    help="Broaden with arctangent (like FDMNES), seah-dench, lorentzian, summed, gaussian, or published-fe",
)
@width_options
@click.option(
    "--normalise",
    "normalisation",
    type=Known("spectra.recipe", "NORMALISATIONS"),
    help="Normalise by edge-step, area or min-max",
)
@window_option("--pre", "With edge-step: set the pre-edge window, in eV from the edge")
@window_option("--post", "With edge-step: set the post-edge window, in eV from the edge")
@click.option("--order", type=int, metavar="N", help="Set the degree of the post-edge polynomial, 0 to 3  [default: 1]")
@click.option("--flatten", is_flag=True, default=None, help="Subtract the post-edge shape above the edge")
@window_option("--window", "With area or min-max: set the window, in eV from the edge  [default: the whole spectrum]")
@click.option(
    "--edge-at",
    type=Known("spectra.recipe", "EDGES_AT"),
    metavar="WHERE",
    help="Locate the edge: stored, steepest or half-step  [default: stored]",
)
@click.option("--align", is_flag=True, default=None, help="Shift the spectrum so that its edge is at the stored e0")
@click.option(
    "--config",
    type=PATH,
    metavar="RUN.toml",
    help="Read [broadening] and [normalisation] from this configuration; options override it",
)
@click.option("--kind", default="xanes", show_default=True, help="Broaden spectra of this kind, such as xanes or xes")
@click.option("--treatment", help="Broaden spectra with this treatment, if sites have several")
@sites_option
@click.option("--keep", is_flag=True, help="Also copy all spectra of STORE to the output")
@click.option("--strict", is_flag=True, help="Stop at the first spectrum that cannot be broadened or normalised")
@overwrite_option
@json_option
def command(
    store: Path,
    output: Path,
    config: Path | None,
    kind: str,
    treatment: str | None,
    sites: Path | None,
    keep: bool,
    strict: bool,
    overwrite: bool,
    json_target: str | None,
    **given: Any,
) -> None:
    """Broaden and normalise the spectra of a store.

    The result is a second store; STORE stays unchanged. It has the same structures, so features computed from STORE
    can be trained on it with "train --spectra OUTPUT". The output records the treatment of every spectrum, and no
    spectrum is broadened twice.

    STORE may also be a prediction store with its draws. Each draw is broadened, and sigma follows from them.

    published-fe is the broadening of the published Fe K-edge set: a fixed width, no normalisation. Windows are in eV
    from the edge, such as --pre=-15:-8 --post 20:60.
    """
    from xanes_hpc.calculations.broaden_store import treat_store
    from xanes_hpc.config.files import load_run
    from xanes_hpc.prediction.broaden_predictions import treat_predictions
    from xanes_hpc.spectra.spectrum import treatment_name
    from xanes_hpc.stores import hdf5
    from xanes_hpc.stores.structures import StructureStore

    windows = {"pre": ("pre_start", "pre_stop"), "post": ("post_start", "post_stop"), "window": ("start", "stop")}
    flags = {"broadening.name": given["broadening"], **{f"broadening.{n}": given[n] for n in WIDTHS}}
    flags |= {"normalisation.name": given["normalisation"], "normalisation.e0": given["edge_at"]}
    flags |= {f"normalisation.{n}": given[n] for n in ("order", "flatten", "align")}
    for option, keys in windows.items():
        flags |= dict(zip((f"normalisation.{k}" for k in keys), given[option] or (None, None), strict=True))
    recipe = load_run(config, None, flags).recipe
    if hdf5.is_kind(store, "predictions"):
        refuse(("keep", "strict", "kind", "treatment"), f"applies to structure stores; {store} is a prediction store")
        with open_predictions(store, sites) as predictions, console.progress("broadening", "sites") as progress:
            done = treat_predictions(predictions, output, recipe, overwrite, progress)
            n_sites = predictions.n_sites
        if json_target != "-":
            treatments = f"{treatment_name(done.before)} → {treatment_name(done.after)}"
            console.table(str(output), {"predictions": f"{n_sites:,}", "treatment": treatments})
        console.write_json(json_target, {"output": str(output), "predictions": n_sites, "treatment": done.after})
        return
    with StructureStore(store) as source, console.progress("broadening", "spectra") as progress:
        result = treat_store(source, output, recipe, kind, treatment, keep, strict, overwrite, progress, sites)
    if json_target != "-":
        rows = {
            "spectra": f"{result.spectra:,}",
            "treatment": f"{treatment_name(result.before)} → {treatment_name(result.treatment)}",
            "skipped": f"{result.skipped_count:,}",
        }
        if result.kept:
            rows["also copied"] = f"{result.kept:,} from {store}"
        console.table(str(output), rows)
    console.reasons([f"skipped: {line}" for line in result.skipped], result.skipped_count)
    console.write_json(json_target, {"output": str(output), **result.as_dict()})
    console.next_step(f"xanes-hpc featurise {shlex.quote(str(output))}")
