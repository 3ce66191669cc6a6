"""``xanes-hpc train``."""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.choices import Known, choice
from xanes_hpc.cli.command import Command
from xanes_hpc.cli.options import PATH, output_option, overwrite_option

FLAGS = {
    "kind": "target.kind",
    "treatment": "target.treatment",
    "architecture": "model.name",
    "epochs": "training.epochs",
    "batch_size": "training.batch_size",
    "learning_rate": "training.learning_rate",
    "loss": "training.loss",
    "schedule": "training.schedule",
    "patience": "training.patience",
    "precision": "training.precision",
    "seed": "training.seed",
    "method": "uncertainty.method",
    "members": "uncertainty.members",
    "group": "split.group",
    "init_from": "transfer.model",
    "freeze": "transfer.freeze",
    "gpus": "training.gpus",
    "devices": "training.devices",
}
"""Keys of the configuration that flags set."""
FEW_TO_CALIBRATE = 30
"""Sites below which what was measured on them tells sigma but roughly."""


@click.command("train", cls=Command)
@click.argument("features", type=PATH, nargs=-1, metavar="[FEATURES.h5]...")
@output_option("Model folder to write. Default: NAME.model beside the features.")
@click.option("--config", type=PATH, metavar="RUN.toml", help="Configuration; flags beat it, it beats xanes-hpc.toml.")
@click.option(
    "--spectra",
    type=PATH,
    multiple=True,
    metavar="STRUCTURES.h5",
    help="Structure store with the spectra, one for each feature store. Default: those the features name.",
)
@click.option("--kind", help="Kind of spectrum to learn.  [default: xanes]")
@click.option("--treatment", help="Name of the spectra's treatment, where a site has spectra of several.")
@click.option(
    "--model",
    "architecture",
    type=Known("models.architectures", "names"),
    metavar="NAME",
    help="Architecture.  [default: residual]",
)
@click.option("--epochs", type=int, help="Most passes over the training sites.")
@click.option("--batch-size", type=int, help="Sites per step, over all devices.")
@click.option("--learning-rate", type=float, help="Of the first steps.")
@click.option("--loss", type=choice("training.loss"), help="mae, mse or huber.")
@click.option("--schedule", type=choice("training.schedule"), help="Of the learning rate: cosine, plateau or constant.")
@click.option("--patience", type=int, metavar="N", help="Stop after N epochs without a better validation error.")
@click.option("--method", type=choice("uncertainty.method"), help="Of the uncertainty: dropout, ensemble or bootstrap.")
@click.option("--members", type=int, metavar="N", help="Networks that are averaged.")
@click.option(
    "--group", type=choice("split.group"), help="What stays together in the split: formula, code, cluster or none."
)
@click.option("--folds", type=click.IntRange(min=2), metavar="K", help="Train K models, each tested on its own K-th.")
@click.option("--augment", type=PATH, multiple=True, metavar="RATTLED.h5", help="Rattled features of the same sites.")
@click.option("--init-from", type=PATH, metavar="MODEL", help="Start from a trained model.")
@click.option("--freeze", type=int, metavar="N", help="Keep the weights of its first N layers.")
@click.option("--precision", type=choice("training.precision"), help="float32, mixed_bfloat16 or mixed_float16.")
@click.option("--seed", type=int, help="Of the split, the initial weights, the order and the dropout.")
@click.option("--gpus", type=int, metavar="N", help="GPUs to use; 0 for the CPU. Default: one, if there is one.")
@click.option("--devices", metavar="cpu:N", help="Instead of GPUs, the processor as N devices.")
@click.option(
    "--distributed", is_flag=True, help="Train together with the other processes of this srun, or of TF_CONFIG."
)
@click.option("--tensorboard", type=PATH, metavar="DIR", help="Also write every epoch's figures for TensorBoard.")
@click.option("--resume", is_flag=True, help="Go on with a run that was stopped.")
@overwrite_option
def command(features: tuple[Path, ...], output: Path | None, **options: Any) -> None:
    """Train networks from features to spectra.

    FEATURES.h5 are feature stores; by default those named in the working folder's xanes-hpc.toml, or the only one
    there. The model folder holds the weights, the grid, the scaling, the split, and all that predict needs. Ctrl-C
    keeps the best so far.
    """
    from xanes_hpc.config.files import load_run
    from xanes_hpc.models.folder import architecture_of

    flags: dict[str, Any] = {key: options[name] for name, key in FLAGS.items()}
    flags["transfer.model"] = options["init_from"] and str(options["init_from"])
    for key, paths in (("features", features), ("spectra", options["spectra"]), ("augmented", options["augment"])):
        flags[key] = [str(path) for path in paths] or None
    flags["output"] = output and str(output)
    flags["split.folds"] = options["folds"]
    run = load_run(options["config"], Path.cwd(), flags, architecture_of)
    (_cross_validate if run.split.folds else _train)(run, options)


def open_stores(run: Any, opened: ExitStack) -> tuple[list[Path], Any, Any]:
    """The feature stores' paths; them, each with its spectra; and the rattled ones; closed with ``opened``."""
    from xanes_hpc.stores.features import FeatureStore
    from xanes_hpc.training.inputs import find_features, open_spectra

    paths = find_features(run, Path.cwd())
    pairs = open_spectra([opened.enter_context(FeatureStore(path)) for path in paths], run.spectra)
    for _, source in pairs:
        opened.callback(source.file.close)
    return paths, pairs, [opened.enter_context(FeatureStore(Path(path))) for path in run.augmented]


def _train(run: Any, options: dict[str, Any]) -> None:
    from xanes_hpc.models.model import Model
    from xanes_hpc.training.checkpoints import checkpoint_path
    from xanes_hpc.training.inputs import default_output
    from xanes_hpc.training.processes import find_machines
    from xanes_hpc.training.stages import Observer
    from xanes_hpc.training.tensorboard import tensorboard_writer
    from xanes_hpc.training.train import train

    machines = find_machines() if options["distributed"] else None
    with ExitStack() as opened:
        paths, pairs, augmented = open_stores(run, opened)
        target = Path(run.output) if run.output else default_output(paths[0])
        progress = opened.enter_context(console.progress("training", "epochs"))
        log = opened.enter_context(tensorboard_writer(options["tensorboard"]))
        observer = Observer(progress, log)
        if machines is not None:
            console.err.print(f"process {machines.index}: waits for all of {', '.join(machines.addresses)}")
        try:
            result = train(run, pairs, target, options["overwrite"], options["resume"], augmented, observer, machines)
        except KeyboardInterrupt:
            if checkpoint_path(target).exists():
                console.err.print("Note: to go on with it, give the same command with --resume.")
            raise
    if machines is not None and machines.index:
        return  # the first process tells
    rows = {
        "sites": ", ".join(f"{n:,} {name}" for name, n in result.parts.items())
        + (f"; {result.left_out:,} left out (no spectrum on the whole grid)" if result.left_out else ""),
        "epochs": f"{result.best.epoch}, "
        + (f"validation error {result.best.validation_error:.2f} %" if result.parts["validation"] else "no validation"),
        "members": f"{result.n_members}"
        + (f" and a kernel ridge regression (share {result.share:.2f})" if result.share else ""),
    }
    if result.taken_over is not None:
        taken, of = result.taken_over
        rows["started from"] = f"{run.transfer.model}: {taken} of {of} layers with its weights"
    console.table(str(target), rows)
    for note in notes([Model.open(target)], run):
        console.err.print(f"Note: {note}")
    if result.interrupted:
        going_on = " To go on with it, give the same command with --resume."
        console.err.print(
            "Note: stopped before its end; the model is what was best so far."
            + (going_on if checkpoint_path(target).exists() else "")
        )
    words = ["xanes-hpc", "predict", str(paths[0]), "--model", str(target), "-o", "predictions.h5"]
    words += ["--split", "test"] if result.parts["test"] else []
    words += ["--spectra", run.spectra[0]] if run.spectra else []
    console.next_step(shlex.join(words))


def notes(models: Sequence[Any], run: Any) -> Iterator[str]:
    """What to keep in mind of the models that a run has trained."""
    from xanes_hpc.models.folder import architecture_of

    sites = [model.training_sites for model in models]
    n_calibrated = min(model.calibration.n_sites for model in models)
    if not n_calibrated:
        why = f"sites of the calibration part: {min(own.count('calibration') for own in sites):,}"
        yield f"sigma was not calibrated ({why}): it is the spread of the draws as it is, which is far too narrow"
    elif n_calibrated < FEW_TO_CALIBRATE:
        yield f"sigma was calibrated with {n_calibrated} sites only: take it for an estimate"
    if any(model.trust.get("threshold") is None for model in models):
        yield "no site will be told to be too far from the training sites: there were no held-out sites to say how far"
    group, alone = models[0].description["provenance"]["split"]["group"], sites[0].n_alone
    if group == "formula" and alone["formula"]:
        yield (
            f"{alone['formula']:,} sites have no structure and no formula: each is a group of its own, and errors "
            'flatter where near-duplicates stand in several parts; [split] group = "cluster" keeps those together'
        )
    if group == "code" and alone["code"]:
        yield (
            f"the names of {alone['code']:,} sites have no CSD code: each structure is a group of its own, and errors "
            'flatter where near-duplicates stand in several parts; [split] group = "formula" keeps those together'
        )
    if n_known := sum(own.n_tested_known_earlier for own in sites):
        n_tested = sum(own.count("test") for own in sites)
        yield (
            f"the model to start from was trained on {n_known:,} of the {n_tested:,} test sites, or on others of their "
            "code or formula: errors on those flatter"
        )
    started_from = run.transfer.model and architecture_of(Path(run.transfer.model))["name"]
    if started_from not in (None, run.model.name):
        yield (
            f"{run.transfer.model} is of the architecture {started_from}, this is {run.model.name}: layers of one name "
            "and shape took its weights, whatever they do there"
        )


def _cross_validate(run: Any, options: dict[str, Any]) -> None:
    from xanes_hpc.model_selection.cross_validation import SUMMARY, cross_validate, model_of
    from xanes_hpc.models.model import Model
    from xanes_hpc.training.inputs import default_output
    from xanes_hpc.training.stages import Observer
    from xanes_hpc.training.tensorboard import tensorboard_writer

    with ExitStack() as opened:
        paths, pairs, augmented = open_stores(run, opened)
        target = Path(run.output) if run.output else default_output(paths[0]).with_suffix(".folds")

        def observer(fold: int) -> Observer:
            folder = options["tensorboard"] and options["tensorboard"] / f"fold-{fold}"
            progress = opened.enter_context(console.progress(f"training fold {fold + 1}", "epochs"))
            return Observer(progress, opened.enter_context(tensorboard_writer(folder)))

        try:
            summary = cross_validate(run, pairs, target, options["overwrite"], options["resume"], augmented, observer)
        except KeyboardInterrupt:
            console.err.print("Note: to go on with the folds, give the same command with --resume.")
            raise
    models = [Model.open(model_of(target, fold)) for fold in range(run.split.folds)]
    n_left_out = models[0].training_sites.n_left_out
    rows = {"sites left out": f"{n_left_out:,} (no spectrum on the whole grid)"} if n_left_out else {}
    rows |= {name: _with_spread(value, summary["std"][name]) for name, value in summary["mean"].items()}
    console.table(f"{target}: mean and standard deviation over {len(summary['folds'])} folds", rows)
    for note in notes(models, run):
        console.err.print(f"Note: {note}")
    console.err.print(f"Figures of every fold: {target / SUMMARY}")
    console.next_step(f"xanes-hpc train {shlex.quote(str(paths[0]))}")


def _with_spread(mean: float | None, spread: float | None) -> str:
    return "–" if mean is None else f"{mean:.4g}" + (f" ± {spread:.2g}" if spread is not None else "")
