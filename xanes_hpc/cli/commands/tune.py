"""``xanes-hpc tune``."""

import json
import shlex
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.command import Command
from xanes_hpc.cli.commands.train import CONTINUE, open_stores
from xanes_hpc.cli.options import PATH, output_option, overwrite_option

if TYPE_CHECKING:
    from xanes_hpc.model_selection.tune import Search

MOST_SHOWN = 10


@click.command("tune", cls=Command)
@click.argument("features", type=PATH, nargs=-1, metavar="[FEATURES.h5]...")
@output_option("Folder to write  [default: NAME.tune beside the features]", folder=True)
@click.option(
    "--trials", type=click.IntRange(min=1), metavar="N", default=30, show_default=True, help="Run N trials in all"
)
@click.option(
    "--space", type=PATH, metavar="SPACE.toml", help="Search these hyperparameters  [default: see --show-space]"
)
@click.option(
    "--config", type=PATH, metavar="RUN.toml", help="Read everything else from this configuration, like train"
)
@click.option("--seed", type=int, metavar="N", help="Seed of the search, the split and the training  [default: 0]")
@click.option(
    "--timeout", type=click.FloatRange(min=0), metavar="MINUTES", help="Start no more trials after this many minutes"
)
@click.option("--resume", is_flag=True, help="Continue a stopped search")
@click.option("--show-space", is_flag=True, help="Print the search space in the format of --space, and exit")
@overwrite_option
def command(features: tuple[Path, ...], output: Path | None, **options: Any) -> None:
    """Search for better hyperparameters.

    Each trial trains one network on the training set and is ranked by its lowest error on the validation set. Trials
    that are clearly worse than others stop early. The calibration and test sets are not used, so the test set remains
    an independent measure of the final model.

    The result is best.toml, the configuration with which train makes the final model, with the same seed and split.
    Ctrl-C keeps all finished trials.
    """
    from xanes_hpc.config.files import load_run
    from xanes_hpc.model_selection.space import default_space
    from xanes_hpc.model_selection.space_file import read_space, to_toml

    if options["resume"] and options["overwrite"]:
        raise click.UsageError("--resume, --overwrite: expected one of them", click.get_current_context())
    flags = {"features": [str(path) for path in features] or None, "training.seed": options["seed"]}
    run = load_run(options["config"], Path.cwd(), flags)
    space = read_space(options["space"], run) if options["space"] else default_space(run)
    if options["show_space"]:
        console.out.print(to_toml(space).rstrip())
        return
    _search(run, space, output, options)


def _search(run: Any, space: Any, output: Path | None, options: dict[str, Any]) -> None:
    from xanes_hpc.errors import ModelError
    from xanes_hpc.model_selection.record import BEST, FAILED, best_first
    from xanes_hpc.model_selection.trials import Limits
    from xanes_hpc.model_selection.tune import tune
    from xanes_hpc.training.inputs import default_output

    limits = Limits(options["trials"], options["timeout"])
    with ExitStack() as opened:
        paths, pairs, augmented = open_stores(run, opened)
        target = output or default_output(paths[0]).with_suffix(".tune")
        progress = opened.enter_context(console.progress("tuning", "trials"))
        search = tune(run, space, pairs, target, limits, options["overwrite"], options["resume"], augmented, progress)
    best = best_first(search.trials)
    if best:
        _print_summary(target, search, list(space.entries))
        if search.left_out.n_short:
            console.err.print(f"Note: [target] {search.left_out.advice}")
    if search.interrupted:
        console.err.print(f"Note: {CONTINUE}")
        raise KeyboardInterrupt
    if not best:
        reason = next((f"; trial {t.number} failed: {t.reason}" for t in search.trials if t.state == FAILED), "")
        raise ModelError(f"{target}: none of {len(search.trials)} trials finished{reason}")
    console.next_step(shlex.join(["xanes-hpc", "train", *map(str, paths), "--config", str(target / BEST)]))


def _print_summary(target: Path, search: "Search", searched: list[str]) -> None:
    from xanes_hpc.model_selection.record import BEST, FAILED, best_first

    best, counts = best_first(search.trials), Counter(t.state for t in search.trials)
    rows = {
        "trials": f"{len(search.trials)}: " + ", ".join(f"{n} {state}" for state, n in counts.items()),
        "best": f"trial {best[0].number}, validation error {best[0].error:.2f} % ({BEST})",
    }
    rows |= search.left_out.counts
    for trial in [t for t in search.trials if t.state == FAILED][:1]:
        rows["failed"] = f"trial {trial.number}: {trial.reason}"
    console.table(str(target), rows)
    keys = [key for key in searched if any(key in trial.values for trial in search.trials)]
    listed = [
        [str(t.number), f"{t.error:.2f}", f"{t.seconds:.0f}", *(_short(t.values.get(key)) for key in keys)]
        for t in best[:MOST_SHOWN]
    ]
    if search.importance:
        shares = [f"{100 * search.importance[key]:.0f} %" if key in search.importance else "" for key in keys]
        listed.append(["importance", "", "", *shares])
    console.listing(["trial", "error %", "seconds", *map(_title, keys)], listed)


def _title(key: str) -> str:
    return "model" if key == "model.name" else key.partition(".")[2].replace("_", " ")


def _short(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.2g}"
    return value if isinstance(value, str) else json.dumps(value)
