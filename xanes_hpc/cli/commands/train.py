"""``xanes-hpc train``."""

import shlex
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.choices import Known, choice
from xanes_hpc.cli.command import Command
from xanes_hpc.cli.options import PATH, output_option, overwrite_option
from xanes_hpc.cli.training_notes import notes

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
    "rest": "split.rest",
    "init_from": "transfer.model",
    "freeze": "transfer.freeze",
    "gpus": "training.gpus",
    "devices": "training.devices",
}
"""Keys of the configuration that options set."""
CONTINUE = "to continue, run the same command with --resume"


@click.command("train", cls=Command)
@click.argument("features", type=PATH, nargs=-1, metavar="[FEATURES.h5]...")
@output_option("Model folder to write  [default: NAME.model beside the features]", folder=True)
@click.option(
    "--config",
    type=PATH,
    metavar="RUN.toml",
    help="Read this configuration, which overrides xanes-hpc.toml; options override both",
)
@click.option(
    "--spectra",
    type=PATH,
    multiple=True,
    metavar="STRUCTURES.h5",
    help="Take the spectra from this structure store, one per feature store  [default: the stores the features name]",
)
@click.option("--kind", help="Learn spectra of this kind  [default: xanes]")
@click.option("--treatment", help="Learn spectra with this treatment, if sites have several")
@click.option(
    "--model",
    "architecture",
    type=Known("models.architectures", "names"),
    metavar="NAME",
    help="Choose the architecture: mlp, residual, convolutional, conditioned, graph, or a plug-in  [default: residual]",
)
@click.option("--epochs", type=int, metavar="N", help="Train for at most N epochs  [default: 60, or 140 on graphs]")
@click.option(
    "--batch-size",
    type=int,
    metavar="N",
    help="Use N sites per step, over all devices  [default: 128, or 16 graphs]",
)
@click.option(
    "--learning-rate", type=float, help="Set the initial learning rate  [default: 0.002, or 0.0002 with --init-from]"
)
@click.option("--loss", type=choice("training.loss"), help="Minimise mae, mse or huber  [default: mae]")
@click.option(
    "--schedule",
    type=choice("training.schedule"),
    help="Schedule the learning rate: cosine, plateau or constant  [default: cosine]",
)
@click.option(
    "--patience", type=int, metavar="N", help="Stop after N epochs without a lower validation error  [default: never]"
)
@click.option(
    "--method",
    type=choice("uncertainty.method"),
    help="Estimate the uncertainty by dropout, ensemble or bootstrap  [default: dropout]",
)
@click.option(
    "--members",
    type=int,
    metavar="N",
    help="Train and average N networks  [default: 3 with dropout (on graphs 1), otherwise 5]",
)
@click.option(
    "--group",
    type=choice("split.group"),
    help="Keep groups together in the split: same formula, compound (reduced-formula), structure, CSD code (code), "
    "similar features (cluster), or none  [default: formula]",
)
@click.option(
    "--split-file",
    type=PATH,
    metavar="FILE.csv",
    help="Split as this table says: columns site (or structure, atom) and part: train, validation, calibration, test",
)
@click.option(
    "--rest", type=choice("split.rest"), metavar="PART", help="Part of the sites that --split-file leaves out, or none"
)
@click.option(
    "--folds",
    type=click.IntRange(min=2),
    metavar="K",
    help="Cross-validate: train K models, each tested on another K-th of the sites, then one on all sites",
)
@click.option(
    "--augment",
    type=PATH,
    multiple=True,
    metavar="RATTLED.h5",
    help="Also train on these rattled features of the same sites (repeatable)",
)
@click.option("--init-from", type=PATH, metavar="MODEL", help="Start from the weights of a trained model")
@click.option("--freeze", type=int, metavar="N", help="With --init-from: keep the weights of the first N layers fixed")
@click.option(
    "--precision",
    type=choice("training.precision"),
    help="Compute in float32, mixed_bfloat16 or mixed_float16  [default: float32]",
)
@click.option(
    "--seed",
    type=int,
    metavar="N",
    help="Seed of the split, the weights, the order of the sites and the dropout  [default: 0]",
)
@click.option("--gpus", type=int, metavar="N", help="Use N GPUs; 0 for the CPU  [default: one, if there is one]")
@click.option("--devices", metavar="cpu:N", help="Use the CPU as N devices instead of GPUs")
@click.option(
    "--distributed", is_flag=True, help="Train together with the other processes of this srun, or of TF_CONFIG"
)
@click.option("--tensorboard", type=PATH, metavar="DIR", help="Also log every epoch for TensorBoard")
@click.option("--resume", is_flag=True, help="Continue a stopped run")
@overwrite_option
def command(features: tuple[Path, ...], output: Path | None, **options: Any) -> None:
    """Train a model to predict spectra from features.

    FEATURES.h5 are feature stores; by default those that xanes-hpc.toml in the working folder names, or the only one
    there. The model folder holds everything that predict needs: weights, grid, scaling, split. Ctrl-C ends the training
    and keeps the best model so far.
    """
    from xanes_hpc.config.files import load_run
    from xanes_hpc.models.folder import architecture_of

    flags: dict[str, Any] = {key: options[name] for name, key in FLAGS.items()}
    flags["transfer.model"] = options["init_from"] and str(options["init_from"])
    for key, paths in (("features", features), ("spectra", options["spectra"]), ("augmented", options["augment"])):
        flags[key] = [str(path) for path in paths] or None
    flags["output"] = output and str(output)
    flags["split.file"] = options["split_file"] and str(options["split_file"])
    flags["split.folds"] = options["folds"]
    run = load_run(options["config"], Path.cwd(), flags, architecture_of)
    (_cross_validate if run.split.folds and run.split.fold is None else _train)(run, options)


def open_stores(run: Any, opened: ExitStack) -> tuple[list[Path], Any, Any]:
    """Return the feature stores' paths, pairs of feature store and spectra, and the rattled feature stores.

    ``opened`` closes all of them.
    """
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
            console.err.print(f"process {machines.index}: waiting for {', '.join(machines.addresses)}")
        try:
            result = train(run, pairs, target, options["overwrite"], options["resume"], augmented, observer, machines)
        except KeyboardInterrupt:
            if checkpoint_path(target).exists():
                console.err.print(f"Note: {CONTINUE}")
            raise
    if machines is not None and machines.index:
        return  # the first process prints the summary
    rows = {
        "sites": ", ".join(f"{n:,} {name}" for name, n in result.sets.items()),
        **result.left_out.counts,
        "epochs": f"{result.best.epoch}, "
        + (f"validation error {result.best.validation_error:.2f} %" if result.sets["validation"] else "no validation"),
        "members": _members(result.n_members, result.process, result.n_fitted),
    }
    if result.taken_over is not None:
        taken, of = result.taken_over
        moved = "" if result.correspondence is None else f", its spectra {result.correspondence}"
        rows["started from"] = f"{run.transfer.model}: weights of {taken} of {of} layers{moved}"
    console.table(str(target), rows)
    if result.left_out.n_short:
        console.err.print(f"Note: [target] {result.left_out.advice}")
    model = Model.open(target)
    for note in notes(model, [model], run):
        console.err.print(f"Note: {note}")
    if result.interrupted:
        console.err.print(
            "Note: stopped early; the model folder holds the best model so far"
            + (f"; {CONTINUE}" if checkpoint_path(target).exists() else "")
        )
    _predict_next(paths[0], target, run, ["--split", "test"] if result.sets["test"] else [])


def _members(n_networks: int, process: object, n_fitted: int) -> str:
    """Return the number of networks and the Gaussian process beside them in words."""
    return f"{n_networks}" + (f" and a Gaussian process ({process}, fitted to {n_fitted:,} sites)" if process else "")


def _predict_next(features: Path, model: Path, run: Any, words: list[str]) -> None:
    words = ["xanes-hpc", "predict", str(features), "--model", str(model), "-o", "predictions.h5", *words]
    words += ["--spectra", run.spectra[0]] if run.spectra else []
    console.next_step(shlex.join(words))


def _cross_validate(run: Any, options: dict[str, Any]) -> None:
    from xanes_hpc.data.left_out import LeftOut
    from xanes_hpc.model_selection.cross_validation import FINAL, SUMMARY, cross_validate, model_of
    from xanes_hpc.models.model import Model
    from xanes_hpc.training.chosen import Chosen
    from xanes_hpc.training.inputs import default_output
    from xanes_hpc.training.stages import Observer
    from xanes_hpc.training.tensorboard import tensorboard_writer

    with ExitStack() as opened:
        paths, pairs, augmented = open_stores(run, opened)
        target = Path(run.output) if run.output else default_output(paths[0]).with_suffix(".folds")

        def observer(fold: int | None) -> Observer:
            name, what = (f"fold-{fold}", f"fold {fold + 1}") if fold is not None else ("final", "the final model")
            folder = options["tensorboard"] and options["tensorboard"] / name
            progress = opened.enter_context(console.progress(f"training {what}", "epochs"))
            return Observer(progress, opened.enter_context(tensorboard_writer(folder)))

        try:
            summary = cross_validate(run, pairs, target, options["overwrite"], options["resume"], augmented, observer)
        except KeyboardInterrupt:
            console.err.print(f"Note: {CONTINUE}")
            raise
    models = [Model.open(model_of(target, fold)) for fold in range(run.split.folds)]
    final = Model.open(target / FINAL)
    left_out = LeftOut.from_values(summary["left_out"])
    rows = left_out.counts | {
        n.replace("_", " "): _with_spread(mean, summary["std"][n]) for n, mean in summary["mean"].items()
    }
    console.table(f"{target}: mean and standard deviation over {len(summary['folds'])} folds", rows)
    trained = final.training_sites.count("train")
    console.table(
        str(final.path),
        {
            "sites": final.fitted_in_words,
            "epochs": f"{Chosen.of_model(final).epochs}, the median of the folds",
            "members": _members(len(final.members), final.regression, trained),
        },
    )
    if left_out.n_short:
        console.err.print(f"Note: [target] {left_out.advice}")
    for note in notes(final, models, run):
        console.err.print(f"Note: {note}")
    console.err.print(f"Results of every fold: {target / SUMMARY}")
    _predict_next(paths[0], final.path, run, [])


def _with_spread(mean: float | None, spread: float | None) -> str:
    return "–" if mean is None else f"{mean:.4g}" + (f" ± {spread:.2g}" if spread is not None else "")
