"""``xanes-hpc train``."""

import shlex
from pathlib import Path

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.options import PATH, output_option, overwrite_option


@click.command("train")
@click.argument("features", type=PATH, required=False, metavar="[FEATURES.h5]")
@output_option("Model folder to write. Default: NAME.model beside the features.")
@click.option("--config", type=PATH, metavar="RUN.toml", help="Configuration; flags beat it, it beats xanes-hpc.toml.")
@click.option(
    "--spectra",
    type=PATH,
    metavar="STRUCTURES.h5",
    help="Structure store with the spectra. Default: the one the features name.",
)
@click.option("--kind", help="Kind of spectrum to learn.  [default: xanes]")
@click.option("--treatment", help="Name of the spectra's treatment, where a site has spectra of several.")
@click.option("--epochs", type=int, help="Passes over the training sites.")
@click.option("--batch-size", type=int, help="Sites per step, over all devices.")
@click.option("--seed", type=int, help="Of the split, the initial weights, the order and the dropout.")
@click.option("--gpus", type=int, metavar="N", help="GPUs to use; 0 for the CPU. Default: one, if there is one.")
@overwrite_option
def command(
    features: Path | None,
    output: Path | None,
    config: Path | None,
    spectra: Path | None,
    kind: str | None,
    treatment: str | None,
    epochs: int | None,
    batch_size: int | None,
    seed: int | None,
    gpus: int | None,
    overwrite: bool,
) -> None:
    """Train a network from features to spectra.

    FEATURES.h5 is a feature store; by default the one named in the working folder's xanes-hpc.toml, or the only
    one there. The model folder holds the weights, the grid, the scaling, the split, and all that predict needs.
    """
    from xanes_hpc.config import load_run
    from xanes_hpc.stores.features import FeatureStore
    from xanes_hpc.stores.hdf5 import check_output
    from xanes_hpc.stores.models import CONTENTS
    from xanes_hpc.training import default_output, find_features, train

    flags = {
        "features": features and str(features),
        "spectra": spectra and str(spectra),
        "output": output and str(output),
        "target.kind": kind,
        "target.treatment": treatment,
        "training.epochs": epochs,
        "training.batch_size": batch_size,
        "training.seed": seed,
        "training.gpus": gpus,
    }
    run = load_run(config, Path.cwd(), flags)
    path = find_features(run, Path.cwd())
    target = Path(run.output) if run.output else default_output(path)
    with FeatureStore(path) as store:
        check_output(target, overwrite, CONTENTS)
        own = store.has_spectra and not run.spectra
        source = store if own else store.open_source(Path(run.spectra) if run.spectra else None)
        with source, console.progress("training", "epochs") as progress:
            result = train(run, store, source, target, overwrite, progress)
        rows = {
            "sites": ", ".join(f"{n:,} {name}" for name, n in result.parts.items())
            + (f"; {result.left_out:,} left out (no spectrum on the whole grid)" if result.left_out else ""),
            "best epoch": f"{result.best.epoch}, "
            + (f"validation error {result.best.validation_error:.2f} %" if result.parts["validation"] else "the last"),
            "sigma scale": f"{result.sigma_scale:.2f} (spread of the draws to calibrated sigma)",
        }
        console.table(str(target), rows)
    words = ["xanes-hpc", "predict", str(path), "--model", str(target), "-o", "predictions.h5"]
    words += ["--split", "test"] if result.parts["test"] else []
    words += ["--spectra", run.spectra] if run.spectra else []
    console.next_step(shlex.join(words))
